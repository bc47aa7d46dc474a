use bulkhead_store::{
    Bars, BarsQuery, Keep, MAX_DELETE_BARS, MAX_READ_LIMIT, RETENTION_BATCH_BARS, Retained,
    RetentionPolicy, Series, apply_retention, plan_retention,
};
use futures::executor::block_on;

use crate::stores::{Shared, assert_invalid, bars, on_both_stores, open, series};

on_both_stores! {
    the_oldest_bars_go_first_and_no_more_than_the_limit,
    a_series_whose_last_bar_goes_is_gone_with_its_scales,
    what_is_counted_is_what_a_deletion_would_take,
    a_deletion_without_a_bound_is_refused,
    a_plan_says_what_goes_and_deletes_nothing,
    retention_deletes_what_is_older_in_batches_and_leaves_the_rest,
    retention_stops_at_its_bound_and_goes_on_with_the_next_call,
    a_series_that_is_kept_for_ever_keeps_everything,
    only_the_chosen_series_give_bars_away,
}

const DAY_MINUTES: i64 = 24 * 60;
/// The day 100 after 1970-01-01, in Unix milliseconds.
const NOW_MS: i64 = 100 * DAY_MINUTES * 60_000;

fn append(store: &Shared, series: Series, bars: Bars) {
    block_on(store.append_bars(series, bars, 0)).unwrap();
}

fn delete(store: &Shared, minute: i64, limit: u32) -> u32 {
    block_on(store.delete_bars_before(series(), minute * 60_000, limit, 1)).unwrap()
}

fn minutes(store: &Shared) -> Vec<i64> {
    let query = BarsQuery {
        series: series(),
        start_ms: None,
        end_ms: None,
        limit: MAX_READ_LIMIT,
        last: false,
    };
    let bars = block_on(store.read_bars(&query)).unwrap();
    bars.open_time_ms.iter().map(|at| at / 60_000).collect()
}

fn count(store: &Shared, series: &Series) -> u64 {
    let all = block_on(store.series()).unwrap();
    all.iter()
        .find(|summary| summary.series == *series)
        .map_or(0, |summary| summary.count)
}

/// A bar each minute from so many minutes before [`NOW_MS`] to so many.
fn minute_bars_before_now(store: &Shared, from: i64, to: i64) {
    let all: Vec<i64> = (from..=to)
        .rev()
        .map(|before| 100 * DAY_MINUTES - before)
        .collect();
    for page in all.chunks(10_000) {
        append(store, series(), bars(0, page, 1));
    }
}

fn the_oldest_bars_go_first_and_no_more_than_the_limit(store: &Shared) {
    append(store, series(), bars(0, &[1, 2, 3, 5, 8], 1));
    assert_eq!(delete(store, 5, 2), 2);
    assert_eq!(minutes(store), [3, 5, 8]);
    assert_eq!(delete(store, 5, 2), 1);
    assert_eq!(delete(store, 5, 2), 0);
    assert_eq!(minutes(store), [5, 8]);
    let listed = block_on(store.series()).unwrap();
    assert_eq!((listed[0].count, listed[0].first_ms), (2, 300_000));
    let other = Series::new("ETH-USD", "1m").unwrap();
    assert_eq!(
        block_on(store.delete_bars_before(other, 300_000, 9, 1)).unwrap(),
        0
    );
}

fn a_series_whose_last_bar_goes_is_gone_with_its_scales(store: &Shared) {
    append(store, series(), bars(4, &[1, 2], 10_000));
    assert_eq!(delete(store, 9, 9), 2);
    assert_eq!(block_on(store.series()).unwrap(), []);
    assert_eq!(block_on(store.latest(&series())).unwrap(), None);
    append(store, series(), bars(0, &[3], 1));
    let query = BarsQuery {
        series: series(),
        start_ms: None,
        end_ms: None,
        limit: 1,
        last: true,
    };
    assert_eq!(block_on(store.read_bars(&query)).unwrap(), bars(0, &[3], 1));
}

fn what_is_counted_is_what_a_deletion_would_take(store: &Shared) {
    append(store, series(), bars(0, &[1, 2, 3, 5, 8], 1));
    for (minute, expect) in [(0, 0), (1, 0), (2, 1), (5, 3), (6, 4), (99, 5)] {
        let counted = block_on(store.count_bars_before(&series(), minute * 60_000));
        assert_eq!(counted.unwrap(), expect, "{minute}");
    }
    let other = Series::new("ETH-USD", "1m").unwrap();
    assert_eq!(
        block_on(store.count_bars_before(&other, i64::MAX)).unwrap(),
        0
    );
}

fn a_deletion_without_a_bound_is_refused(store: &Shared) {
    append(store, series(), bars(0, &[1], 1));
    for limit in [0, MAX_DELETE_BARS + 1] {
        let refused = store.delete_bars_before(series(), i64::MAX, limit, 1);
        assert_invalid(block_on(refused), "limit");
    }
    let nameless = Series {
        instrument: String::new(),
        timeframe: "1m".to_owned(),
    };
    assert_invalid(
        block_on(store.delete_bars_before(nameless.clone(), 0, 1, 1)),
        "instrument",
    );
    assert_invalid(
        block_on(store.count_bars_before(&nameless, 0)),
        "instrument",
    );
    assert_eq!(minutes(store), [1]);
}

