//! When a market is open: which bars of a series are to be expected, and which are missing.
//!
//! Crypto trades around the clock. US stocks have a regular session from 9:30 to 16:00 in New York, half-days that end at
//! 13:00, and days without any: those of the exchanges' published rules, from 1971 on. Days that were closed for a cause of their
//! own (a funeral, a storm) are not known, so that the bars of such a day count as missing. Daylight saving follows the rules in force
//! since 1987.

use serde::{Deserialize, Serialize};

use crate::instant::{MAX_RFC3339_MS, MIN_RFC3339_MS, civil_date, days_from_civil};
use crate::timeframe::Timeframe;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// When the regular session of US stocks begins and ends, after midnight in New York.
const US_OPEN_MS: i64 = 9 * HOUR_MS + 30 * MINUTE_MS;
const US_CLOSE_MS: i64 = 16 * HOUR_MS;
const US_EARLY_CLOSE_MS: i64 = 13 * HOUR_MS;
/// How many days after a bar the next one is looked for: no market of these is closed for longer.
const MAX_CLOSED_DAYS: i64 = 10;
/// How many days between two bars are counted out; a longer hole counts as so many.
const MAX_DAYS_COUNTED: i64 = 4_000;

/// When a market is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calendar {
    /// Always.
    AroundTheClock,
    /// As US stock exchanges are, in their regular session.
    UsEquities,
}

/// A stretch in which a market is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its beginning, in Unix milliseconds.
    pub opens_at_ms: i64,
    /// Its end, in Unix milliseconds.
    pub closes_at_ms: i64,
}

impl Calendar {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AroundTheClock => "around_the_clock",
            Self::UsEquities => "us_equities",
        }
    }

    /// Whether the market trades at all on the day of an instant, in Unix milliseconds, by its own clock.
    #[must_use]
    pub fn trades_on_day_of(self, unix_ms: i64) -> bool {
        match self {
            Self::AroundTheClock => true,
            Self::UsEquities => us_session(us_day(unix_ms)).is_some(),
        }
    }

    /// The next bar that is to be expected after one that opens at `open_time_ms`: when it opens, in Unix milliseconds.
    #[must_use]
    pub fn next_open_ms(self, timeframe: Timeframe, open_time_ms: i64) -> i64 {
        let step_ms = timeframe.millis();
        let open_time_ms = known(open_time_ms);
        let following = open_time_ms.saturating_add(step_ms);
        match self {
            Self::AroundTheClock => following,
            Self::UsEquities if step_ms > DAY_MS => following,
            Self::UsEquities if step_ms == DAY_MS => {
                let day = date(open_time_ms);
                let next = next_trading_day(day);
                open_time_ms.saturating_add((next - day).saturating_mul(DAY_MS))
            }
            Self::UsEquities => next_intraday(step_ms, open_time_ms),
        }
    }

    /// How many bars are to be expected that open after `earlier_ms` and before `later_ms`, where a bar opens at either.
    #[must_use]
    pub fn expected_between(self, timeframe: Timeframe, earlier_ms: i64, later_ms: i64) -> u64 {
        let step_ms = timeframe.millis();
        let (earlier_ms, later_ms) = (known(earlier_ms), known(later_ms));
        let steps = later_ms.saturating_sub(earlier_ms).max(0) / step_ms;
        let between = u64::try_from(steps.saturating_sub(1)).unwrap_or(0);
        match self {
            Self::UsEquities if step_ms == DAY_MS => {
                let (first, last) = (date(earlier_ms) + 1, date(later_ms));
                let last = last.min(first.saturating_add(MAX_DAYS_COUNTED));
                let days = (first..last).filter(|day| us_session(*day).is_some());
                days.count() as u64
            }
            Self::UsEquities if step_ms < DAY_MS => {
                expected_intraday(step_ms, earlier_ms, later_ms)
            }
            Self::UsEquities | Self::AroundTheClock => between,
        }
    }

    /// On how many of the `days` days up to an instant, in Unix milliseconds, the market trades.
    #[must_use]
    pub fn trading_days(self, days: u32, up_to_ms: i64) -> u32 {
        match self {
            Self::AroundTheClock => days,
            Self::UsEquities => {
                let last = us_day(up_to_ms);
                let days = i64::from(days).min(MAX_DAYS_COUNTED);
                let trading = (0..days).filter(|ago| us_session(last - ago).is_some());
                u32::try_from(trading.count()).unwrap_or(u32::MAX)
            }
        }
    }

    /// The session of a day, counted from 1970-01-01 by the market's own clock. None: the market is closed.
    #[must_use]
    pub fn session(self, day: i64) -> Option<Session> {
        match self {
            Self::AroundTheClock => Some(Session {
                opens_at_ms: day.saturating_mul(DAY_MS),
                closes_at_ms: day.saturating_add(1).saturating_mul(DAY_MS),
            }),
            Self::UsEquities => {
                us_session(day.clamp(known(i64::MIN) / DAY_MS, known(i64::MAX) / DAY_MS))
            }
        }
    }
}

