//! Which bars are stored, which are missing, and which are put aside.

use serde_json::json;
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::run::Polled;
use crate::world::{FIRST_MS, LATER_MS, MINUTE_MS, World, answered, kline};

/// When a run sees the bars of `minutes`.
fn after(minutes: i64) -> i64 {
    FIRST_MS + minutes * MINUTE_MS
}

#[test]
fn a_run_cut_short_at_any_store_call_neither_loses_nor_doubles_a_bar() {
    let world = || World::with_bars(0..2_300).with("instruments", "BTC-USDT,ETH-USDT");
    let whole = world();
    whole.poll_at(LATER_MS, "r1").unwrap();
    let mut cuts = 0;
    for cut in 0..100 {
        let cut_short = world();
        cut_short.cut_after.set(Some(cut));
        if cut_short.poll_at(LATER_MS, "r1").is_ok() {
            break;
        }
        cuts += 1;
        assert_eq!(cut_short.cut_after.get(), None, "the cut was met");
        cut_short.attempt(LATER_MS, "r1", 2).unwrap();
        for instrument in ["BTC-USDT", "ETH-USDT"] {
            assert_eq!(
                cut_short.stored_minutes(instrument),
                whole.stored_minutes(instrument),
                "cut {cut}"
            );
            let (known, expected) = (cut_short.series(instrument), whole.series(instrument));
            for fact in [
                "newest_open_time_ms",
                "missing_bars",
                "coverage",
                "close",
                "status",
            ] {
                assert_eq!(known[fact], expected[fact], "cut {cut}, {fact}");
            }
        }
        assert_eq!(cut_short.journal().len(), 1, "cut {cut}");
        assert_eq!(cut_short.state()["journal_documents"], 1);
    }
    // Three pages of two series, and the commit.
    assert_eq!(cuts, 7);
}

#[test]
fn a_gap_is_told_and_asked_for_again_until_it_is_filled() {
    let world = World::default();
    world.serve((0..10).chain(15..20));
    world.poll_at(after(20), "r1").unwrap();
    assert_eq!(world.series("BTC-USDT")["missing_bars"], 5);
    assert_eq!(world.series("BTC-USDT")["gaps"][0]["from_ms"], after(10));
    assert_eq!(world.journal()[0].1["recovery_attempts"], 1);
    // The venue was asked, and had none: it is not asked again with every bar.
    world.serve((0..10).chain(15..21));
    world.poll_at(after(21), "r2").unwrap();
    assert_eq!(world.journal()[1].1["recovery_attempts"], 0);
    world.serve(0..31);
    world.poll_at(after(31), "r3").unwrap();
    assert_eq!(
        world.stored_minutes("BTC-USDT"),
        (0..31).collect::<Vec<_>>()
    );
    assert_eq!(world.series("BTC-USDT")["missing_bars"], 0);
    assert_eq!(world.series("BTC-USDT")["gaps"], json!(null));
}

#[test]
fn a_series_is_not_asked_for_before_its_next_bar_can_have_closed() {
    let world = World::with_bars(0..5);
    world.poll_at(after(5), "r1").unwrap();
    let asked = world.requests.borrow().len();
    for (second, run) in [(1, "r2"), (59, "r3")] {
        let polled = world.poll_at(after(5) + second * 1_000, run);
        assert!(matches!(polled, Ok(Polled::NothingNew(_))));
    }
    assert_eq!(world.requests.borrow().len(), asked);
    world.serve(0..6);
    assert!(matches!(
        world.poll_at(after(6), "r4"),
        Ok(Polled::Stored(_))
    ));
}

#[test]
fn a_bar_that_somebody_else_stored_is_not_asked_for() {
    let world = World::with_bars(0..5);
    world.poll_at(after(5), "r1").unwrap();
    let asked = world.requests.borrow().len();
    let feeds = World::with_bars(5..6);
    feeds.poll_at(after(6), "r").unwrap();
    let bar = feeds.stored.borrow()["BTC-USDT"][&after(5)];
    let stored = &world.stored;
    stored
        .borrow_mut()
        .get_mut("BTC-USDT")
        .unwrap()
        .insert(after(5), bar);
    world.poll_at(after(6), "r2").unwrap();
    assert_eq!(world.requests.borrow().len(), asked);
    assert_eq!(world.series("BTC-USDT")["newest_open_time_ms"], after(5));
}

