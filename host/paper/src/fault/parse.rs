//! Plans of faults as text.

use std::str::FromStr;

use http::StatusCode;

use super::{Disorder, Fault, FaultError, FaultKind, Faults, Target};

/// `Retry-After` of a refusal that does not say.
const DEFAULT_RETRY_AFTER_SECONDS: u32 = 1;
/// The pause of a slow answer that does not say.
const DEFAULT_PAUSE_MS: u32 = 1_000;
/// How much of a text an error repeats.
const MAX_SHOWN_CHARS: usize = 60;

impl FromStr for Faults {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let faults: Result<Vec<Fault>, FaultError> = parts.map(str::parse).collect();
        Self::new(faults?)
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let shown = || text.chars().take(MAX_SHOWN_CHARS).collect::<String>();
        let (kind, rest) = text
            .split_once('@')
            .ok_or_else(|| FaultError::Form(shown()))?;
        let kind = parse_kind(kind).ok_or_else(|| FaultError::Kind(shown()))?;
        // A stream of Alpaca has a colon in its name, and its symbol does not begin with a digit.
        let (target, which) = match rest.rsplit_once(':') {
            Some((target, which)) if which.starts_with(|c: char| c.is_ascii_digit()) => {
                (target, Some(which))
            }
            _ => (rest, None),
        };
        let (first, last) = match which {
            None => (1, u64::MAX),
            Some(which) => parse_count(which).ok_or_else(|| FaultError::Count(shown()))?,
        };
        let fault = Self {
            kind,
            target: parse_target(target).ok_or_else(|| FaultError::Form(shown()))?,
            first,
            last,
        };
        if fault.is_possible() {
            Ok(fault)
        } else {
            Err(FaultError::Impossible(shown()))
        }
    }
}

fn parse_kind(text: &str) -> Option<FaultKind> {
    let (name, number) = match text.split_once('=') {
        Some((name, number)) => (name, Some(number.parse().ok()?)),
        None => (text, None),
    };
    let kind = match (name, number) {
        ("429", seconds) => FaultKind::TooManyRequests {
            retry_after_seconds: seconds.unwrap_or(DEFAULT_RETRY_AFTER_SECONDS),
        },
        ("slow", millis) => FaultKind::Slow {
            pause_ms: millis.unwrap_or(DEFAULT_PAUSE_MS),
        },
        ("cut", None) => FaultKind::Cut,
        ("malformed", None) => FaultKind::Malformed,
        ("gap", None) => FaultKind::Disorder(Disorder::Gap),
        ("duplicate", None) => FaultKind::Disorder(Disorder::Duplicate),
        ("out-of-order", None) => FaultKind::Disorder(Disorder::OutOfOrder),
        (status, None) => {
            let status: StatusCode = status.parse().ok()?;
            FaultKind::Failure(Some(status).filter(StatusCode::is_server_error)?)
        }
        _ => return None,
    };
    Some(kind)
}

fn parse_target(text: &str) -> Option<Target> {
    let name = text.to_owned();
    Some(match text {
        "" => return None,
        "any" => Target::Any,
        "connect" => Target::Connect,
        "stream" => Target::AnyStream,
        path if path.starts_with('/') => Target::Path(name),
        stream if stream.contains(['@', ':']) => Target::Stream(name),
        _ => Target::Segment(name),
    })
}

fn parse_count(text: &str) -> Option<(u64, u64)> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
        None => match text.strip_suffix('+') {
            Some(first) => (first.parse().ok()?, u64::MAX),
            None => (text.parse().ok()?, text.parse().ok()?),
        },
    };
    (first >= 1 && first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_plan_is_read_from_its_text() {
        let Faults(faults) =
            "429=7@klines:3, 503@any, slow@/api/v3/time:2-4,duplicate@btcusdt@kline_1m:5+,\
                              out-of-order@bars:BTC/USD,cut@connect:1,gap@stream:9"
                .parse()
                .unwrap();
        let expect = [
            (
                FaultKind::TooManyRequests {
                    retry_after_seconds: 7,
                },
                Target::Segment("klines".into()),
                3,
                3,
            ),
            (
                FaultKind::Failure(StatusCode::SERVICE_UNAVAILABLE),
                Target::Any,
                1,
                u64::MAX,
            ),
            (
                FaultKind::Slow { pause_ms: 1_000 },
                Target::Path("/api/v3/time".into()),
                2,
                4,
            ),
            (
                FaultKind::Disorder(Disorder::Duplicate),
                Target::Stream("btcusdt@kline_1m".into()),
                5,
                u64::MAX,
            ),
            (
                FaultKind::Disorder(Disorder::OutOfOrder),
                Target::Stream("bars:BTC/USD".into()),
                1,
                u64::MAX,
            ),
            (FaultKind::Cut, Target::Connect, 1, 1),
            (FaultKind::Disorder(Disorder::Gap), Target::AnyStream, 9, 9),
        ];
        let read: Vec<_> = faults
            .into_iter()
            .map(|fault| (fault.kind, fault.target, fault.first, fault.last))
            .collect();
        assert_eq!(read, expect);
        assert_eq!("".parse(), Ok(Faults::default()));
    }

    #[test]
    fn what_is_no_fault_is_refused_with_its_text() {
        for text in [
            "cut",
            "cut@",
            "explode@klines",
            "404@klines",
            "cut=3@klines",
            "slow=fast@klines",
            "cut@klines:0",
            "cut@klines:5-3",
            "cut@klines:3x",
            "500@stream:1",
            "gap@connect",
        ] {
            let error = text.parse::<Faults>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
        let many = "cut@any,".repeat(101);
        assert_eq!(many.parse::<Faults>(), Err(FaultError::TooMany));
    }
}
