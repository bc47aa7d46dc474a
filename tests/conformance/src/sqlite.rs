//! `spin:sqlite@3.1.0` over a native SQLite: the synchronous functions and their asynchronous twins.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ToSql, params_from_iter};
use wasmtime::component::{Accessor, FutureReader, HasData, Resource, StreamReader};
use wasmtime_wasi::WasiView as _;

use crate::bindings::spin::sqlite::sqlite::{
    Error, Host, HostConnection, HostConnectionWithStore, QueryResult, RowResult, Value,
};
use crate::spin::State;

/// Marks this host's own implementations.
pub struct Own;

impl HasData for Own {
    type Data<'a> = &'a mut State;
}

/// An open connection.
pub struct Connection(rusqlite::Connection);

impl Host for State {}

impl HostConnection for State {
    fn open(&mut self, database: String) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        if !self.component.sqlite_databases.contains(&database) {
            return Ok(Err(Error::AccessDenied));
        }
        if database != "default" {
            return Ok(Err(Error::NoSuchDatabase));
        }
        Ok(match rusqlite::Connection::open(&*self.database) {
            Ok(connection) => Ok(self.ctx().table.push(Connection(connection))?),
            Err(error) => Err(Error::Io(error.to_string())),
        })
    }

    fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let Connection(connection) = self.ctx().table.get(&connection)?;
        Ok(execute(connection, &statement, &parameters)
            .map_err(|error| Error::Io(error.to_string())))
    }

    fn last_insert_rowid(&mut self, connection: Resource<Connection>) -> wasmtime::Result<i64> {
        Ok(self.ctx().table.get(&connection)?.0.last_insert_rowid())
    }

    fn changes(&mut self, connection: Resource<Connection>) -> wasmtime::Result<u64> {
        Ok(self.ctx().table.get(&connection)?.0.changes())
    }

    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.ctx().table.delete(connection)?;
        Ok(())
    }
}

/// What an asynchronous execution answers: the columns, the rows, and how it ended.
type Streamed = (
    Vec<String>,
    StreamReader<RowResult>,
    FutureReader<Result<(), Error>>,
);

impl<T: Send> HostConnectionWithStore<T> for Own {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        database: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        accessor.with(|mut access| access.get().open(database))
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Streamed, Error>> {
        accessor.with(|mut access| {
            let result = access.get().execute(connection, statement, parameters)?;
            Ok(match result {
                Ok(result) => Ok((
                    result.columns,
                    StreamReader::new(&mut access, result.rows)?,
                    FutureReader::new(&mut access, async { wasmtime::error::Ok(Ok(())) })?,
                )),
                Err(error) => Err(error),
            })
        })
    }

    async fn last_insert_rowid_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<i64> {
        accessor.with(|mut access| access.get().last_insert_rowid(connection))
    }

    async fn changes_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
    ) -> wasmtime::Result<u64> {
        accessor.with(|mut access| access.get().changes(connection))
    }
}

fn execute(
    connection: &rusqlite::Connection,
    statement: &str,
    parameters: &[Value],
) -> rusqlite::Result<QueryResult> {
    let mut statement = connection.prepare_cached(statement)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let rows = statement
        .query_map(params_from_iter(parameters.iter().map(Parameter)), |row| {
            let values = (0..width).map(|at| Ok(value(row.get_ref(at)?)));
            Ok(RowResult {
                values: values.collect::<rusqlite::Result<_>>()?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(QueryResult { columns, rows })
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
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_owned()),
        ValueRef::Null => Value::Null,
    }
}
