//! Bars in SQL. See `wit/market-data.wit` for the semantics.
//!
//! A series has one scale for its prices and one for its volumes, so that a read is a plain scan. Bars that come
//! under a larger scale raise the series' scale, and every bar it has is multiplied in the same transaction.
//!
//! # Errors
//! As in [`documents`](crate::documents).

use crate::bars::{Scales, Values, overflow};
use crate::sql::{Columns, Database, Row, Value, run, transaction};
use crate::{AppendSummary, Bars, BarsQuery, Series, StoreError};

const READ: &str = "read bars";
const LATEST: &str = "read the newest bar";
const APPEND: &str = "append bars";

/// Bars of one statement: a call into Spin for each bar would cost more than the work. With its seven columns it stays
/// far below the 32766 parameters that SQLite takes.
const BARS_PER_STATEMENT: usize = 500;

/// Reads bars, ascending, under the series' scales. A series that does not exist has no bars, under scale 0.
///
/// # Errors
/// See the module.
pub fn read(database: &impl Database, query: &BarsQuery) -> Result<Bars, StoreError> {
    query.validate()?;
    // One statement, hence one snapshot: the scales are those of the bars. The join keeps them where no bar is in range.
    let statement = if query.last {
        "SELECT s.price_scale, s.volume_scale, b.open_time_ms, b.open, b.high, b.low, b.close, b.volume
         FROM series AS s LEFT JOIN bars AS b
             ON b.series_id = s.series_id AND b.open_time_ms BETWEEN ?3 AND ?4
         WHERE s.instrument = ?1 AND s.timeframe = ?2 ORDER BY b.open_time_ms DESC LIMIT ?5"
    } else {
        "SELECT s.price_scale, s.volume_scale, b.open_time_ms, b.open, b.high, b.low, b.close, b.volume
         FROM series AS s LEFT JOIN bars AS b
             ON b.series_id = s.series_id AND b.open_time_ms BETWEEN ?3 AND ?4
         WHERE s.instrument = ?1 AND s.timeframe = ?2 ORDER BY b.open_time_ms ASC LIMIT ?5"
    };
    let start_ms = query.start_ms.unwrap_or(i64::MIN);
    let (start_ms, last_ms) = match query.end_ms.map(|end| end.checked_sub(1)) {
        None => (start_ms, i64::MAX),
        Some(Some(last)) => (start_ms, last),
        // Nothing is before the first instant: a range without any.
        Some(None) => (1, 0),
    };
    let rows = run(
        database,
        READ,
        statement,
        &[
            query.series.instrument.as_str().into(),
            query.series.timeframe.as_str().into(),
            start_ms.into(),
            last_ms.into(),
            i64::from(query.limit).into(),
        ],
    )?;
    let Some(first) = rows.first() else {
        return Ok(Bars::default());
    };
    let mut bars = Bars::with_capacity(scales(&mut Columns::of(READ, first))?, rows.len());
    for row in &rows {
        let mut columns = Columns::of(READ, row);
        scales(&mut columns)?;
        if let Some(open_time_ms) = columns.nullable_integer()? {
            bars.push(open_time_ms, values(&mut columns)?);
        }
    }
    if query.last {
        bars.reverse();
    }
    Ok(bars)
}

fn scales(columns: &mut Columns<'_>) -> Result<Scales, StoreError> {
    Ok(Scales {
        price: columns.scale()?,
        volume: columns.scale()?,
    })
}

fn values(columns: &mut Columns<'_>) -> Result<Values, StoreError> {
    Ok(Values {
        open: columns.integer()?,
        high: columns.integer()?,
        low: columns.integer()?,
        close: columns.integer()?,
        volume: columns.integer()?,
    })
}

/// The open time of the newest bar of a series, in Unix milliseconds. None: the series has no bar.
///
/// # Errors
/// See the module.
pub fn latest(database: &impl Database, series: &Series) -> Result<Option<i64>, StoreError> {
    series.validate()?;
    let rows = run(
        database,
        LATEST,
        "SELECT open_time_ms FROM bars
         WHERE series_id = (SELECT series_id FROM series WHERE instrument = ?1 AND timeframe = ?2)
         ORDER BY open_time_ms DESC LIMIT 1",
        &[
            series.instrument.as_str().into(),
            series.timeframe.as_str().into(),
        ],
    )?;
    rows.first()
        .map(|row| Columns::of(LATEST, row).integer())
        .transpose()
}