/// An instant of the years that have dates here, so that no calculation overflows.
fn known(unix_ms: i64) -> i64 {
    unix_ms.clamp(MIN_RFC3339_MS, MAX_RFC3339_MS)
}

/// The day of a daily bar: venues have it open at midnight in UTC or in New York, which is the same date in UTC.
fn date(open_time_ms: i64) -> i64 {
    open_time_ms.div_euclid(DAY_MS)
}

fn next_trading_day(day: i64) -> i64 {
    let mut days = (1..=MAX_CLOSED_DAYS).map(|after| day.saturating_add(after));
    days.find(|day| us_session(*day).is_some())
        .unwrap_or(day.saturating_add(1))
}

/// Bars open at whole multiples of their length; the first of a session is the one that holds its beginning.
fn first_open(step_ms: i64, session: Session) -> i64 {
    session.opens_at_ms.div_euclid(step_ms) * step_ms
}

fn next_intraday(step_ms: i64, open_time_ms: i64) -> i64 {
    let following = open_time_ms.saturating_add(step_ms);
    let today = us_day(open_time_ms);
    if let Some(session) = us_session(today) {
        let first = first_open(step_ms, session);
        if following <= first {
            return first;
        }
        let on_grid = following.div_euclid(step_ms) * step_ms;
        if on_grid < session.closes_at_ms {
            return on_grid;
        }
    }
    us_session(next_trading_day(today)).map_or(following, |next| first_open(step_ms, next))
}

fn expected_intraday(step_ms: i64, earlier_ms: i64, later_ms: i64) -> u64 {
    let (first_day, last_day) = (us_day(earlier_ms), us_day(later_ms));
    let last_day = last_day.min(first_day.saturating_add(MAX_DAYS_COUNTED));
    let sessions = (first_day..=last_day).filter_map(us_session);
    let counts = sessions.map(|session| {
        // Bars that open from `from` on and before `to`, on the grid.
        let from = first_open(step_ms, session).max(earlier_ms.saturating_add(1));
        let to = session.closes_at_ms.min(later_ms);
        let ceil = |at: i64| at.saturating_add(step_ms - 1).div_euclid(step_ms);
        u64::try_from(ceil(to) - ceil(from)).unwrap_or(0)
    });
    counts.sum()
}

/// The date in New York, in days since 1970-01-01.
fn us_day(unix_ms: i64) -> i64 {
    let unix_ms = known(unix_ms);
    let standard = unix_ms.saturating_sub(5 * HOUR_MS).div_euclid(DAY_MS);
    unix_ms
        .saturating_sub(us_offset_ms(standard))
        .div_euclid(DAY_MS)
}

/// How far New York is behind UTC in the session of a day.
fn us_offset_ms(day: i64) -> i64 {
    let (year, ..) = civil_date(day);
    let (begins, ends) = if year >= 2007 {
        (
            nth_weekday(year, 3, SUNDAY, 2),
            nth_weekday(year, 11, SUNDAY, 1),
        )
    } else {
        (
            nth_weekday(year, 4, SUNDAY, 1),
            last_weekday(year, 10, SUNDAY),
        )
    };
    if (begins..ends).contains(&day) {
        4 * HOUR_MS
    } else {
        5 * HOUR_MS
    }
}

fn us_session(day: i64) -> Option<Session> {
    if matches!(weekday(day), SATURDAY | SUNDAY) || is_us_holiday(day) {
        return None;
    }
    let midnight = day.saturating_mul(DAY_MS).saturating_add(us_offset_ms(day));
    let close_ms = if is_us_half_day(day) {
        US_EARLY_CLOSE_MS
    } else {
        US_CLOSE_MS
    };
    Some(Session {
        opens_at_ms: midnight.saturating_add(US_OPEN_MS),
        closes_at_ms: midnight.saturating_add(close_ms),
    })
}

const SUNDAY: i64 = 0;
const MONDAY: i64 = 1;
const THURSDAY: i64 = 4;
const SATURDAY: i64 = 6;

