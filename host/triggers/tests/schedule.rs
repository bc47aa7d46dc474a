//! When schedules fire, through clock changes and the calendar's corners.

use bulkhead_triggers::cron::{CronSchedule, Firing};
use chrono::{DateTime, SecondsFormat};

fn ms(rfc3339: &str) -> i64 {
    DateTime::parse_from_rfc3339(rfc3339)
        .expect("a date")
        .timestamp_millis()
}

fn utc(unix_ms: i64) -> String {
    DateTime::from_timestamp_millis(unix_ms)
        .expect("a date")
        .to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The firings after `start`, each as its instant in UTC, or as `gap LOCAL xCOUNT`.
fn check(expression: &str, zone: &str, start: &str, expect: &[&str]) {
    let schedule = CronSchedule::parse(expression, zone).expect("a schedule");
    let mut cursor = ms(start);
    let mut firings = Vec::new();
    for _ in expect {
        let firing = schedule.next_after(cursor).expect("a firing");
        assert!(firing.at_ms() > cursor, "the schedule stands still");
        cursor = firing.at_ms();
        firings.push(match firing {
            Firing::At { at_ms, .. } => utc(at_ms),
            Firing::Skipped { local, count, .. } => format!("gap {local} x{count}"),
        });
    }
    assert_eq!(firings, expect, "{expression} {zone}");
}

#[test]
fn a_local_time_that_comes_twice_fires_the_first_time_only() {
    check(
        "0 30 2 * * *",
        "Europe/Berlin",
        "2026-10-24T12:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    );
    check(
        "0 30 1 * * *",
        "America/New_York",
        "2026-10-31T12:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
    );
    check(
        "0 45 1 * * *",
        "Australia/Lord_Howe",
        "2026-04-04T00:00:00Z",
        &["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"],
    );
}

#[test]
fn an_hourly_schedule_fires_once_for_the_repeated_hour() {
    check(
        "0 15 * * * *",
        "Europe/Berlin",
        "2026-10-24T23:00:00Z",
        &[
            "2026-10-24T23:15:00Z",
            "2026-10-25T00:15:00Z",
            "2026-10-25T02:15:00Z",
        ],
    );
}

#[test]
fn a_search_from_within_the_second_pass_of_the_hour_does_not_repeat_the_first() {
    check(
        "0 */20 1-2 * * *",
        "Europe/Berlin",
        "2026-10-25T01:10:00Z",
        &["2026-10-26T00:00:00Z"],
    );
}

#[test]
fn a_local_time_that_does_not_exist_is_reported_and_fires_the_next_day() {
    check(
        "0 30 2 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &["gap 2026-03-29 02:30:00 x1", "2026-03-30T00:30:00Z"],
    );
    check(
        "0 0,15,30 2 * * *",
        "America/New_York",
        "2026-03-07T12:00:00Z",
        &["gap 2026-03-08 02:00:00 x3", "2026-03-09T06:00:00Z"],
    );
    check(
        "0 15 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T00:00:00Z",
        &["gap 2026-10-04 02:15:00 x1", "2026-10-04T15:15:00Z"],
    );
}

#[test]
fn a_half_hour_gap_leaves_the_other_half_alone() {
    check(
        "0 0,30 2 * * *",
        "Australia/Lord_Howe",
        "2026-10-03T00:00:00Z",
        &["gap 2026-10-04 02:00:00 x1", "2026-10-03T15:30:00Z"],
    );
}

#[test]
fn the_hour_after_the_gap_fires_at_the_change_itself() {
    check(
        "0 0 2,3 * * *",
        "Europe/Berlin",
        "2026-03-28T12:00:00Z",
        &[
            "gap 2026-03-29 02:00:00 x1",
            "2026-03-29T01:00:00Z",
            "2026-03-30T00:00:00Z",
        ],
    );
}

#[test]
fn a_day_left_out_at_the_date_line_is_reported() {
    check(
        "0 0 9 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        &[
            "2011-12-29T19:00:00Z",
            "gap 2011-12-30 09:00:00 x1",
            "2011-12-30T19:00:00Z",
        ],
    );
}

#[test]
fn an_interval_goes_on_through_both_passes_of_the_repeated_hour() {
    check(
        "0 */30 * * * *",
        "Europe/Berlin",
        "2026-10-25T00:00:00Z",
        &[
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:00:00Z",
        ],
    );
}

#[test]
fn a_schedule_of_all_hours_is_an_interval_however_it_is_written() {
    for expression in [
        "0 */30 0-23 * * *",
        "0 0,30 */1 * * *",
        "0 */30 0-11,12-23 * * *",
    ] {
        check(
            expression,
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            &[
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:30:00Z",
                "2026-10-25T02:00:00Z",
            ],
        );
    }
}

#[test]
fn a_schedule_that_leaves_out_an_hour_fires_once_for_the_repeated_one() {
    check(
        "0 */30 0-22 * * *",
        "Europe/Berlin",
        "2026-10-25T00:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"],
    );
}

#[test]
fn a_schedule_of_one_firing_an_hour_fires_once_for_the_repeated_one_however_it_is_written() {
    for expression in [
        "0 5 * * * *",
        "0 5-5 * * * *",
        "0 5 0-23 * * *",
        "0 5,5 */1 * * *",
    ] {
        check(
            expression,
            "Europe/Berlin",
            "2026-10-24T23:30:00Z",
            &["2026-10-25T00:05:00Z", "2026-10-25T02:05:00Z"],
        );
    }
}

