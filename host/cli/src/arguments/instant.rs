//! Instants and ranges, as they are typed.

use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;
use chrono::{DateTime, NaiveDate, NaiveTime};

/// Unix milliseconds of `2022-01-31`, its midnight in UTC, or of an RFC 3339 instant.
pub fn instant(text: &str) -> Result<i64, String> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map(|date| date.and_time(NaiveTime::MIN).and_utc().timestamp_millis());
    date.or_else(|_| DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_millis()))
        .map_err(|_| "expected a date such as `2022-01-31`, or `2022-01-31T09:30:00Z`".into())
}

/// An instrument's name, as bars are stored under it.
pub fn instrument(text: &str) -> Result<String, String> {
    text.parse::<Instrument>()
        .map(|instrument| instrument.to_string())
        .map_err(|error| error.to_string())
}

/// A bar's length.
pub fn timeframe(text: &str) -> Result<Timeframe, String> {
    text.parse().map_err(|error| format!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_a_date_or_rfc_3339() {
        for (text, expect) in [
            ("1970-01-02", Some(86_400_000)),
            ("1970-01-01T00:00:01.5Z", Some(1_500)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1970-01-32", None),
            ("1970", None),
            ("1700000000000", None),
            ("", None),
        ] {
            assert_eq!(instant(text).ok(), expect, "{text}");
        }
    }
}
