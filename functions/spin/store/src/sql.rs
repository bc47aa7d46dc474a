//! What the store needs of a database, and how its answers are read.

use std::sync::Arc;

use crate::StoreError;

/// A value of a column or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A 64-bit integer.
    Integer(i64),
    /// A binary float: in none of this store's columns.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// Nothing.
    Null,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(integer: i64) -> Self {
        Self::Integer(integer)
    }
}

/// A row of an answer.
pub type Row = Vec<Value>;

/// What a database says when it cannot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SqlError(pub String);

/// A connection to an SQLite database.
pub trait Database {
    /// Executes one statement, with its parameters by position, and gives all rows of its answer.
    ///
    /// # Errors
    /// What the database says.
    fn execute(&self, statement: &str, parameters: &[Value]) -> Result<Vec<Row>, SqlError>;
}

/// Executes a statement of `operation`.
pub(crate) fn run(
    database: &impl Database,
    operation: &'static str,
    statement: &str,
    parameters: &[Value],
) -> Result<Vec<Row>, StoreError> {
    database
        .execute(statement, parameters)
        .map_err(|error| StoreError::Unavailable {
            operation,
            source: Arc::new(error),
        })
}

/// Does `work` in one transaction: all of it, or on an error nothing.
pub(crate) fn transaction<D: Database, T>(
    database: &D,
    operation: &'static str,
    work: impl FnOnce(&D) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // At once for writing: a transaction that read first could find at its first write that another was before it.
    run(database, operation, "BEGIN IMMEDIATE", &[])?;
    let done = work(database).and_then(|done| {
        run(database, operation, "COMMIT", &[])?;
        Ok(done)
    });
    if let Err(error) = done {
        // Where SQLite has rolled back already (a full disk), this fails, and nothing is left to undo.
        let rolled_back = database.execute("ROLLBACK", &[]);
        return Err(match (rolled_back, error) {
            // The caller must not go on with a connection that may still be in the transaction.
            (Err(rollback), error @ (StoreError::Conflict { .. } | StoreError::Invalid(_))) => {
                StoreError::Unavailable {
                    operation,
                    source: Arc::new(SqlError(format!("{error}; then roll back: {rollback}"))),
                }
            }
            (_, error) => error,
        });
    }
    done
}

/// Reads the columns of a row.
pub(crate) struct Columns<'r> {
    operation: &'static str,
    values: std::slice::Iter<'r, Value>,
}

impl<'r> Columns<'r> {
    pub fn of(operation: &'static str, row: &'r Row) -> Self {
        Self {
            operation,
            values: row.iter(),
        }
    }

    pub fn integer(&mut self) -> Result<i64, StoreError> {
        match self.values.next() {
            Some(Value::Integer(integer)) => Ok(*integer),
            other => Err(self.corrupt("an integer", other)),
        }
    }

    /// None: the column is null.
    pub fn nullable_integer(&mut self) -> Result<Option<i64>, StoreError> {
        match self.values.next() {
            Some(Value::Integer(integer)) => Ok(Some(*integer)),
            Some(Value::Null) => Ok(None),
            other => Err(self.corrupt("an integer or null", other)),
        }
    }

    pub fn text(&mut self) -> Result<String, StoreError> {
        match self.values.next() {
            Some(Value::Text(text)) => Ok(text.clone()),
            other => Err(self.corrupt("a text", other)),
        }
    }

    pub fn scale(&mut self) -> Result<u8, StoreError> {
        let scale = self.integer()?;
        u8::try_from(scale)
            .ok()
            .filter(|scale| *scale <= crate::bars::MAX_SCALE)
            .ok_or_else(|| StoreError::Corrupt {
                operation: self.operation,
                detail: format!("a scale of {scale}"),
            })
    }

    fn corrupt(&self, expected: &str, found: Option<&Value>) -> StoreError {
        let found = match found {
            Some(Value::Integer(_)) => "an integer",
            Some(Value::Real(_)) => "a float",
            Some(Value::Text(_)) => "a text",
            Some(Value::Blob(_)) => "a blob",
            Some(Value::Null) => "null",
            None => "no column",
        };
        StoreError::Corrupt {
            operation: self.operation,
            detail: format!("{found} instead of {expected}"),
        }
    }
}
