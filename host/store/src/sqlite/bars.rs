//! Bars in SQL. See `wit/market-data.wit` for the semantics.
//!
//! A series has one scale for its prices and one for its volumes, so that a read is a plain scan. Bars that come
//! under a larger scale raise the series' scale, and every bar it has is multiplied in the same transaction; that
//! can happen at most twelve times for each of the two in the life of a series.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::bars::{MAX_SCALE, Scales, Values, overflow};
use crate::{AppendSummary, Bars, BarsQuery, Series, SeriesSummary, StoreError, sqlite::fault};

/// A row of `series`.
struct SeriesRow {
    id: i64,
    scales: Scales,
    bars: usize,
}

fn series_row(connection: &Connection, series: &Series) -> rusqlite::Result<Option<SeriesRow>> {
    connection
        .prepare_cached(
            "SELECT series_id, price_scale, volume_scale, bars FROM series
             WHERE instrument = ?1 AND timeframe = ?2",
        )?
        .query_row(params![series.instrument, series.timeframe], |row| {
            Ok(SeriesRow {
                id: row.get(0)?,
                scales: Scales {
                    price: scale(row, 1)?,
                    volume: scale(row, 2)?,
                },
                bars: usize::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
            })
        })
        .optional()
}

fn scale(row: &Row<'_>, column: usize) -> rusqlite::Result<u8> {
    let scale: u8 = row.get(column)?;
    if scale > MAX_SCALE {
        return Err(rusqlite::Error::IntegralValueOutOfRange(
            column,
            i64::from(scale),
        ));
    }
    Ok(scale)
}

pub(super) fn read(connection: &mut Connection, query: &BarsQuery) -> Result<Bars, StoreError> {
    read_rows(connection, query).map_err(fault("read bars"))
}

fn read_rows(connection: &mut Connection, query: &BarsQuery) -> rusqlite::Result<Bars> {
    // One snapshot: the scales must be those of the bars.
    let transaction = connection.transaction()?;
    let Some(series) = series_row(&transaction, &query.series)? else {
        return Ok(Bars::default());
    };
    let limit = query.limit as usize;
    let mut bars = Bars::with_capacity(series.scales, limit.min(series.bars));
    let Some(last_ms) = query
        .end_ms
        .map_or(Some(i64::MAX), |end| end.checked_sub(1))
    else {
        return Ok(bars);
    };
    let mut statement = transaction.prepare_cached(if query.last {
        "SELECT open_time_ms, open, high, low, close, volume FROM bars
         WHERE series_id = ?1 AND open_time_ms BETWEEN ?2 AND ?3 ORDER BY open_time_ms DESC LIMIT ?4"
    } else {
        "SELECT open_time_ms, open, high, low, close, volume FROM bars
         WHERE series_id = ?1 AND open_time_ms BETWEEN ?2 AND ?3 ORDER BY open_time_ms ASC LIMIT ?4"
    })?;
    let start_ms = query.start_ms.unwrap_or(i64::MIN);
    let mut rows = statement.query(params![series.id, start_ms, last_ms, query.limit])?;
    while let Some(row) = rows.next()? {
        bars.push(row.get(0)?, values(row, 1)?);
    }
    if query.last {
        bars.reverse();
    }
    Ok(bars)
}

fn values(row: &Row<'_>, first: usize) -> rusqlite::Result<Values> {
    Ok(Values {
        open: row.get(first)?,
        high: row.get(first + 1)?,
        low: row.get(first + 2)?,
        close: row.get(first + 3)?,
        volume: row.get(first + 4)?,
    })
}

pub(super) fn latest(connection: &Connection, series: &Series) -> Result<Option<i64>, StoreError> {
    let read = || {
        connection
            .prepare_cached(
                "SELECT open_time_ms FROM bars
                 WHERE series_id = (SELECT series_id FROM series WHERE instrument = ?1 AND timeframe = ?2)
                 ORDER BY open_time_ms DESC LIMIT 1",
            )?
            .query_row(params![series.instrument, series.timeframe], |row| {
                row.get(0)
            })
            .optional()
    };
    read().map_err(fault("read the newest bar"))
}

pub(super) fn summaries(connection: &Connection) -> Result<Vec<SeriesSummary>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(
            "SELECT instrument, timeframe, bars,
                 (SELECT min(open_time_ms) FROM bars WHERE bars.series_id = series.series_id),
                 (SELECT max(open_time_ms) FROM bars WHERE bars.series_id = series.series_id)
             FROM series ORDER BY instrument, timeframe",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(SeriesSummary {
                series: Series {
                    instrument: row.get(0)?,
                    timeframe: row.get(1)?,
                },
                count: row.get::<_, i64>(2)?.cast_unsigned(),
                first_ms: row.get(3)?,
                last_ms: row.get(4)?,
            })
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(fault("read the list of series"))
}

