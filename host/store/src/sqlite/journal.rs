//! The journal of runs in SQL.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};

use crate::{CRON_TRIGGER, MAX_RUNS_RECORDED, RunFilter, RunRecord, StoreError, sqlite::fault};

/// Most old runs that one record forgets. It is more than one record adds, so that the journal shrinks to its bound
/// where the bound was lowered, and no transaction is long.
const MAX_PRUNED: usize = 2 * MAX_RUNS_RECORDED;

/// Adds the records and forgets the oldest over `kept`. On an error the caller rolls back what was done.
pub(super) fn record(
    connection: &Connection,
    records: &[RunRecord],
    kept: u64,
) -> Result<(), StoreError> {
    let write = || {
        let mut insert = connection.prepare_cached(
            "INSERT INTO runs (run_id, component, stage, trigger_kind, scheduled_at_ms, started_at_ms,
                 finished_at_ms, attempt, status, reason, detail, host_calls, denials)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        let mut firing = connection.prepare_cached(
            "INSERT INTO firings (component, scheduled_at_ms, seq) VALUES (?1, ?2, ?3)
             ON CONFLICT (component) DO UPDATE SET scheduled_at_ms = excluded.scheduled_at_ms, seq = excluded.seq
             WHERE excluded.scheduled_at_ms >= firings.scheduled_at_ms",
        )?;
        let mut newest_seq = None;
        for run in records {
            let seq = insert.insert(params![
                run.run_id,
                run.component,
                run.stage,
                run.trigger,
                run.scheduled_at_ms,
                run.started_at_ms,
                run.finished_at_ms,
                run.attempt,
                run.status,
                run.reason,
                run.detail,
                run.host_calls.cast_signed(),
                run.denials,
            ])?;
            if run.trigger == CRON_TRIGGER {
                firing.execute(params![run.component, run.scheduled_at_ms, seq])?;
            }
            newest_seq = Some(seq);
        }
        match newest_seq {
            Some(newest_seq) => prune(connection, newest_seq, kept),
            None => Ok(()),
        }
    };
    write().map_err(fault("record runs"))
}

/// Among the newest, sequence numbers have no gaps: only older ones are ever removed.
fn prune(connection: &Connection, newest_seq: i64, kept: u64) -> rusqlite::Result<()> {
    let newest_forgotten = newest_seq.saturating_sub(i64::try_from(kept).unwrap_or(i64::MAX));
    if newest_forgotten > 0 {
        connection
            .prepare_cached(
                "DELETE FROM runs WHERE seq IN (
                     SELECT seq FROM runs WHERE seq <= ?1 AND seq NOT IN (SELECT seq FROM firings)
                     ORDER BY seq LIMIT ?2
                 )",
            )?
            .execute(params![newest_forgotten, MAX_PRUNED.cast_signed() as i64])?;
    }
    Ok(())
}

pub(super) fn read(
    connection: &Connection,
    filter: &RunFilter,
) -> Result<Vec<RunRecord>, StoreError> {
    let Some(last_ms) = filter
        .before_ms
        .map_or(Some(i64::MAX), |before| before.checked_sub(1))
    else {
        return Ok(Vec::new());
    };
    let mut conditions = String::from("started_at_ms <= ?");
    let mut values = vec![Value::Integer(last_ms)];
    for (column, wanted) in [
        ("component", &filter.component),
        ("status", &filter.status),
        ("trigger_kind", &filter.trigger),
    ] {
        if let Some(wanted) = wanted {
            conditions.push_str(" AND ");
            conditions.push_str(column);
            conditions.push_str(" = ?");
            values.push(Value::Text(wanted.clone()));
        }
    }
    values.push(Value::Integer(i64::from(filter.limit)));
    let read = || {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT run_id, component, stage, trigger_kind, scheduled_at_ms, started_at_ms, finished_at_ms,
                 attempt, status, reason, detail, host_calls, denials
             FROM runs WHERE {conditions} ORDER BY started_at_ms DESC, seq DESC LIMIT ?"
        ))?;
        statement
            .query_map(params_from_iter(values), run_record)?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    read().map_err(fault("read runs"))
}

fn run_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    Ok(RunRecord {
        run_id: row.get(0)?,
        component: row.get(1)?,
        stage: row.get(2)?,
        trigger: row.get(3)?,
        scheduled_at_ms: row.get(4)?,
        started_at_ms: row.get(5)?,
        finished_at_ms: row.get(6)?,
        attempt: row.get(7)?,
        status: row.get(8)?,
        reason: row.get(9)?,
        detail: row.get(10)?,
        host_calls: row.get::<_, i64>(11)?.cast_unsigned(),
        denials: row.get(12)?,
    })
}

pub(super) fn counts(connection: &Connection) -> Result<BTreeMap<String, u64>, StoreError> {
    let read = || {
        connection
            .prepare_cached("SELECT status, count(*) FROM runs GROUP BY status")?
            .query_map([], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()))
            })?
            .collect::<rusqlite::Result<BTreeMap<_, _>>>()
    };
    read().map_err(fault("count runs"))
}