#[test]
fn bars_of_the_future_are_put_aside_as_such_and_the_running_one_is_left() {
    let world = World::with_bars(0..5);
    let Polled::Stored(record) = world.poll_at(after(2) + 30_000, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 1]);
    let aside: Vec<_> = record.quarantined.bars.iter().collect();
    assert_eq!(aside.len(), 2);
    assert!(aside.iter().all(|bar| bar.reason.starts_with("clock_skew")));
}

#[test]
fn a_jump_that_no_later_bar_supports_is_put_aside_and_one_that_does_is_stored() {
    let spike = json!([kline(0, "100"), kline(1, "1000"), kline(2, "101")]);
    let world = World::default().answers([answered(200, &spike)]);
    let Polled::Stored(record) = world.poll_at(after(3), "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 2]);
    assert_eq!(
        record.quarantined.bars[0].reason,
        "absurd_jump: 900 % from 100, above `max_bar_jump` 50 %"
    );
    let last = world.series("BTC-USDT")["last_quarantined"].clone();
    assert_eq!(last["open_time_ms"], after(1));

    // A new price stands alone at first, and is stored with the bar that supports it.
    let world = World::default();
    world.bars.replace(vec![kline(0, "100"), kline(1, "300")]);
    world.poll_at(after(2), "r1").unwrap();
    assert_eq!(world.stored_minutes("BTC-USDT"), [0]);
    world.bars.borrow_mut().push(kline(2, "310"));
    world.poll_at(after(3), "r2").unwrap();
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 1, 2]);
}

#[test]
fn a_price_that_changes_between_two_pages_is_measured_by_the_page_that_follows() {
    let world = World::default();
    let price = |minute| if minute < 999 { "100" } else { "300" };
    let bars = (0..1_500).map(|minute| kline(minute, price(minute)));
    world.bars.replace(bars.collect());
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(
        world.stored_minutes("BTC-USDT"),
        (0..1_500).collect::<Vec<_>>()
    );
    assert_eq!(record.quarantined.count, 0);
}

#[test]
fn a_page_out_of_order_is_asked_for_once_more_from_where_it_is_so() {
    let swapped = |minutes: std::ops::Range<i64>, first: i64| {
        let mut order: Vec<i64> = minutes.collect();
        let place = order.iter().position(|minute| *minute == first).unwrap();
        order.swap(place, place + 1);
        json!(
            order
                .iter()
                .map(|minute| kline(*minute, "1"))
                .collect::<Vec<_>>()
        )
    };
    let world = World::with_bars(0..2_400).answers([answered(200, swapped(0..1_000, 500))]);
    let Polled::Stored(record) = world.poll_at(LATER_MS, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(
        world.stored_minutes("BTC-USDT"),
        (0..2_400).collect::<Vec<_>>()
    );
    assert_eq!((record.pages, record.quarantined.count), (3, 1));
    assert_eq!(record.quarantined.bars[0].open_time_ms, after(500));
    assert_eq!(record.quarantined.bars[0].reason, "out_of_order");

    // A bar off the grid before it does not hide it.
    let off_grid = json!([after(0) + 30_000, "1", "1", "1", "1", "1"]);
    let first = json!([kline(0, "1"), off_grid, kline(2, "1"), kline(1, "1")]);
    let again = json!([kline(1, "1"), kline(2, "1")]);
    let world = World::default().answers([answered(200, first), answered(200, again)]);
    world.poll_at(after(3), "r1").unwrap();
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 1, 2]);

    // A venue that answers so twice is taken at its word, and the place of the bar is a gap.
    let answers = [swapped(0..4, 1), swapped(1..4, 1)].map(|page| answered(200, page));
    let world = World::default().answers(answers);
    world.poll_at(after(4), "r1").unwrap();
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 2, 3]);
    assert_eq!(world.series("BTC-USDT")["missing_bars"], 1);
}

