//! RFC 3339 times as Unix nanoseconds, in the proleptic Gregorian calendar, without leap seconds.

/// Nanoseconds in a second.
const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub(crate) const NANOS_PER_MILLI: i64 = 1_000_000;
/// Seconds in a day.
const DAY_SECONDS: i64 = 86_400;
/// Days from 0000-03-01, where the years of the calculation begin, to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;
/// Days in 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;

/// Reads `2022-01-03T09:00:00.086175744Z`: to the nanosecond, with `Z` or an offset. None: it is no such time, or is
/// outside of what 64 bits of nanoseconds hold (the years 1678 to 2261), or has parts of nanoseconds.
pub(crate) fn unix_nanos(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (head, tail) = bytes.split_at_checked(19)?;
    let separators = [head[4], head[7], head[10], head[13], head[16]];
    if !matches!(separators, [b'-', b'-', b'T' | b't', b':', b':']) {
        return None;
    }
    let [year, month, day] = [
        two(head, 0)? * 100 + two(head, 2)?,
        two(head, 5)?,
        two(head, 8)?,
    ];
    let [hour, minute, second] = [two(head, 11)?, two(head, 14)?, two(head, 17)?];
    let is_time = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_time {
        return None;
    }
    let (nanos, zone) = fraction(tail)?;
    let seconds =
        days_from_civil(year, month, day) * DAY_SECONDS + hour * 3_600 + minute * 60 + second
            - offset_seconds(zone)?;
    i64::try_from(i128::from(seconds) * NANOS_PER_SECOND + i128::from(nanos)).ok()
}

/// The number of two digits at `place`.
fn two(bytes: &[u8], place: usize) -> Option<i64> {
    let [tens, ones] = [
        bytes[place].wrapping_sub(b'0'),
        bytes[place + 1].wrapping_sub(b'0'),
    ];
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// The nanoseconds of a fraction, if there is one, and what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', digits @ ..] = text else {
        return Some((0, text));
    };
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let nanos = (0..9).fold(0, |nanos, place| {
        let digit = if place < count {
            digits[place] - b'0'
        } else {
            0
        };
        nanos * 10 + i64::from(digit)
    });
    Some((nanos, &digits[count..]))
}

fn offset_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(zone, 1)?, two(zone, 4)?);
            let seconds = hours * 3_600 + minutes * 60;
            let is_offset = hours < 24 && minutes < 60;
            is_offset.then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01. A year is counted from its March on, so that the leap day is its last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * ERA_DAYS + day_of_era - EPOCH_DAYS
}

#[cfg(test)]
mod tests;
