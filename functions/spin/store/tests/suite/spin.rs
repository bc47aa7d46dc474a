//! The store's SQL on a native SQLite, under the host's trait.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bulkhead_store as host;
use bulkhead_store::MemoryStore;
use futures::FutureExt as _;
use futures::future::{self, BoxFuture};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use spin_store::{Database, Row, SqlError, StoreError, Value, documents, market_data, prepare};

/// A connection as Spin gives one: a statement, its parameters by position, all rows at once.
pub struct Native(Connection);

impl Native {
    pub fn open(path: &Path) -> Self {
        Self(Connection::open(path).unwrap())
    }
}

impl Database for Native {
    fn execute(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError> {
        let execute = || -> rusqlite::Result<Vec<Row>> {
            let mut statement = self.0.prepare_cached(statement)?;
            let columns = statement.column_count();
            statement
                .query_map(params_from_iter(parameters.iter().map(Parameter)), |row| {
                    (0..columns).map(|at| Ok(value(row.get_ref(at)?))).collect()
                })?
                .collect()
        };
        execute().map_err(|error| SqlError(error.to_string()))
    }
}

struct Parameter<'v>(&'v Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Integer(integer) => ValueRef::Integer(*integer),
            Value::Real(real) => ValueRef::Real(*real),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            Value::Null => ValueRef::Null,
        }))
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(text) => Value::Text(std::str::from_utf8(text).unwrap().to_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_owned()),
        ValueRef::Null => Value::Null,
    }
}

/// The store of a deployment on Spin. The journal of runs is the host's own: here it is in memory.
pub struct SpinStore {
    database: Mutex<Native>,
    journal: MemoryStore,
}

impl SpinStore {
    pub fn open(path: &Path) -> Self {
        let database = Native::open(path);
        prepare(&database).unwrap();
        Self {
            database: Mutex::new(database),
            journal: MemoryStore::new(0).keeping_runs(crate::host_stores::RUNS_KEPT),
        }
    }

    /// As a new store of the host is.
    pub fn turn_the_kill_switch_off(&self) {
        let key = crate::host_stores::key(host::KILL_SWITCH_COLLECTION, host::KILL_SWITCH_ID);
        let body = host::KILL_SWITCH_BODY.to_owned();
        self.with(|database| {
            let write = spin_store::Write::Create {
                key: key_in(&key),
                body,
            };
            documents::commit(database, &[write], 0)
        })
        .unwrap();
    }

    fn with<T>(&self, call: impl FnOnce(&Native) -> T) -> T {
        call(&self.database.lock().unwrap())
    }

    fn answer<'a, T: Send + 'a>(
        &self,
        call: impl FnOnce(&Native) -> Result<T, StoreError>,
    ) -> BoxFuture<'a, Result<T, host::StoreError>> {
        future::ready(self.with(call).map_err(error_out)).boxed()
    }
}

