//! What the poll is configured with.

use std::fmt;

use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::binance;

/// The most instruments that one poll goes through.
pub const MAX_INSTRUMENTS: usize = 32;
/// The longest `market_data_url`, in characters.
const MAX_URL_CHARS: usize = 512;

/// Scheme and authority of the market-data host, and the path below which it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// True for `https`.
    pub is_tls: bool,
    /// Host and, where given, port.
    pub authority: String,
    /// Goes before each request's path; empty or beginning with `/`, not ending with it.
    pub base_path: String,
}

impl Origin {
    fn read(url: &str) -> Result<Self, String> {
        let refused = |what: &str| Err(format!("`market_data_url` {what}: `{url}`"));
        if url.len() > MAX_URL_CHARS {
            return Err(format!(
                "`market_data_url` is longer than {MAX_URL_CHARS} characters"
            ));
        }
        let (is_tls, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (false, rest)
        } else {
            return refused("must begin with http:// or https://");
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.is_empty()
            || !authority
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
        {
            return refused("must name a host, and nothing but a host and port before the path");
        }
        if !path
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte))
        {
            return refused("must have a plain path, without query or fragment");
        }
        Ok(Self {
            is_tls,
            authority: authority.to_owned(),
            base_path: path.trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base_path)
    }
}

/// Where a series without any bar begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backfill {
    /// At the venue's first bar.
    Earliest,
    /// With the venue's most recent page.
    Latest,
    /// At this instant, in Unix milliseconds.
    From(i64),
}

/// One series to poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The instrument, as bars are stored under it.
    pub instrument: Instrument,
    /// The venue's symbol for it.
    pub symbol: String,
}

/// The configuration of the poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who is asked: `market_data_url`.
    pub origin: Origin,
    /// What for: `instruments`, comma-separated.
    pub series: Vec<Series>,
    /// The bar's length: `timeframe`.
    pub timeframe: Timeframe,
    /// Where a new series begins: `backfill_start`, one of `earliest`, `latest`, or Unix milliseconds.
    pub backfill: Backfill,
}

impl Settings {
    /// Reads the settings through `get`, which answers by key. Without `backfill_start` it is `latest`.
    ///
    /// # Errors
    /// The text names the key that is absent or malformed.
    pub fn read(get: impl Fn(&str) -> Result<Option<String>, String>) -> Result<Self, String> {
        let required =
            |key: &str| get(key)?.ok_or_else(|| format!("the configuration has no `{key}`"));
        let origin = Origin::read(required("market_data_url")?.trim())?;
        let timeframe_text = required("timeframe")?;
        let timeframe = timeframe_text
            .trim()
            .parse()
            .map_err(|error| format!("`timeframe` `{timeframe_text}`: {error}"))?;
        let backfill = match get("backfill_start")?.as_deref().map(str::trim) {
            None | Some("" | "latest") => Backfill::Latest,
            Some("earliest") => Backfill::Earliest,
            Some(text) => match text.parse() {
                Ok(millis) if millis >= 0 => Backfill::From(millis),
                _ => {
                    return Err(format!(
                        "`backfill_start` must be `earliest`, `latest` or Unix milliseconds: `{text}`"
                    ));
                }
            },
        };
        Ok(Self {
            origin,
            series: read_series(&required("instruments")?)?,
            timeframe,
            backfill,
        })
    }
}

/// Reads the names as every stage does, so that bars are stored under the name that is looked for later.
fn read_series(list: &str) -> Result<Vec<Series>, String> {
    let named = |error: &dyn fmt::Display| format!("`instruments`: {error}");
    let instruments = Instrument::parse_list(list).map_err(|error| named(&error))?;
    if instruments.is_empty() {
        return Err("`instruments` names none".to_owned());
    }
    if instruments.len() > MAX_INSTRUMENTS {
        return Err(format!("`instruments` names more than {MAX_INSTRUMENTS}"));
    }
    instruments
        .into_iter()
        .map(|instrument| {
            let symbol = binance::symbol(instrument.as_str()).map_err(|error| named(&error))?;
            Ok(Series { instrument, symbol })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use bulkhead_kernel::instrument::Instrument;

    use super::{Backfill, MAX_INSTRUMENTS, Settings};

    fn read(changes: &[(&str, Option<&str>)]) -> Result<Settings, String> {
        let defaults = [
            ("market_data_url", Some("http://127.0.0.1:7878")),
            ("instruments", Some("BTC-USDT, ETH-USDT")),
            ("timeframe", Some("1m")),
        ];
        Settings::read(|key| {
            let entry = changes
                .iter()
                .chain(&defaults)
                .find(|(name, _)| *name == key);
            Ok(entry.and_then(|(_, value)| value.map(str::to_owned)))
        })
    }

    #[test]
    fn settings_are_read_from_the_configuration() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.origin.to_string(), "http://127.0.0.1:7878");
        assert_eq!(settings.series[1].instrument.as_str(), "ETH-USDT");
        assert_eq!(settings.series[1].symbol, "ETHUSDT");
        assert_eq!(settings.backfill, Backfill::Latest);
        let settings = read(&[
            ("market_data_url", Some("https://api.binance.com/mirror/")),
            ("backfill_start", Some("1700000000000")),
        ])
        .unwrap();
        assert_eq!(
            settings.origin.to_string(),
            "https://api.binance.com/mirror"
        );
        assert_eq!(settings.backfill, Backfill::From(1_700_000_000_000));
    }

    #[test]
    fn instruments_are_the_list_that_the_signal_stage_reads() {
        for list in [
            "btc-usdt,ETH-usdt",
            " BTC-USDT ,, eth-usdt",
            "btc-usdt,BTC-USDT",
        ] {
            let settings = read(&[("instruments", Some(list))]).unwrap();
            let instruments: Vec<_> = settings
                .series
                .into_iter()
                .map(|series| series.instrument)
                .collect();
            assert_eq!(instruments, Instrument::parse_list(list).unwrap(), "{list}");
        }
    }

    #[test]
    fn a_poll_goes_through_a_bounded_number_of_instruments() {
        let list = |count| {
            let names: Vec<String> = (0..count).map(|index| format!("A{index}-USDT")).collect();
            names.join(",")
        };
        assert!(read(&[("instruments", Some(&list(MAX_INSTRUMENTS)))]).is_ok());
        let error = read(&[("instruments", Some(&list(MAX_INSTRUMENTS + 1)))]).unwrap_err();
        assert_eq!(error, "`instruments` names more than 32");
    }

    #[test]
    fn a_setting_that_is_absent_or_malformed_is_named() {
        for (key, value, text) in [
            ("market_data_url", None, "`market_data_url`"),
            ("market_data_url", Some("ftp://x"), "http://"),
            ("market_data_url", Some("http://"), "host"),
            ("market_data_url", Some("http://user@host"), "host"),
            ("market_data_url", Some("http://h\r\nX: y"), "host"),
            ("market_data_url", Some("http://h/?x=1"), "path"),
            ("instruments", Some(" , "), "names none"),
            ("instruments", Some("A B"), "`A B`"),
            ("timeframe", Some("1 minute"), "`timeframe`"),
            ("backfill_start", Some("yesterday"), "`backfill_start`"),
            ("backfill_start", Some("-1"), "`backfill_start`"),
        ] {
            let error = read(&[(key, value)]).unwrap_err();
            assert!(error.contains(text), "{key}={value:?}: {error}");
        }
    }
}
