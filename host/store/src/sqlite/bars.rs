//! Bars in SQL. See `wit/market-data.wit` for the semantics.
//!
//! A series has one scale for its prices and one for its volumes, so that a read is a plain scan. Bars that come
//! under a larger scale raise the series' scale, and every bar it has is multiplied in the same transaction; that
//! can happen at most twelve times for each of the two in the life of a series.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::bars::{MAX_SCALE, Scales, Values, overflow};
use crate::{AppendSummary, Bars, BarsQuery, Series, SeriesSummary, StoreError, sqlite::fault};

// The statements that meet a whole table or a range of it. The tests hold each to a search in the index of the keys.

const SELECT_SERIES: &str = "SELECT series_id, price_scale, volume_scale, bars FROM series
     WHERE instrument = ?1 AND timeframe = ?2";
const SELECT_FIRST: &str = "SELECT open_time_ms, open, high, low, close, volume FROM bars
     WHERE series_id = ?1 AND open_time_ms BETWEEN ?2 AND ?3 ORDER BY open_time_ms ASC LIMIT ?4";
const SELECT_LAST: &str = "SELECT open_time_ms, open, high, low, close, volume FROM bars
     WHERE series_id = ?1 AND open_time_ms BETWEEN ?2 AND ?3 ORDER BY open_time_ms DESC LIMIT ?4";
const SELECT_NEWEST: &str = "SELECT open_time_ms FROM bars
     WHERE series_id = (SELECT series_id FROM series WHERE instrument = ?1 AND timeframe = ?2)
     ORDER BY open_time_ms DESC LIMIT 1";
const SELECT_SUMMARIES: &str = "SELECT instrument, timeframe, bars,
         (SELECT min(open_time_ms) FROM bars WHERE bars.series_id = series.series_id),
         (SELECT max(open_time_ms) FROM bars WHERE bars.series_id = series.series_id)
     FROM series ORDER BY instrument, timeframe";
const COUNT_BEFORE: &str = "SELECT count(*) FROM bars WHERE series_id = ?1 AND open_time_ms < ?2";
/// The oldest bar that a deletion of so many leaves.
const SELECT_FIRST_KEPT: &str = "SELECT open_time_ms FROM bars
     WHERE series_id = ?1 AND open_time_ms < ?2 ORDER BY open_time_ms LIMIT 1 OFFSET ?3";
const DELETE_BEFORE: &str = "DELETE FROM bars WHERE series_id = ?1 AND open_time_ms < ?2";
const DELETE_SERIES: &str = "DELETE FROM series WHERE series_id = ?1";

/// A row of `series`.
struct SeriesRow {
    id: i64,
    scales: Scales,
    bars: usize,
}

fn series_row(connection: &Connection, series: &Series) -> rusqlite::Result<Option<SeriesRow>> {
    connection
        .prepare_cached(SELECT_SERIES)?
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
        SELECT_LAST
    } else {
        SELECT_FIRST
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
            .prepare_cached(SELECT_NEWEST)?
            .query_row(params![series.instrument, series.timeframe], |row| {
                row.get(0)
            })
            .optional()
    };
    read().map_err(fault("read the newest bar"))
}

pub(super) fn summaries(connection: &Connection) -> Result<Vec<SeriesSummary>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(SELECT_SUMMARIES)?;
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

pub(super) fn count_before(
    connection: &mut Connection,
    series: &Series,
    before_ms: i64,
) -> Result<u64, StoreError> {
    let mut read = || {
        // One snapshot, as for a read.
        let transaction = connection.transaction()?;
        let Some(row) = series_row(&transaction, series)? else {
            return Ok(0);
        };
        transaction
            .prepare_cached(COUNT_BEFORE)?
            .query_row(params![row.id, before_ms], |row| row.get::<_, i64>(0))
            .map(i64::cast_unsigned)
    };
    read().map_err(fault("count bars"))
}

/// Deletes the oldest bars, and the series with the last of them.
pub(super) fn delete_before(
    connection: &Connection,
    series: &Series,
    before_ms: i64,
    limit: u32,
    now_ms: i64,
) -> Result<u32, StoreError> {
    let delete = || {
        let Some(row) = series_row(connection, series)? else {
            return Ok(0);
        };
        let first_kept: Option<i64> = connection
            .prepare_cached(SELECT_FIRST_KEPT)?
            .query_row(params![row.id, before_ms, limit], |row| row.get(0))
            .optional()?;
        let deleted = connection
            .prepare_cached(DELETE_BEFORE)?
            .execute(params![row.id, first_kept.unwrap_or(before_ms)])?;
        let is_emptied = deleted == row.bars;
        // The limit bounds it.
        let deleted = u32::try_from(deleted).unwrap_or(u32::MAX);
        if is_emptied {
            connection
                .prepare_cached(DELETE_SERIES)?
                .execute([row.id])?;
        } else if deleted > 0 {
            connection
                .prepare_cached(
                    "UPDATE series SET bars = bars - ?2, updated_at_ms = ?3 WHERE series_id = ?1",
                )?
                .execute(params![row.id, deleted, now_ms])?;
        }
        Ok(deleted)
    };
    delete().map_err(fault("delete bars"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteOptions, SqliteStore};

    /// How SQLite would carry out a statement: a line for each step.
    fn plan(connection: &Connection, statement: &str) -> Vec<String> {
        let mut explained = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
            .unwrap();
        for parameter in 1..=explained.parameter_count() {
            explained.raw_bind_parameter(parameter, 1).unwrap();
        }
        let mut rows = explained.raw_query();
        let mut steps = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            steps.push(row.get(3).unwrap());
        }
        steps
    }

    #[test]
    fn no_read_or_deletion_of_bars_looks_at_more_than_its_range_or_sorts() {
        const RANGE: &str = "SEARCH bars USING PRIMARY KEY (series_id=? AND open_time_ms";
        const SERIES: &str = "SEARCH bars USING PRIMARY KEY (series_id=?";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        drop(SqliteStore::open(&path, SqliteOptions::default()).unwrap());
        let connection = Connection::open(&path).unwrap();
        for (statement, expect) in [
            (SELECT_FIRST, vec![RANGE]),
            (SELECT_LAST, vec![RANGE]),
            (COUNT_BEFORE, vec![RANGE]),
            (SELECT_FIRST_KEPT, vec![RANGE]),
            (DELETE_BEFORE, vec![RANGE]),
            (
                SELECT_NEWEST,
                vec![SERIES, "SCALAR SUBQUERY", "SEARCH series USING"],
            ),
            (SELECT_SERIES, vec!["SEARCH series USING INDEX"]),
            // The bounds are a look-up each, and the count is kept.
            (
                SELECT_SUMMARIES,
                vec![
                    "SCAN series USING INDEX",
                    "CORRELATED SCALAR SUBQUERY",
                    SERIES,
                    "CORRELATED SCALAR SUBQUERY",
                    SERIES,
                ],
            ),
            // What refers to a series that goes is looked for by the series, too.
            (
                DELETE_SERIES,
                vec!["SEARCH series USING INTEGER PRIMARY KEY", SERIES],
            ),
        ] {
            let steps = plan(&connection, statement);
            let as_expected = steps.len() == expect.len()
                && steps
                    .iter()
                    .zip(&expect)
                    .all(|(step, expect)| step.starts_with(expect));
            assert!(as_expected, "{statement}: {steps:#?}");
        }
    }
}
