//! Instants as text: RFC 3339, in UTC, with milliseconds, for example `2022-01-01T00:00:00.000Z`.

/// The first instant that RFC 3339 can write, in Unix milliseconds: the beginning of the year 0.
pub const MIN_RFC3339_MS: i64 = -62_167_219_200_000;
/// The last instant that RFC 3339 can write, in Unix milliseconds: the end of the year 9999.
pub const MAX_RFC3339_MS: i64 = 253_402_300_799_999;

const DAY_MS: i64 = 86_400_000;

/// Writes an instant in Unix milliseconds as RFC 3339 in UTC.
///
/// An instant before [`MIN_RFC3339_MS`] or after [`MAX_RFC3339_MS`] is written as that bound.
#[must_use]
pub fn rfc3339(unix_ms: i64) -> String {
    let unix_ms = unix_ms.clamp(MIN_RFC3339_MS, MAX_RFC3339_MS);
    let (year, month, day) = civil_date(unix_ms.div_euclid(DAY_MS));
    let of_day = unix_ms.rem_euclid(DAY_MS);
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The date of the proleptic Gregorian calendar that is `days` after 1970-01-01: year, month, day.
///
/// Years are counted from March, so that the leap day is a year's last, and in eras of 400 years, which all have
/// 146,097 days (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub(crate) fn civil_date(days: i64) -> (i64, i64, i64) {
    let since_era_zero = days + 719_468;
    let era = since_era_zero.div_euclid(146_097);
    let day_of_era = since_era_zero.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// How many days after 1970-01-01 a date of the proleptic Gregorian calendar is. None: there is no such date.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let year_from_march = year - i64::from(month <= 2);
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    // A date that there is not, such as the 30th of February, is counted as another.
    (civil_date(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_instant_is_written_as_date_and_time_in_utc() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_640_995_199_999, "2021-12-31T23:59:59.999Z"),
            (1_640_995_200_000, "2022-01-01T00:00:00.000Z"),
            (1_709_210_096_789, "2024-02-29T12:34:56.789Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text, "{unix_ms}");
        }
    }

    #[test]
    fn an_instant_beyond_four_digits_of_year_is_written_as_the_nearest_that_is_not() {
        for (unix_ms, text) in [
            (MIN_RFC3339_MS, "0000-01-01T00:00:00.000Z"),
            (MIN_RFC3339_MS - 1, "0000-01-01T00:00:00.000Z"),
            (i64::MIN, "0000-01-01T00:00:00.000Z"),
            (MAX_RFC3339_MS, "9999-12-31T23:59:59.999Z"),
            (MAX_RFC3339_MS + 1, "9999-12-31T23:59:59.999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text, "{unix_ms}");
        }
    }
}
