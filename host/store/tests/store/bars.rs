use bulkhead_store::{
    AppendSummary, Bars, BarsQuery, MAX_APPEND_BARS, MAX_READ_LIMIT, Series, SeriesSummary,
};
use futures::executor::block_on;

use crate::stores::{Shared, assert_invalid, bars, on_both_stores, series};

on_both_stores! {
    bars_appended_twice_change_nothing,
    an_append_counts_what_it_changed,
    the_last_bars_of_a_range_come_ascending,
    the_range_holds_its_start_and_not_its_end,
    a_series_without_bars_reads_empty,
    bars_of_a_larger_scale_raise_the_series_scale_exactly,
    bars_of_a_smaller_scale_are_read_under_the_series_scale,
    prices_and_volumes_have_scales_of_their_own,
    a_value_that_overflows_its_scale_is_refused_and_nothing_changes,
    malformed_bars_are_refused,
    every_series_is_listed_with_its_range,
    an_append_in_the_middle_keeps_the_order,
}

fn append(store: &Shared, bars: Bars) -> AppendSummary {
    block_on(store.append_bars(series(), bars, 0)).unwrap()
}

fn summary(inserted: u32, updated: u32, unchanged: u32) -> AppendSummary {
    AppendSummary {
        inserted,
        updated,
        unchanged,
    }
}

fn everything() -> BarsQuery {
    BarsQuery {
        series: series(),
        start_ms: None,
        end_ms: None,
        limit: MAX_READ_LIMIT,
        last: false,
    }
}

fn read(store: &Shared, query: &BarsQuery) -> Bars {
    let bars = block_on(store.read_bars(query)).unwrap();
    bars.validate().unwrap();
    bars
}

fn minutes(bars: &Bars) -> Vec<i64> {
    bars.open_time_ms
        .iter()
        .map(|open_time_ms| open_time_ms / 60_000)
        .collect()
}

fn bars_appended_twice_change_nothing(store: &Shared) {
    let written = bars(2, &[1, 2, 3], 150);
    assert_eq!(append(store, written.clone()), summary(3, 0, 0));
    assert_eq!(append(store, written.clone()), summary(0, 0, 3));
    assert_eq!(read(store, &everything()), written);
}

fn an_append_counts_what_it_changed(store: &Shared) {
    append(store, bars(0, &[1, 2, 3], 5));
    let mut next = bars(0, &[2, 3, 4], 5);
    next.close[1] = 6;
    assert_eq!(append(store, next), summary(1, 1, 1));
    assert_eq!(read(store, &everything()).close, [5, 5, 6, 5]);
    assert_eq!(append(store, bars(0, &[], 0)), summary(0, 0, 0));
}

fn the_last_bars_of_a_range_come_ascending(store: &Shared) {
    append(store, bars(0, &[1, 2, 3, 4, 5], 1));
    let check = |last, limit, start: Option<i64>, end: Option<i64>, expect: &[i64]| {
        let query = BarsQuery {
            start_ms: start.map(|minute| minute * 60_000),
            end_ms: end.map(|minute| minute * 60_000),
            limit,
            last,
            ..everything()
        };
        assert_eq!(minutes(&read(store, &query)), expect, "{query:?}");
    };
    check(false, 2, None, None, &[1, 2]);
    check(true, 2, None, None, &[4, 5]);
    check(true, 9, None, None, &[1, 2, 3, 4, 5]);
    check(true, 2, None, Some(4), &[2, 3]);
    check(false, 2, Some(3), None, &[3, 4]);
    check(true, 1, Some(2), Some(3), &[2]);
    check(true, 1, Some(3), Some(3), &[]);
    check(false, 1, Some(4), Some(2), &[]);
}

fn the_range_holds_its_start_and_not_its_end(store: &Shared) {
    let mut extreme = bars(0, &[0, 1, 2], 1);
    extreme.open_time_ms = vec![i64::MIN, 0, i64::MAX];
    append(store, extreme);
    let check = |start_ms, end_ms, expect: &[i64]| {
        let query = BarsQuery {
            start_ms,
            end_ms,
            ..everything()
        };
        assert_eq!(read(store, &query).open_time_ms, expect, "{query:?}");
    };
    check(None, None, &[i64::MIN, 0, i64::MAX]);
    check(Some(i64::MIN), Some(i64::MAX), &[i64::MIN, 0]);
    check(Some(0), Some(0), &[]);
    check(Some(0), Some(1), &[0]);
    check(None, Some(i64::MIN), &[]);
    check(Some(i64::MAX), None, &[i64::MAX]);
    assert_eq!(block_on(store.latest(&series())).unwrap(), Some(i64::MAX));
}

fn a_series_without_bars_reads_empty(store: &Shared) {
    append(store, bars(3, &[], 0));
    assert_eq!(read(store, &everything()), Bars::default());
    assert_eq!(block_on(store.latest(&series())).unwrap(), None);
    assert_eq!(block_on(store.series()).unwrap(), []);
}

