//! Any sequence of calls has the same answers from both stores.

use bulkhead_store::{
    Bars, BarsQuery, Key, Order, Query, RUN_STATUSES, RunFilter, RunRecord, Series, Write,
};
use futures::executor::block_on;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::stores::{Shared, all_ids, memory, run, sqlite};

#[derive(Debug, Clone)]
enum Call {
    Commit(Vec<Write>),
    Get(Key),
    List(Query),
    Count(String),
    Append(Series, Bars),
    Read(BarsQuery),
    DeleteBefore(Series, i64, u32),
    CountBefore(Series, i64),
    Record(Vec<RunRecord>),
    Runs(RunFilter),
    Overview,
}

/// What a store answers, in full, errors included.
fn answer(store: &Shared, call: &Call, now_ms: i64) -> String {
    match call.clone() {
        Call::Commit(writes) => format!("{:?}", block_on(store.commit(writes, now_ms))),
        Call::Get(key) => format!("{:?}", block_on(store.get(&key))),
        Call::List(query) => {
            let page = block_on(store.list(&query));
            let whole = page.is_ok().then(|| all_ids(store, query));
            format!("{page:?} {whole:?}")
        }
        Call::Count(collection) => format!("{:?}", block_on(store.count(&collection))),
        Call::Append(series, bars) => {
            format!("{:?}", block_on(store.append_bars(series, bars, now_ms)))
        }
        Call::Read(query) => format!("{:?}", block_on(store.read_bars(&query))),
        Call::DeleteBefore(series, before_ms, limit) => {
            let deleted = store.delete_bars_before(series, before_ms, limit, now_ms);
            format!("{:?}", block_on(deleted))
        }
        Call::CountBefore(series, before_ms) => {
            format!(
                "{:?}",
                block_on(store.count_bars_before(&series, before_ms))
            )
        }
        Call::Record(runs) => format!("{:?}", block_on(store.record_runs(runs))),
        Call::Runs(filter) => format!("{:?}", block_on(store.runs(&filter))),
        Call::Overview => format!(
            "{:?} {:?}",
            block_on(store.series()),
            block_on(store.run_counts())
        ),
    }
}

fn collection() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just("orders".to_owned()),
        3 => Just("orders/open".to_owned()),
        1 => Just("not valid".to_owned()),
    ]
}

fn id() -> impl Strategy<Value = String> {
    "[ab\u{7f}é/]?[a-c]{1,2}"
}

fn key() -> impl Strategy<Value = Key> {
    (collection(), id()).prop_map(|(collection, id)| Key { collection, id })
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![20 => "[0-9]{1,3}|\"[a-z]{0,3}\"", 1 => Just("{".to_owned())]
}

fn write() -> impl Strategy<Value = Write> {
    let revision = 0_u64..4;
    prop_oneof![
        2 => (key(), body()).prop_map(|(key, body)| Write::Create { key, body }),
        3 => (key(), body()).prop_map(|(key, body)| Write::Upsert { key, body }),
        2 => (key(), revision.clone(), body()).prop_map(|(key, expected_revision, body)| {
            Write::Replace { key, expected_revision, body }
        }),
        2 => (key(), option::of(revision))
            .prop_map(|(key, expected_revision)| Write::Delete { key, expected_revision }),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let bound = || option::of("[a-c]{0,2}");
    let order = prop_oneof![Just(Order::Ascending), Just(Order::Descending)];
    (collection(), bound(), bound(), bound(), order, 0_u32..5).prop_map(
        |(collection, prefix, start, end, order, limit)| Query {
            collection,
            prefix,
            start,
            end,
            order,
            limit,
            cursor: None,
        },
    )
}

fn series() -> impl Strategy<Value = Series> {
    prop_oneof![Just("BTC-USD"), Just("ETH-USD")].prop_map(|instrument| Series {
        instrument: instrument.to_owned(),
        timeframe: "1m".to_owned(),
    })
}

fn bars() -> impl Strategy<Value = Bars> {
    let value = prop_oneof![20 => -3_i64..4, 1 => Just(i64::MAX / 1000)];
    let bar = (0_i64..20, vec(value, 5));
    (0_u8..6, 0_u8..6, vec(bar, 0..8)).prop_map(|(price_scale, volume_scale, mut rows)| {
        rows.sort_by_key(|(open_time_ms, _)| *open_time_ms);
        // An open time that comes twice stays now and then: it must be refused.
        if rows.len() < 7 {
            rows.dedup_by_key(|(open_time_ms, _)| *open_time_ms);
        }
        let column = |at: usize| rows.iter().map(|(_, values)| values[at]).collect();
        Bars {
            price_scale,
            volume_scale,
            open_time_ms: rows.iter().map(|(open_time_ms, _)| *open_time_ms).collect(),
            open: column(0),
            high: column(1),
            low: column(2),
            close: column(3),
            volume: column(4),
        }
    })
}

fn bars_query() -> impl Strategy<Value = BarsQuery> {
    let instant = || option::of(-1_i64..21);
    (series(), instant(), instant(), 0_u32..12, any::<bool>()).prop_map(
        |(series, start_ms, end_ms, limit, last)| BarsQuery {
            series,
            start_ms,
            end_ms,
            limit,
            last,
        },
    )
}

fn component() -> impl Strategy<Value = String> {
    "ingest|pulse"
}

fn status() -> impl Strategy<Value = String> {
    prop::sample::select(&RUN_STATUSES[..]).prop_map(str::to_owned)
}

fn trigger() -> impl Strategy<Value = String> {
    "cron|http"
}

fn run_record() -> impl Strategy<Value = RunRecord> {
    ("[a-z]{2}", component(), status(), trigger(), 0_i64..9).prop_map(
        |(id, component, status, trigger, at)| RunRecord {
            trigger,
            ..run(&id, &component, &status, at)
        },
    )
}

fn run_filter() -> impl Strategy<Value = RunFilter> {
    let before_ms = option::of(0_i64..10);
    (
        option::of(component()),
        option::of(status()),
        option::of(trigger()),
        0_u32..30,
        before_ms,
    )
        .prop_map(|(component, status, trigger, limit, before_ms)| RunFilter {
            component,
            status,
            trigger,
            limit,
            before_ms,
        })
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => vec(write(), 0..5).prop_map(Call::Commit),
        2 => key().prop_map(Call::Get),
        3 => query().prop_map(Call::List),
        1 => collection().prop_map(Call::Count),
        3 => (series(), bars()).prop_map(|(series, bars)| Call::Append(series, bars)),
        2 => bars_query().prop_map(Call::Read),
        1 => (series(), -1_i64..21, 1_u32..9)
            .prop_map(|(series, before_ms, limit)| Call::DeleteBefore(series, before_ms, limit)),
        1 => (series(), -1_i64..21).prop_map(|(series, before_ms)| Call::CountBefore(series, before_ms)),
        2 => vec(run_record(), 0..12).prop_map(Call::Record),
        1 => run_filter().prop_map(Call::Runs),
        1 => Just(Call::Overview),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_give_the_same_answers(calls in vec(call(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let (memory, sqlite) = (memory(), sqlite(&folder));
        for (at, call) in calls.iter().enumerate() {
            let now_ms = at as i64;
            prop_assert_eq!(answer(&memory, call, now_ms), answer(&sqlite, call, now_ms), "{:?}", call);
        }
    }
}