#[test]
fn the_newest_stored_close_is_what_a_first_bar_is_measured_by() {
    let world = World::default();
    world.bars.replace(vec![kline(0, "100")]);
    world.poll_at(after(1), "r1").unwrap();
    world.bars.replace(vec![kline(1, "1000")]);
    world.poll_at(after(2), "r2").unwrap();
    assert_eq!(world.stored_minutes("BTC-USDT"), [0]);
}

#[test]
fn five_hundred_symbols_are_polled_in_one_run_each_with_a_handful_of_calls() {
    let names: Vec<String> = (0..500).map(|number| format!("A{number}-USDT")).collect();
    let world = World::with_bars(0..5).with("instruments", &names.join(","));
    world.poll_at(after(5), "r1").unwrap();
    world.serve(0..6);
    let asked = world.requests.borrow().len();
    let Polled::Stored(record) = world.poll_at(after(6), "r2").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(world.requests.borrow().len() - asked, 500);
    assert_eq!(
        (record.rows, record.symbols.len(), record.more_symbols),
        (500, 64, 436)
    );
    assert_eq!(
        world.stored_minutes("A499-USDT"),
        (0..6).collect::<Vec<_>>()
    );
}

#[test]
fn a_long_backfill_of_many_series_stays_within_the_bytes_of_a_run_and_goes_on() {
    let names: Vec<String> = (0..60).map(|number| format!("A{number}-USDT")).collect();
    let world = World::with_bars(0..5_000).with("instruments", &names.join(","));
    let mut runs = 0;
    while world.stored_minutes("A59-USDT").len() < 5_000 {
        runs += 1;
        world.poll_at(LATER_MS + runs, "r").unwrap();
        let bytes = world.requests.borrow_mut().drain(..).len() * 60_000;
        assert!(bytes < 16 << 20, "{bytes}");
        assert!(runs < 10);
    }
    assert!(runs > 1, "one run must not read everything");
    for name in names {
        assert_eq!(world.stored_minutes(&name).len(), 5_000, "{name}");
    }
}

/// A bar that somebody else stores.
fn store(world: &World, instrument: &str, opens_ms: i64, close: u32) {
    let price = close.into();
    let bar = bulkhead_kernel::bar::Bar {
        open_time_ms: opens_ms,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: 1.into(),
    };
    let mut stored = world.stored.borrow_mut();
    stored
        .entry(instrument.to_owned())
        .or_default()
        .insert(opens_ms, bar);
}

#[test]
fn a_spike_that_was_put_aside_is_not_asked_for_as_a_gap() {
    let world = World::default();
    let bars = [kline(0, "100"), kline(1, "1000"), kline(2, "101")];
    world.bars.replace(bars.to_vec());
    world.poll_at(after(3), "r1").unwrap();
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 2]);
    assert_eq!(world.requests.borrow().len(), 1);
    world.bars.borrow_mut().push(kline(3, "102"));
    world.poll_at(after(4) + 1_000_000, "r2").unwrap();
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 2, 3]);
    assert_eq!(world.requests.borrow().len(), 2);
}

#[test]
fn a_spike_within_a_gap_is_measured_by_the_stored_close_before_the_gap() {
    let world = World::default();
    let bars = [kline(0, "100"), kline(3, "1000"), kline(5, "101")];
    world.bars.replace(bars.to_vec());
    world.poll_at(after(6), "r1").unwrap();
    assert_eq!(world.requests.borrow().len(), 2, "the gap is asked for");
    assert_eq!(world.stored_minutes("BTC-USDT"), [0, 5]);
}

#[test]
fn a_bar_of_a_feed_ends_no_backfill() {
    let world = World::with_bars(0..50);
    store(&world, "BTC-USDT", after(49), 100);
    world.poll_at(after(50), "r1").unwrap();
    assert_eq!(
        world.stored_minutes("BTC-USDT"),
        (0..50).collect::<Vec<_>>()
    );
    assert_eq!(world.series("BTC-USDT")["missing_bars"], 0);
    assert_eq!(world.series("BTC-USDT")["filled_to_ms"], after(49));
}

