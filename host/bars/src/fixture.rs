//! Bars for tests.

use bulkhead_store::{Bars, BarsQuery, MAX_READ_LIMIT, MemoryStore, Series, Store as _};
use futures::executor::block_on;
use proptest::prelude::*;

use crate::batch::{self, Scales};
use crate::{BATCH_BARS, BarReader, FileError, SourceRow};

pub fn series() -> Series {
    Series::new("BTC-USDT", "1m").unwrap()
}

/// All rows of a file.
pub fn read_all(reader: &mut impl BarReader) -> Result<Vec<SourceRow>, FileError> {
    let mut all = Vec::new();
    let mut rows = Vec::new();
    loop {
        reader.read(&mut rows)?;
        assert!(rows.len() <= BATCH_BARS);
        if rows.is_empty() {
            return Ok(all);
        }
        all.append(&mut rows);
    }
}

/// Good rows in columns, under the scales of `like`.
pub fn collected(rows: &[SourceRow], like: &Bars) -> Bars {
    let mut bars = batch::empty(Scales {
        price: like.price_scale,
        volume: like.volume_scale,
    });
    for row in rows {
        batch::push(&mut bars, row.row.as_ref().unwrap()).unwrap();
    }
    bars
}

/// All bars of [`series`].
pub fn all_bars(store: &MemoryStore) -> Bars {
    all_bars_of(store, series())
}

/// All bars of a series, of which there may be more than a page.
pub fn all_bars_of(store: &MemoryStore, series: Series) -> Bars {
    let mut query = BarsQuery {
        series,
        start_ms: None,
        end_ms: None,
        limit: MAX_READ_LIMIT,
        last: false,
    };
    let mut all = block_on(store.read_bars(&query)).unwrap();
    loop {
        query.start_ms = all.open_time_ms.last().map(|last| last + 1);
        let page = block_on(store.read_bars(&query)).unwrap();
        if page.is_empty() || all.is_empty() {
            return all;
        }
        all.open_time_ms.extend(page.open_time_ms);
        all.open.extend(page.open);
        all.high.extend(page.high);
        all.low.extend(page.low);
        all.close.extend(page.close);
        all.volume.extend(page.volume);
    }
}

/// Bars of one price that open then.
pub fn flat(open_time_ms: Vec<i64>) -> Bars {
    let prices = vec![4_631_950; open_time_ms.len()];
    Bars {
        price_scale: 2,
        volume_scale: 3,
        open: prices.clone(),
        high: prices.clone(),
        low: prices.clone(),
        close: prices.clone(),
        volume: prices,
        open_time_ms,
    }
}

/// Stores bars of [`series`] that open then.
pub fn put(store: &MemoryStore, open_times_ms: impl IntoIterator<Item = i64>) {
    let open_times_ms: Vec<i64> = open_times_ms.into_iter().collect();
    for page in open_times_ms.chunks(BATCH_BARS) {
        block_on(store.append_bars(series(), flat(page.to_vec()), 0)).unwrap();
    }
}

/// At least one bar, and at most so many: valid, a whole number of minutes apart, within days around 2022-01-01.
pub fn bars(most: usize) -> impl Strategy<Value = Bars> {
    let bar = (
        1_i64..3_000,
        1_i64..=i64::MAX / 4,
        0..3_i64,
        0..3_i64,
        0..=i64::MAX,
    );
    let rows = prop::collection::vec(bar, 1..=most);
    (0_u8..=12, 0_u8..=12, rows).prop_map(|(price_scale, volume_scale, rows)| {
        let mut bars = batch::empty(Scales {
            price: price_scale,
            volume: volume_scale,
        });
        let mut open_time_ms = 1_640_991_660_000;
        for (minutes, low, above, higher, volume) in rows {
            open_time_ms += minutes * 60_000;
            bars.open_time_ms.push(open_time_ms);
            bars.low.push(low);
            bars.close.push(low + above);
            bars.open.push(low + higher);
            bars.high.push(low + above.max(higher));
            bars.volume.push(volume);
        }
        bars
    })
}