fn bars_of_a_larger_scale_raise_the_series_scale_exactly(store: &Shared) {
    append(store, bars(1, &[1], 463_195));
    assert_eq!(
        append(store, bars(3, &[1, 2], 46_319_501)),
        summary(1, 1, 0)
    );
    assert_eq!(append(store, bars(5, &[3], -1)), summary(1, 0, 0));
    let found = read(store, &everything());
    assert_eq!((found.price_scale, found.volume_scale), (5, 5));
    assert_eq!(found.open, [4_631_950_100, 4_631_950_100, -1]);
    assert_eq!(found.volume, found.open);
}

fn bars_of_a_smaller_scale_are_read_under_the_series_scale(store: &Shared) {
    append(store, bars(4, &[1], 12_345));
    assert_eq!(append(store, bars(0, &[2], 7)), summary(1, 0, 0));
    assert_eq!(append(store, bars(1, &[2], 70)), summary(0, 0, 1));
    let found = read(store, &everything());
    assert_eq!(
        (found.price_scale, &found.close[..]),
        (4, &[12_345, 70_000][..])
    );
}

fn prices_and_volumes_have_scales_of_their_own(store: &Shared) {
    append(store, bars(1, &[1], 5));
    let mut next = bars(1, &[2], 5);
    next.volume_scale = 3;
    append(store, next);
    let found = read(store, &everything());
    assert_eq!((found.price_scale, found.volume_scale), (1, 3));
    assert_eq!(found.high, [5, 5]);
    assert_eq!(found.volume, [500, 5]);
}

fn a_value_that_overflows_its_scale_is_refused_and_nothing_changes(store: &Shared) {
    let largest = i64::MAX / 10;
    append(store, bars(1, &[1], largest));
    let before = read(store, &everything());
    // What is stored would overflow, then what comes in, then the smallest value there is.
    let refused = [
        bars(3, &[2], 1),
        bars(0, &[2], largest + 1),
        bars(0, &[2], i64::MIN),
    ];
    for bars in refused {
        assert_invalid(block_on(store.append_bars(series(), bars, 0)), "64 bits");
        assert_eq!(read(store, &everything()), before);
    }
    assert_eq!(append(store, bars(2, &[2], 1)), summary(1, 0, 0));
    assert_eq!(read(store, &everything()).low, [largest * 10, 1]);
    let mut late = bars(2, &[3, 4], 1);
    late.volume[1] = i64::MAX;
    late.volume_scale = 0;
    assert_invalid(block_on(store.append_bars(series(), late, 0)), "64 bits");
    assert_eq!(minutes(&read(store, &everything())), [1, 2]);
}

fn malformed_bars_are_refused(store: &Shared) {
    let check = |bars: Bars, names: &str| {
        assert_invalid(block_on(store.append_bars(series(), bars, 0)), names);
    };
    check(bars(13, &[1], 1), "price_scale 13");
    check(bars(0, &[2, 1], 1), "open_time_ms");
    check(bars(0, &[1, 1], 1), "open_time_ms");
    let mut ragged = bars(0, &[1, 2], 1);
    ragged.low.pop();
    check(ragged, "`low`: 1 values for 2 bars");
    let many: Vec<i64> = (0..=MAX_APPEND_BARS as i64).collect();
    check(bars(0, &many, 1), "10001 bars");
    let nameless = Series {
        instrument: String::new(),
        timeframe: "1m".to_owned(),
    };
    assert_invalid(block_on(store.latest(&nameless)), "instrument");
    assert_invalid(
        block_on(store.append_bars(nameless, bars(0, &[1], 1), 0)),
        "instrument",
    );
    for limit in [0, MAX_READ_LIMIT + 1] {
        let query = BarsQuery {
            limit,
            ..everything()
        };
        assert_invalid(block_on(store.read_bars(&query)), "limit");
    }
    assert_eq!(block_on(store.series()).unwrap(), []);
}

fn every_series_is_listed_with_its_range(store: &Shared) {
    let mut expect = Vec::new();
    for (instrument, timeframe) in [("AAPL", "1d"), ("BTC-USD", "1m"), ("BTC-USD", "5m")] {
        let series = Series::new(instrument, timeframe).unwrap();
        let written = bars(0, &[3, 5, 9], 1);
        block_on(store.append_bars(series.clone(), written.clone(), 0)).unwrap();
        block_on(store.append_bars(series.clone(), written, 0)).unwrap();
        expect.push(SeriesSummary {
            series,
            count: 3,
            first_ms: 180_000,
            last_ms: 540_000,
        });
    }
    assert_eq!(block_on(store.series()).unwrap(), expect);
}

fn an_append_in_the_middle_keeps_the_order(store: &Shared) {
    append(store, bars(0, &[1, 9], 1));
    assert_eq!(append(store, bars(0, &[0, 4, 9, 12], 1)), summary(3, 0, 1));
    assert_eq!(minutes(&read(store, &everything())), [0, 1, 4, 9, 12]);
    assert_eq!(block_on(store.latest(&series())).unwrap(), Some(720_000));
}