#[test]
fn an_outage_longer_than_the_lookback_is_filled_though_a_feed_stored_a_bar_behind_it() {
    let world = World::with_bars(0..5);
    world.poll_at(after(5), "r1").unwrap();
    world.serve(0..5_000);
    store(&world, "BTC-USDT", after(4_999), 100);
    world.poll_at(after(5_000), "r2").unwrap();
    assert_eq!(
        world.stored_minutes("BTC-USDT"),
        (0..5_000).collect::<Vec<_>>()
    );
}

#[test]
fn a_gap_that_is_filled_says_nothing_of_whether_there_is_more() {
    let world = World::default();
    world.serve((0..9_000).chain(9_010..10_200));
    world.poll_at(after(10_200), "r1").unwrap();
    let journal = world.journal();
    assert_eq!(journal[0].1["recovery_attempts"], 1);
    assert_eq!(journal[0].1["symbols"][0]["is_behind"], true);
    assert_eq!(world.series("BTC-USDT")["is_behind"], true);
}

#[test]
fn a_new_series_begins_with_its_lookback_where_the_latest_bars_are_asked_for() {
    let world = World::with_bars(0..10_000).with("backfill_start", "latest");
    world.poll_at(after(10_000), "r1").unwrap();
    let minutes = world.stored_minutes("BTC-USDT");
    assert_eq!(
        (minutes.first(), minutes.last()),
        (Some(&(10_000 - 2 * 1_440)), Some(&9_999))
    );
    assert_eq!(world.series("BTC-USDT")["status"], "ok");
}

#[test]
fn a_daily_bar_of_another_venues_day_is_put_aside() {
    let day = 86_400_000;
    let at = |hours: i64| bulkhead_kernel::instant::rfc3339(3 * day + hours * 3_600_000);
    let bar = |time: String| json!({"t": time, "o": 100, "h": 100, "l": 100, "c": 100, "v": 1});
    let daily = json!({"bars": {"BTC/USD": [bar(at(5)), bar(at(25))]}, "next_page_token": null});
    let none = json!({"bars": {}, "next_page_token": null});
    let world = World::default()
        .with("market_data_venue", "alpaca")
        .with("instruments", "ETH-USD")
        .with("daily_bars", "BTC-USD")
        .answers([answered(200, &none), answered(200, &daily)]);
    store(&world, "BTC-USD", 2 * day, 100);
    let Polled::Stored(record) = world.poll_at(6 * day, "r1").unwrap() else {
        panic!("nothing stored")
    };
    assert_eq!(record.quarantined.count, 1);
    assert_eq!(record.quarantined.bars[0].reason, "off_grid");
    assert_eq!(
        record.quarantined.bars[0].open_time_ms,
        3 * day + 5 * 3_600_000
    );
}

#[test]
fn a_record_counts_every_series_of_which_there_is_more_though_it_names_but_some() {
    let names: Vec<String> = (0..300).map(|number| format!("A{number}-USDT")).collect();
    let world = World::with_bars(0..1_500).with("instruments", &names.join(","));
    let mut behind = vec![];
    while behind.last() != Some(&0) {
        let at_ms = LATER_MS + behind.len() as i64;
        let Polled::Stored(record) = world.poll_at(at_ms, "r").unwrap() else {
            panic!("nothing stored after {behind:?}")
        };
        if behind.is_empty() {
            let asked = record.symbols.len() + record.more_symbols;
            assert!(asked < 300, "a run has no room for a page of each");
        }
        let known = names.iter().map(|name| world.series(name));
        let known = known.filter(|known| known["is_behind"] == true);
        assert_eq!(record.behind, known.count());
        behind.push(record.behind);
    }
    assert_eq!(behind[0], 300);
    for name in names {
        assert_eq!(world.stored_minutes(&name).len(), 1_500, "{name}");
    }
}