fn a_plan_says_what_goes_and_deletes_nothing(store: &Shared) {
    minute_bars_before_now(store, 30 * DAY_MINUTES - 1, 30 * DAY_MINUTES + 20);
    let planned = block_on(plan_retention(
        store,
        &RetentionPolicy::default(),
        NOW_MS,
        |_| true,
    ))
    .unwrap();
    let expect = Retained {
        series: series(),
        before_ms: Some(70 * DAY_MINUTES * 60_000 - 60_000 + 1),
        deleted: 20,
        is_complete: true,
    };
    assert_eq!(planned, [expect]);
    assert_eq!(count(store, &series()), 22);
}

fn retention_deletes_what_is_older_in_batches_and_leaves_the_rest(store: &Shared) {
    let batch = i64::from(RETENTION_BATCH_BARS);
    minute_bars_before_now(
        store,
        30 * DAY_MINUTES - 1,
        30 * DAY_MINUTES + 2 * batch + 1,
    );
    let daily = Series::new("SPY", "1d").unwrap();
    append(
        store,
        daily.clone(),
        bars(0, &[0, DAY_MINUTES, 2 * DAY_MINUTES], 1),
    );
    let mut told = Vec::new();
    let policy = RetentionPolicy::default();
    let retained = block_on(apply_retention(
        store,
        &policy,
        NOW_MS,
        |_| true,
        100,
        |sum| told.push(sum),
    ));
    let deleted: Vec<_> = retained
        .unwrap()
        .iter()
        .map(|one| (one.deleted, one.is_complete))
        .collect();
    // Bars of a day are kept for a year: none goes.
    assert_eq!(deleted, [(2 * batch.cast_unsigned() + 1, true), (0, true)]);
    let batch = batch.cast_unsigned();
    assert_eq!(told, [batch, 2 * batch, 2 * batch + 1]);
    // The oldest that is left opens 30 days ago: all of the 30 days are covered.
    assert_eq!(minutes(store), [70 * DAY_MINUTES, 70 * DAY_MINUTES + 1]);
    assert_eq!(count(store, &daily), 3);
}

fn retention_stops_at_its_bound_and_goes_on_with_the_next_call(store: &Shared) {
    let batch = i64::from(RETENTION_BATCH_BARS);
    minute_bars_before_now(store, 30 * DAY_MINUTES - 1, 30 * DAY_MINUTES + batch + 5);
    let policy = RetentionPolicy::default();
    let mut ends = Vec::new();
    for _ in 0..3 {
        let retained =
            block_on(apply_retention(store, &policy, NOW_MS, |_| true, 1, |_| {})).unwrap();
        ends.push((retained[0].deleted, retained[0].is_complete));
    }
    assert_eq!(ends, [(batch.cast_unsigned(), false), (5, true), (0, true)]);
}

fn a_series_that_is_kept_for_ever_keeps_everything(store: &Shared) {
    minute_bars_before_now(store, 99 * DAY_MINUTES, 99 * DAY_MINUTES + 3);
    let policy = RetentionPolicy::new(Keep::Days(1), Keep::Forever).unwrap();
    let retained = block_on(apply_retention(store, &policy, NOW_MS, |_| true, 9, |_| {})).unwrap();
    assert_eq!((retained[0].before_ms, retained[0].deleted), (None, 0));
    assert_eq!(count(store, &series()), 4);
}

fn only_the_chosen_series_give_bars_away(store: &Shared) {
    minute_bars_before_now(store, 99 * DAY_MINUTES, 99 * DAY_MINUTES + 3);
    let other = Series::new("ETH-USD", "1m").unwrap();
    append(store, other.clone(), bars(0, &[1, 2], 1));
    let policy = RetentionPolicy::default();
    let chosen = |series: &Series| *series == other;
    let planned = block_on(plan_retention(store, &policy, NOW_MS, chosen)).unwrap();
    let retained = block_on(apply_retention(store, &policy, NOW_MS, chosen, 9, |_| {})).unwrap();
    assert_eq!(planned, retained);
    assert_eq!((retained.len(), retained[0].deleted), (1, 2));
    assert_eq!((count(store, &series()), count(store, &other)), (4, 0));
}

#[test]
fn a_writer_that_comes_while_bars_are_pruned_waits_for_one_batch_and_not_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let store: Shared = std::sync::Arc::new(open(&folder));
    let batch = i64::from(RETENTION_BATCH_BARS);
    minute_bars_before_now(&store, 30 * DAY_MINUTES, 30 * DAY_MINUTES + 4 * batch - 1);
    let (begun, waits) = std::sync::mpsc::channel();
    let writer = std::thread::spawn({
        let store = store.clone();
        move || {
            waits.recv().unwrap();
            append(
                &store,
                Series::new("ETH-USD", "1m").unwrap(),
                bars(0, &[1], 1),
            );
            count(&store, &series())
        }
    });
    let policy = RetentionPolicy::default();
    let (told, answers) = std::sync::mpsc::channel();
    let mut writer = Some(writer);
    let pruned = apply_retention(
        &store,
        &policy,
        NOW_MS,
        |_| true,
        100,
        |sum| {
            // The writer comes after the first batch; the second waits until the writer is done.
            if let Some(writer) = writer.take() {
                begun.send(()).unwrap();
                told.send((sum, writer.join().unwrap())).unwrap();
            }
        },
    );
    block_on(pruned).unwrap();
    let (sum, left) = answers.recv().unwrap();
    assert_eq!((sum, left), (5_000, 15_000));
    assert_eq!(count(&store, &series()), 1);
}
