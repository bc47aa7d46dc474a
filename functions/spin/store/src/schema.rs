use crate::StoreError;
use crate::sql::{Database, run};

/// One statement a table.
///
/// - `documents` keeps its rows in the index of their keys.
/// - `bars` keeps its rows in the order of a range scan; a value is an integer under its series' scale, and `revision`
///   tells an insertion from an update.
const TABLES: [&str; 3] = [
    include_str!("../sql/documents.sql"),
    include_str!("../sql/series.sql"),
    include_str!("../sql/bars.sql"),
];

/// Makes the tables where there are none. On a database that has them it only reads.
///
/// # Errors
/// [`StoreError::Unavailable`] when the database could not do it.
pub fn prepare(database: &impl Database) -> Result<(), StoreError> {
    for table in TABLES {
        run(database, "make the tables", table, &[])?;
    }
    Ok(())
}
