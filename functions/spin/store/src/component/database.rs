//! Spin's default database.

use std::cell::RefCell;

use super::bindings::spin::sqlite::sqlite;
use crate::{Database, Row, SqlError, StoreError, Value, prepare};

/// The database's name in the component's `sqlite_databases`.
const NAME: &str = "default";

thread_local! {
    /// The connection that this instance has open, with its tables made. Calls take it out: no two share it.
    static IDLE: RefCell<Option<sqlite::Connection>> = const { RefCell::new(None) };
}

/// Calls the store. A connection on which a call failed for the database's sake is closed, and with it what it may have
/// left open.
pub(super) fn with<T>(
    call: impl FnOnce(&sqlite::Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let idle = IDLE.with(|idle| idle.borrow_mut().take());
    let connection = match idle {
        Some(connection) => connection,
        None => open()?,
    };
    let answer = call(&connection);
    if matches!(
        answer,
        Ok(_) | Err(StoreError::Conflict { .. } | StoreError::Invalid(_))
    ) {
        IDLE.with(|idle| idle.replace(Some(connection)));
    }
    answer
}

fn open() -> Result<sqlite::Connection, StoreError> {
    let connection = sqlite::Connection::open(NAME).map_err(|error| StoreError::Unavailable {
        operation: "open Spin's database `default`",
        source: std::sync::Arc::new(SqlError::from(error)),
    })?;
    prepare(&connection)?;
    Ok(connection)
}

impl Database for sqlite::Connection {
    fn execute(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError> {
        let parameters: Vec<sqlite::Value> = parameters.iter().map(parameter).collect();
        let result = Self::execute(self, statement, &parameters)?;
        Ok(result
            .rows
            .into_iter()
            .map(|row| row.values.into_iter().map(value).collect())
            .collect())
    }
}

fn parameter(value: &Value) -> sqlite::Value {
    match value {
        Value::Integer(integer) => sqlite::Value::Integer(*integer),
        Value::Real(real) => sqlite::Value::Real(*real),
        Value::Text(text) => sqlite::Value::Text(text.clone()),
        Value::Blob(bytes) => sqlite::Value::Blob(bytes.clone()),
        Value::Null => sqlite::Value::Null,
    }
}

fn value(value: sqlite::Value) -> Value {
    match value {
        sqlite::Value::Integer(integer) => Value::Integer(integer),
        sqlite::Value::Real(real) => Value::Real(real),
        sqlite::Value::Text(text) => Value::Text(text),
        sqlite::Value::Blob(bytes) => Value::Blob(bytes),
        sqlite::Value::Null => Value::Null,
    }
}

impl From<sqlite::Error> for SqlError {
    fn from(error: sqlite::Error) -> Self {
        Self(match error {
            sqlite::Error::NoSuchDatabase => "there is no such database".to_owned(),
            sqlite::Error::AccessDenied => {
                "`sqlite_databases` of the component does not name it".to_owned()
            }
            sqlite::Error::InvalidConnection => "the connection is not valid".to_owned(),
            sqlite::Error::DatabaseFull => "the database is full".to_owned(),
            sqlite::Error::Io(text) => text,
        })
    }
}