/// Stores the bars. On an error the caller rolls back what was done.
pub(super) fn append(
    connection: &Connection,
    series: &Series,
    bars: &Bars,
    now_ms: i64,
) -> Result<AppendSummary, StoreError> {
    const OPERATION: &str = "append bars";
    if bars.is_empty() {
        return Ok(AppendSummary::default());
    }
    let row = series_row(connection, series).map_err(fault(OPERATION))?;
    let scales = row
        .as_ref()
        .map_or(bars.scales(), |row| row.scales.covering(bars.scales()));
    let (series_id, rescaled) = match row {
        None => (
            insert_series(connection, series, scales, now_ms).map_err(fault(OPERATION))?,
            false,
        ),
        Some(row) if row.scales == scales => (row.id, false),
        Some(row) => {
            rescale(connection, &row, scales)?;
            (row.id, true)
        }
    };
    let summary = upsert(connection, series_id, bars, scales)?;
    if rescaled || summary.inserted > 0 || summary.updated > 0 {
        connection
            .prepare_cached(
                "UPDATE series SET bars = bars + ?2, price_scale = ?3, volume_scale = ?4, updated_at_ms = ?5
                 WHERE series_id = ?1",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    series_id,
                    summary.inserted,
                    scales.price,
                    scales.volume,
                    now_ms
                ])
            })
            .map_err(fault(OPERATION))?;
    }
    Ok(summary)
}

fn insert_series(
    connection: &Connection,
    series: &Series,
    scales: Scales,
    now_ms: i64,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO series (instrument, timeframe, price_scale, volume_scale, bars, updated_at_ms)
             VALUES (?1, ?2, ?3, ?4, 0, ?5)",
        )?
        .insert(params![
            series.instrument,
            series.timeframe,
            scales.price,
            scales.volume,
            now_ms
        ])
}

/// Multiplies all bars of a series, once it is sure that none overflows: SQLite would turn it into a float.
fn rescale(connection: &Connection, series: &SeriesRow, scales: Scales) -> Result<(), StoreError> {
    const OPERATION: &str = "rescale a series";
    let factors = series.scales.factors_to(scales);
    let extremes = connection
        .query_row(
            "SELECT max(max(open, high, low, close)), min(min(open, high, low, close)), max(volume), min(volume)
             FROM bars WHERE series_id = ?1",
            [series.id],
            |row| Ok([0, 1, 2, 3].map(|column| row.get::<_, Option<i64>>(column))),
        )
        .map_err(fault(OPERATION))?;
    for (extreme, factor) in
        extremes
            .into_iter()
            .zip([factors.price, factors.price, factors.volume, factors.volume])
    {
        let extreme = extreme.map_err(fault(OPERATION))?.unwrap_or(0);
        extreme.checked_mul(factor).ok_or_else(overflow)?;
    }
    connection
        .execute(
            "UPDATE bars SET open = open * ?2, high = high * ?2, low = low * ?2, close = close * ?2,
                 volume = volume * ?3
             WHERE series_id = ?1",
            params![series.id, factors.price, factors.volume],
        )
        .map_err(fault(OPERATION))?;
    Ok(())
}

fn upsert(
    connection: &Connection,
    series_id: i64,
    bars: &Bars,
    scales: Scales,
) -> Result<AppendSummary, StoreError> {
    let mut summary = AppendSummary::default();
    let mut upsert = Upsert::new(connection, series_id).map_err(fault("append bars"))?;
    for bar in bars.rescaled(scales) {
        let (open_time_ms, values) = bar?;
        let before = upsert
            .put(open_time_ms, values)
            .map_err(fault("append bars"))?;
        let counter = match before {
            None => &mut summary.inserted,
            Some(before) if before != values => &mut summary.updated,
            Some(_) => &mut summary.unchanged,
        };
        *counter += 1;
    }
    Ok(summary)
}

/// Puts bars into a series one by one.
struct Upsert<'c> {
    series_id: i64,
    /// The newest bar that the series had before: what opens later is new, without looking.
    newest_ms: Option<i64>,
    select: rusqlite::CachedStatement<'c>,
    insert: rusqlite::CachedStatement<'c>,
    update: rusqlite::CachedStatement<'c>,
}

impl<'c> Upsert<'c> {
    fn new(connection: &'c Connection, series_id: i64) -> rusqlite::Result<Self> {
        let newest_ms = connection
            .prepare_cached("SELECT max(open_time_ms) FROM bars WHERE series_id = ?1")?
            .query_row([series_id], |row| row.get(0))?;
        Ok(Self {
            series_id,
            newest_ms,
            select: connection.prepare_cached(
                "SELECT open, high, low, close, volume FROM bars WHERE series_id = ?1 AND open_time_ms = ?2",
            )?,
            insert: connection.prepare_cached(
                "INSERT INTO bars (series_id, open_time_ms, open, high, low, close, volume)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            update: connection.prepare_cached(
                "UPDATE bars SET open = ?3, high = ?4, low = ?5, close = ?6, volume = ?7
                 WHERE series_id = ?1 AND open_time_ms = ?2",
            )?,
        })
    }

    /// Puts one bar, and gives the values that it had.
    fn put(&mut self, open_time_ms: i64, after: Values) -> rusqlite::Result<Option<Values>> {
        let before = if self.newest_ms.is_some_and(|newest| open_time_ms <= newest) {
            self.select
                .query_row(params![self.series_id, open_time_ms], |row| values(row, 0))
                .optional()?
        } else {
            None
        };
        let change = match before {
            None => &mut self.insert,
            Some(before) if before != after => &mut self.update,
            Some(_) => return Ok(before),
        };
        change.execute(params![
            self.series_id,
            open_time_ms,
            after.open,
            after.high,
            after.low,
            after.close,
            after.volume
        ])?;
        Ok(before)
    }
}