#[test]
fn an_interval_misses_nothing_where_the_clock_is_set_forward() {
    check(
        "*/30 59 * * * *",
        "Europe/Berlin",
        "2026-03-29T00:59:00Z",
        &[
            "2026-03-29T00:59:30Z",
            "2026-03-29T01:59:00Z",
            "2026-03-29T01:59:30Z",
        ],
    );
    check(
        "0 */15 * * * *",
        "Australia/Lord_Howe",
        "2026-10-03T15:10:00Z",
        &["2026-10-03T15:15:00Z", "2026-10-03T15:30:00Z"],
    );
}

#[test]
fn a_zone_with_a_half_hour_offset_fires_by_its_own_clock() {
    check(
        "0 0 9 * * MON-FRI",
        "Asia/Kolkata",
        "2026-01-02T12:00:00Z",
        &["2026-01-05T03:30:00Z", "2026-01-06T03:30:00Z"],
    );
    check(
        "0 0 * * * *",
        "Asia/Kolkata",
        "2026-01-02T12:00:00Z",
        &["2026-01-02T12:30:00Z"],
    );
}

#[test]
fn a_leap_day_fires_in_leap_years_only() {
    check(
        "0 0 0 29 2 *",
        "UTC",
        "2025-01-01T00:00:00Z",
        &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
    );
    check(
        "0 0 0 29 2 *",
        "UTC",
        "2096-03-01T00:00:00Z",
        &["2104-02-29T00:00:00Z"],
    );
}

#[test]
fn the_31st_fires_in_the_months_that_have_one() {
    check(
        "0 0 0 31 * *",
        "UTC",
        "2026-01-31T00:00:00Z",
        &["2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"],
    );
}

#[test]
fn l_is_the_last_day_of_the_month_whatever_its_length() {
    check(
        "0 0 22 L * *",
        "UTC",
        "2028-01-31T23:00:00Z",
        &[
            "2028-02-29T22:00:00Z",
            "2028-03-31T22:00:00Z",
            "2028-04-30T22:00:00Z",
        ],
    );
}

#[test]
fn a_number_sign_is_the_nth_such_weekday_of_the_month() {
    check(
        "0 0 12 * * FRI#3",
        "UTC",
        "2026-01-01T00:00:00Z",
        &["2026-01-16T12:00:00Z", "2026-02-20T12:00:00Z"],
    );
    check(
        "0 0 12 * * FRI#L",
        "UTC",
        "2026-01-01T00:00:00Z",
        &["2026-01-30T12:00:00Z", "2026-02-27T12:00:00Z"],
    );
}

#[test]
fn every_second_fires_at_the_next_whole_one() {
    check(
        "* * * * * *",
        "UTC",
        "2026-01-01T00:00:00.250Z",
        &["2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"],
    );
}

#[test]
fn instants_before_1970_are_no_special_case() {
    check(
        "*/7 * * * * *",
        "UTC",
        "1969-12-31T23:59:55.500Z",
        &["1969-12-31T23:59:56Z", "1970-01-01T00:00:00Z"],
    );
}

fn refused(expression: &str, zone: &str) -> String {
    CronSchedule::parse(expression, zone)
        .expect_err("no schedule")
        .to_string()
}

#[test]
fn a_wrong_part_is_named_with_its_column() {
    for (expression, expect) in [
        ("* 61 * * * *", "column 3: `61` is no minute"),
        ("0 0 24 * * *", "column 5: `24` is no hour"),
        ("0  5,7,99 * * * *", "column 8: `99` is no minute"),
        ("0 0 0 32 * *", "column 7: `32` is no day of month"),
        ("0 0 0 1 FOO *", "column 9: `FOO` is no month"),
        ("0 0 0 * * MOON", "column 11: `MOON` is no day of week"),
        ("é * * * * *", "column 1: `é` is no second"),
        ("*/0 * * * * *", "column 1: `*/0` is no second"),
    ] {
        let message = refused(expression, "UTC");
        assert!(message.contains(expect), "{message}");
    }
}

#[test]
fn an_expression_without_seconds_is_told_what_to_write() {
    assert_eq!(
        refused("*/5 * * * *", "UTC"),
        "cron expression `*/5 * * * *` has 5 fields, and 6 are needed: second, minute, hour, day of month, month, \
         day of week; with a second in front: `0 */5 * * * *`"
    );
    assert!(refused("@hourly", "UTC").contains("has 1 fields"));
    assert!(refused("", "UTC").contains("has 0 fields"));
}

#[test]
fn a_date_that_never_comes_is_refused() {
    assert_eq!(
        refused("0 0 0 30 2 *", "UTC"),
        "cron expression `0 0 0 30 2 *` never fires: no date fits it"
    );
}

#[test]
fn an_expression_beyond_the_bound_is_refused() {
    let message = refused(&"0,".repeat(1_000), "UTC");
    assert!(message.contains("2000 bytes"), "{message}");
}

#[test]
fn an_unknown_time_zone_is_answered_with_those_like_it() {
    for (zone, expect) in [
        ("Europe/Berln", "`Europe/Berlin`"),
        ("new york", "`America/New_York`"),
        ("asia/kolkata", "`Asia/Kolkata`"),
        ("", "an IANA name is needed"),
        ("+02:00", "an IANA name is needed"),
    ] {
        let message = refused("0 0 0 * * *", zone);
        assert!(message.contains(&format!("`{zone}`")), "{message}");
        assert!(message.contains(expect), "{message}");
    }
}