/// 0 is Sunday.
fn weekday(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

/// The day of a date that there is in every year. (A date that there is not would be no holiday.)
fn on(year: i64, month: i64, day: i64) -> i64 {
    days_from_civil(year, month, day).unwrap_or(i64::MIN)
}

fn nth_weekday(year: i64, month: i64, wanted: i64, nth: i64) -> i64 {
    let first = on(year, month, 1);
    first + (wanted - weekday(first)).rem_euclid(7) + (nth - 1) * 7
}

fn last_weekday(year: i64, month: i64, wanted: i64) -> i64 {
    let last = match month {
        12 => on(year + 1, 1, 1),
        month => on(year, month + 1, 1),
    } - 1;
    last - (weekday(last) - wanted).rem_euclid(7)
}

/// A holiday of a fixed date is kept on the Friday before a Saturday and on the Monday after a Sunday.
fn observed(day: i64) -> i64 {
    match weekday(day) {
        SATURDAY => day - 1,
        SUNDAY => day + 1,
        _ => day,
    }
}

fn is_us_holiday(day: i64) -> bool {
    let (year, ..) = civil_date(day);
    let new_year = on(year, 1, 1);
    // On a Saturday it is not kept: the Friday before is the last day of the accounting year.
    let new_year = if weekday(new_year) == SATURDAY {
        new_year
    } else {
        observed(new_year)
    };
    let fixed = [
        Some(new_year),
        (year >= 1998).then(|| nth_weekday(year, 1, MONDAY, 3)),
        Some(nth_weekday(year, 2, MONDAY, 3)),
        Some(easter(year) - 2),
        Some(last_weekday(year, 5, MONDAY)),
        (year >= 2022).then(|| observed(on(year, 6, 19))),
        Some(observed(on(year, 7, 4))),
        Some(nth_weekday(year, 9, MONDAY, 1)),
        Some(nth_weekday(year, 11, THURSDAY, 4)),
        Some(observed(on(year, 12, 25))),
    ];
    fixed.contains(&Some(day))
}

/// The day after Thanksgiving, and the eves of Independence Day and Christmas.
fn is_us_half_day(day: i64) -> bool {
    let (year, month, of_month) = civil_date(day);
    day == nth_weekday(year, 11, THURSDAY, 4) + 1 || matches!((month, of_month), (7, 3) | (12, 24))
}

/// Easter Sunday of the Gregorian calendar (Meeus, Jones, Butcher).
fn easter(year: i64) -> i64 {
    let a = year % 19;
    let (b, c) = (year / 100, year % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    let day = (h + l - 7 * m + 33 * month + 19) % 32;
    on(year, month, day)
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::bar_row::parse_timestamp;

    fn at(text: &str) -> i64 {
        parse_timestamp(text.as_bytes()).unwrap()
    }

    fn day(text: &str) -> i64 {
        at(&format!("{text} 00:00:00")) / DAY_MS
    }

    fn minute() -> Timeframe {
        "1m".parse().unwrap()
    }

    #[test]
    fn stocks_do_not_trade_on_weekends_and_holidays() {
        for closed in [
            "2024-01-01",
            "2024-01-15",
            "2024-02-19",
            "2024-03-29",
            "2024-05-27",
            "2024-06-19",
            "2024-07-04",
            "2024-09-02",
            "2024-11-28",
            "2024-12-25",
            "2022-06-20",
            "2021-07-05",
            "2020-07-03",
            "2023-01-02",
            "2021-12-24",
            "2024-11-30",
            "2024-12-01",
            "2019-04-19",
        ] {
            assert_eq!(Calendar::UsEquities.session(day(closed)), None, "{closed}");
        }
        for open in [
            "2021-12-31",
            "2021-06-18",
            "2024-03-28",
            "2024-11-29",
            "2024-12-24",
            "2024-07-03",
        ] {
            assert!(Calendar::UsEquities.session(day(open)).is_some(), "{open}");
        }
    }

    #[test]
    fn half_days_end_at_one_o_clock_in_new_york() {
        for (date, closes) in [
            ("2024-11-29", "2024-11-29 18:00:00"),
            ("2024-12-24", "2024-12-24 18:00:00"),
            ("2024-07-03", "2024-07-03 17:00:00"),
            ("2024-07-02", "2024-07-02 20:00:00"),
            ("2020-07-02", "2020-07-02 20:00:00"),
            ("2024-12-23", "2024-12-23 21:00:00"),
        ] {
            let session = Calendar::UsEquities.session(day(date)).unwrap();
            assert_eq!(session.closes_at_ms, at(closes), "{date}");
        }
    }

    #[test]
    fn a_session_opens_an_hour_earlier_by_utc_while_daylight_is_saved() {
        for (date, opens) in [
            ("2024-03-08", "2024-03-08 14:30:00"),
            ("2024-03-11", "2024-03-11 13:30:00"),
            ("2024-11-01", "2024-11-01 13:30:00"),
            ("2024-11-04", "2024-11-04 14:30:00"),
            ("2006-04-03", "2006-04-03 13:30:00"),
        ] {
            let session = Calendar::UsEquities.session(day(date)).unwrap();
            assert_eq!(session.opens_at_ms, at(opens), "{date}");
        }
    }

    #[test]
    fn after_the_last_bar_of_a_session_the_first_of_the_next_is_expected() {
        for (open, next) in [
            ("2024-11-27 20:58:00", "2024-11-27 20:59:00"),
            ("2024-11-27 20:59:00", "2024-11-29 14:30:00"),
            ("2024-11-29 17:59:00", "2024-12-02 14:30:00"),
            ("2024-11-29 12:00:00", "2024-11-29 14:30:00"),
            ("2024-11-30 12:00:00", "2024-12-02 14:30:00"),
            ("2024-03-08 20:59:00", "2024-03-11 13:30:00"),
        ] {
            assert_eq!(
                Calendar::UsEquities.next_open_ms(minute(), at(open)),
                at(next),
                "{open}"
            );
        }
        let next = Calendar::AroundTheClock.next_open_ms(minute(), at("2024-11-30 12:00:00"));
        assert_eq!(next, at("2024-11-30 12:01:00"));
    }

    #[test]
    fn the_next_daily_bar_is_that_of_the_next_trading_day() {
        let daily = "1d".parse().unwrap();
        for (open, next) in [
            ("2024-11-27 05:00:00", "2024-11-29 05:00:00"),
            ("2024-11-29 00:00:00", "2024-12-02 00:00:00"),
        ] {
            assert_eq!(
                Calendar::UsEquities.next_open_ms(daily, at(open)),
                at(next),
                "{open}"
            );
        }
    }

    #[test]
    fn only_bars_of_open_markets_are_expected_between_two() {
        let count = |calendar: Calendar, timeframe: &str, earlier, later| {
            calendar.expected_between(timeframe.parse().unwrap(), at(earlier), at(later))
        };
        let us = Calendar::UsEquities;
        assert_eq!(
            count(us, "1m", "2024-11-27 20:59:00", "2024-11-29 14:30:00"),
            0
        );
        assert_eq!(
            count(us, "1m", "2024-11-27 20:57:00", "2024-11-29 14:32:00"),
            4
        );
        // A whole half-day: 210 minutes.
        assert_eq!(
            count(us, "1m", "2024-11-27 20:59:00", "2024-12-02 14:30:00"),
            210
        );
        assert_eq!(
            count(us, "5m", "2024-11-27 20:55:00", "2024-12-02 14:30:00"),
            42
        );
        assert_eq!(
            count(us, "1d", "2024-11-27 05:00:00", "2024-12-03 05:00:00"),
            2
        );
        let clock = Calendar::AroundTheClock;
        assert_eq!(
            count(clock, "1m", "2024-11-27 20:59:00", "2024-11-27 21:00:00"),
            0
        );
        assert_eq!(
            count(clock, "1m", "2024-11-27 20:59:00", "2024-11-27 21:03:00"),
            3
        );
        assert_eq!(
            count(clock, "1m", "2024-11-27 21:03:00", "2024-11-27 20:59:00"),
            0
        );
    }

    #[test]
    fn trading_days_leave_out_those_on_which_the_market_is_closed() {
        let up_to = at("2024-12-02 20:00:00");
        assert_eq!(Calendar::UsEquities.trading_days(7, up_to), 4);
        assert_eq!(Calendar::AroundTheClock.trading_days(7, up_to), 7);
    }

    #[test]
    fn any_instants_give_an_answer() {
        for instant in [i64::MIN, -1, 0, i64::MAX] {
            for calendar in [Calendar::AroundTheClock, Calendar::UsEquities] {
                for timeframe in ["1s", "1m", "1h", "1d", "1w"] {
                    let timeframe = timeframe.parse().unwrap();
                    let _ = calendar.next_open_ms(timeframe, instant);
                    let _ = calendar.expected_between(timeframe, instant, i64::MAX);
                    let _ = calendar.expected_between(timeframe, i64::MIN, instant);
                }
                let _ = calendar.trades_on_day_of(instant);
            }
        }
    }
}