/// Stores bars, all or none. A bar that is there already is brought up to date. `now_ms` (Unix milliseconds) is noted as the
/// series' last change.
///
/// # Errors
/// See the module.
pub fn append(
    database: &impl Database,
    series: &Series,
    bars: &Bars,
    now_ms: i64,
) -> Result<AppendSummary, StoreError> {
    series.validate()?;
    bars.validate()?;
    if bars.is_empty() {
        return Ok(AppendSummary::default());
    }
    transaction(database, APPEND, |database| {
        let stored = stored_series(database, series)?;
        let scales = stored.map_or(bars.scales(), |(_, before)| before.covering(bars.scales()));
        let (series_id, is_rescaled) = match stored {
            None => (insert_series(database, series, scales, now_ms)?, false),
            Some((series_id, before)) if before == scales => (series_id, false),
            Some((series_id, before)) => {
                rescale(database, series_id, before, scales)?;
                (series_id, true)
            }
        };
        let summary = upsert(database, series_id, bars, scales)?;
        if is_rescaled || summary.inserted > 0 || summary.updated > 0 {
            run(
                database,
                APPEND,
                "UPDATE series SET price_scale = ?2, volume_scale = ?3, updated_at_ms = ?4 WHERE series_id = ?1",
                &[
                    series_id.into(),
                    i64::from(scales.price).into(),
                    i64::from(scales.volume).into(),
                    now_ms.into(),
                ],
            )?;
        }
        Ok(summary)
    })
}

fn stored_series(
    database: &impl Database,
    series: &Series,
) -> Result<Option<(i64, Scales)>, StoreError> {
    let rows = run(
        database,
        APPEND,
        "SELECT series_id, price_scale, volume_scale FROM series WHERE instrument = ?1 AND timeframe = ?2",
        &[
            series.instrument.as_str().into(),
            series.timeframe.as_str().into(),
        ],
    )?;
    let read = |row: &Row| {
        let mut columns = Columns::of(APPEND, row);
        Ok((columns.integer()?, scales(&mut columns)?))
    };
    rows.first().map(read).transpose()
}

fn insert_series(
    database: &impl Database,
    series: &Series,
    scales: Scales,
    now_ms: i64,
) -> Result<i64, StoreError> {
    let rows = run(
        database,
        APPEND,
        "INSERT INTO series (instrument, timeframe, price_scale, volume_scale, updated_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5) RETURNING series_id",
        &[
            series.instrument.as_str().into(),
            series.timeframe.as_str().into(),
            i64::from(scales.price).into(),
            i64::from(scales.volume).into(),
            now_ms.into(),
        ],
    )?;
    let row = rows.into_iter().next().unwrap_or_default();
    Columns::of(APPEND, &row).integer()
}

/// Multiplies all bars of a series, once it is sure that none overflows: SQLite would turn it into a float.
fn rescale(
    database: &impl Database,
    series_id: i64,
    before: Scales,
    after: Scales,
) -> Result<(), StoreError> {
    const OPERATION: &str = "rescale a series";
    let factors = before.factors_to(after);
    let extremes = run(
        database,
        OPERATION,
        "SELECT max(max(open, high, low, close)), min(min(open, high, low, close)), max(volume), min(volume)
         FROM bars WHERE series_id = ?1",
        &[series_id.into()],
    )?;
    if let Some(row) = extremes.first() {
        let mut columns = Columns::of(OPERATION, row);
        for factor in [factors.price, factors.price, factors.volume, factors.volume] {
            let extreme = columns.nullable_integer()?.unwrap_or(0);
            extreme.checked_mul(factor).ok_or_else(overflow)?;
        }
    }
    run(
        database,
        OPERATION,
        "UPDATE bars SET open = open * ?2, high = high * ?2, low = low * ?2, close = close * ?2,
             volume = volume * ?3
         WHERE series_id = ?1",
        &[
            series_id.into(),
            factors.price.into(),
            factors.volume.into(),
        ],
    )?;
    Ok(())
}

fn upsert(
    database: &impl Database,
    series_id: i64,
    bars: &Bars,
    scales: Scales,
) -> Result<AppendSummary, StoreError> {
    let rows: Vec<(i64, Values)> = bars.rescaled(scales).collect::<Result<_, _>>()?;
    let mut summary = AppendSummary::default();
    for chunk in rows.chunks(BARS_PER_STATEMENT) {
        let mut parameters: Vec<Value> = Vec::with_capacity(1 + chunk.len() * 6);
        parameters.push(series_id.into());
        for (open_time_ms, values) in chunk {
            parameters.extend(
                [
                    *open_time_ms,
                    values.open,
                    values.high,
                    values.low,
                    values.close,
                    values.volume,
                ]
                .map(Value::Integer),
            );
        }
        let changed = run(
            database,
            APPEND,
            &upsert_statement(chunk.len()),
            &parameters,
        )?;
        for row in &changed {
            match Columns::of(APPEND, row).integer()? {
                1 => summary.inserted += 1,
                _ => summary.updated += 1,
            }
        }
        // At most `BARS_PER_STATEMENT`.
        summary.unchanged += u32::try_from(chunk.len() - changed.len()).unwrap_or(0);
    }
    Ok(summary)
}

/// Puts so many bars, and answers a row for each that changed: with revision 1 where it was not there.
fn upsert_statement(bars: usize) -> String {
    let values = vec!["(?1, ?, ?, ?, ?, ?, ?, 1)"; bars].join(", ");
    format!(
        "INSERT INTO bars (series_id, open_time_ms, open, high, low, close, volume, revision) VALUES {values}
         ON CONFLICT DO UPDATE SET
             open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
             volume = excluded.volume, revision = revision + 1
         WHERE (open, high, low, close, volume)
             IS NOT (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
         RETURNING revision"
    )
}