impl host::Store for SpinStore {
    fn get<'a>(
        &'a self,
        key: &'a host::Key,
    ) -> BoxFuture<'a, Result<Option<host::Document>, host::StoreError>> {
        self.answer(|database| Ok(documents::get(database, &key_in(key))?.map(document_out)))
    }

    fn list<'a>(
        &'a self,
        query: &'a host::Query,
    ) -> BoxFuture<'a, Result<host::Page, host::StoreError>> {
        let query = spin_store::Query {
            collection: query.collection.clone(),
            prefix: query.prefix.clone(),
            start: query.start.clone(),
            end: query.end.clone(),
            order: match query.order {
                host::Order::Ascending => spin_store::Order::Ascending,
                host::Order::Descending => spin_store::Order::Descending,
            },
            limit: query.limit,
            cursor: query.cursor.clone(),
        };
        self.answer(|database| {
            let page = documents::list(database, &query)?;
            Ok(host::Page {
                documents: page.documents.into_iter().map(document_out).collect(),
                cursor: page.cursor,
            })
        })
    }

    fn count<'a>(&'a self, collection: &'a str) -> BoxFuture<'a, Result<u64, host::StoreError>> {
        if let Err(error) = host::validate_collection(collection) {
            return future::ready(Err(error)).boxed();
        }
        self.answer(|database| {
            let sql = "SELECT count(*) FROM documents WHERE collection = ?1";
            let rows = database.execute(sql, &[collection.into()]).unwrap();
            Ok(integer(&rows[0][0]).cast_unsigned())
        })
    }

    fn commit(
        &self,
        writes: Vec<host::Write>,
        now_ms: i64,
    ) -> BoxFuture<'_, Result<Vec<u64>, host::StoreError>> {
        let writes: Vec<_> = writes.into_iter().map(write_in).collect();
        self.answer(|database| documents::commit(database, &writes, now_ms))
    }

    fn append_bars(
        &self,
        series: host::Series,
        bars: host::Bars,
        now_ms: i64,
    ) -> BoxFuture<'_, Result<host::AppendSummary, host::StoreError>> {
        let bars = spin_store::Bars {
            price_scale: bars.price_scale,
            volume_scale: bars.volume_scale,
            open_time_ms: bars.open_time_ms,
            open: bars.open,
            high: bars.high,
            low: bars.low,
            close: bars.close,
            volume: bars.volume,
        };
        self.answer(|database| {
            let summary = market_data::append(database, &series_in(&series), &bars, now_ms)?;
            Ok(host::AppendSummary {
                inserted: summary.inserted,
                updated: summary.updated,
                unchanged: summary.unchanged,
            })
        })
    }

    fn read_bars<'a>(
        &'a self,
        query: &'a host::BarsQuery,
    ) -> BoxFuture<'a, Result<host::Bars, host::StoreError>> {
        let query = spin_store::BarsQuery {
            series: series_in(&query.series),
            start_ms: query.start_ms,
            end_ms: query.end_ms,
            limit: query.limit,
            last: query.last,
        };
        self.answer(|database| {
            let bars = market_data::read(database, &query)?;
            Ok(host::Bars {
                price_scale: bars.price_scale,
                volume_scale: bars.volume_scale,
                open_time_ms: bars.open_time_ms,
                open: bars.open,
                high: bars.high,
                low: bars.low,
                close: bars.close,
                volume: bars.volume,
            })
        })
    }

    fn latest<'a>(
        &'a self,
        series: &'a host::Series,
    ) -> BoxFuture<'a, Result<Option<i64>, host::StoreError>> {
        self.answer(|database| market_data::latest(database, &series_in(series)))
    }

    // Retention is the host's: here the suite's calls are carried out as they are said.
    fn delete_bars_before(
        &self,
        series: host::Series,
        before_ms: i64,
        limit: u32,
        _now_ms: i64,
    ) -> BoxFuture<'_, Result<u32, host::StoreError>> {
        self.answer(|database| {
            let name = [series.instrument.as_str().into(), series.timeframe.as_str().into()];
            let range = [&name[..], &[before_ms.into(), i64::from(limit).into()]].concat();
            let deleted = "DELETE FROM bars WHERE (series_id, open_time_ms) IN (
                               SELECT series_id, open_time_ms FROM bars JOIN series USING (series_id)
                               WHERE instrument = ?1 AND timeframe = ?2 AND open_time_ms < ?3
                               ORDER BY open_time_ms LIMIT ?4)
                           RETURNING open_time_ms";
            let deleted = database.execute(deleted, &range).unwrap().len();
            let emptied = "DELETE FROM series WHERE instrument = ?1 AND timeframe = ?2
                               AND series_id NOT IN (SELECT series_id FROM bars)";
            database.execute(emptied, &name).unwrap();
            Ok(u32::try_from(deleted).unwrap())
        })
    }

    fn count_bars_before<'a>(
        &'a self,
        series: &'a host::Series,
        before_ms: i64,
    ) -> BoxFuture<'a, Result<u64, host::StoreError>> {
        self.answer(|database| {
            let sql = "SELECT count(*) FROM bars JOIN series USING (series_id)
                       WHERE instrument = ?1 AND timeframe = ?2 AND open_time_ms < ?3";
            let parameters = [
                series.instrument.as_str().into(),
                series.timeframe.as_str().into(),
                before_ms.into(),
            ];
            let rows = database.execute(sql, &parameters).unwrap();
            Ok(integer(&rows[0][0]).cast_unsigned())
        })
    }

    fn series(&self) -> BoxFuture<'_, Result<Vec<host::SeriesSummary>, host::StoreError>> {
        self.answer(|database| {
            let sql = "SELECT instrument, timeframe, count(*), min(open_time_ms), max(open_time_ms)
                       FROM series JOIN bars USING (series_id)
                       GROUP BY series_id ORDER BY instrument, timeframe";
            let rows = database.execute(sql, &[]).unwrap();
            Ok(rows
                .iter()
                .map(|row| host::SeriesSummary {
                    series: host::Series::new(text(&row[0]), text(&row[1])).unwrap(),
                    count: integer(&row[2]).cast_unsigned(),
                    first_ms: integer(&row[3]),
                    last_ms: integer(&row[4]),
                })
                .collect())
        })
    }

    fn record_runs(
        &self,
        runs: Vec<host::RunRecord>,
    ) -> BoxFuture<'_, Result<(), host::StoreError>> {
        self.journal.record_runs(runs)
    }

    fn runs<'a>(
        &'a self,
        filter: &'a host::RunFilter,
    ) -> BoxFuture<'a, Result<Vec<host::RunRecord>, host::StoreError>> {
        self.journal.runs(filter)
    }

    fn run_counts(&self) -> BoxFuture<'_, Result<BTreeMap<String, u64>, host::StoreError>> {
        self.journal.run_counts()
    }
}

fn integer(value: &Value) -> i64 {
    match value {
        Value::Integer(integer) => *integer,
        other => panic!("no integer: {other:?}"),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}

fn key_in(key: &host::Key) -> spin_store::Key {
    spin_store::Key {
        collection: key.collection.clone(),
        id: key.id.clone(),
    }
}

fn series_in(series: &host::Series) -> spin_store::Series {
    spin_store::Series {
        instrument: series.instrument.clone(),
        timeframe: series.timeframe.clone(),
    }
}

fn write_in(write: host::Write) -> spin_store::Write {
    match write {
        host::Write::Create { key, body } => spin_store::Write::Create {
            key: key_in(&key),
            body,
        },
        host::Write::Replace {
            key,
            expected_revision,
            body,
        } => spin_store::Write::Replace {
            key: key_in(&key),
            expected_revision,
            body,
        },
        host::Write::Upsert { key, body } => spin_store::Write::Upsert {
            key: key_in(&key),
            body,
        },
        host::Write::Delete {
            key,
            expected_revision,
        } => spin_store::Write::Delete {
            key: key_in(&key),
            expected_revision,
        },
    }
}

fn document_out(document: spin_store::Document) -> host::Document {
    host::Document {
        key: host::Key {
            collection: document.key.collection,
            id: document.key.id,
        },
        revision: document.revision,
        body: document.body,
        updated_at_ms: document.updated_at_ms,
    }
}

fn error_out(error: StoreError) -> host::StoreError {
    match error {
        StoreError::Conflict {
            key,
            actual_revision,
        } => host::StoreError::Conflict {
            key: host::Key {
                collection: key.collection,
                id: key.id,
            },
            actual_revision,
        },
        StoreError::Invalid(text) => host::StoreError::Invalid(text),
        other => host::StoreError::Unavailable {
            operation: "call the store",
            source: Arc::new(other),
        },
    }
}
