//! The one thread that changes the file.
//!
//! Making a change durable costs a disk's flush, whatever its size. So the writer takes all the changes that wait,
//! carries them out in one transaction, and answers each once that is flushed. Each change has a savepoint: one that
//! fails is rolled back alone.

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use crate::error::Cause;
use crate::{StoreError, sqlite::fault};

/// Most changes that wait in the queue. Callers beyond it wait for a place.
pub(super) const MAX_QUEUED: usize = 256;
/// Most changes of one transaction, so that the first of them does not wait long.
const MAX_GROUP: usize = 128;

const OPERATION: &str = "commit a change";

/// A change in the queue.
pub(super) trait Change: Send {
    /// Carries it out. False: it failed, and what it did must be rolled back.
    fn apply(&mut self, connection: &Connection) -> bool;

    /// Answers the caller, once the transaction is durable or has failed.
    fn settle(self: Box<Self>, transaction: Result<(), StoreError>);
}

/// A change that a function carries out, and the caller that waits for what it gives.
pub(super) struct Pending<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Pending<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
{
    /// The change for the queue, and where its caller waits.
    pub fn queued(work: F) -> (Box<dyn Change>, oneshot::Receiver<Result<T, StoreError>>) {
        let (caller, answer) = oneshot::channel();
        let pending = Self {
            work: Some(work),
            result: None,
            caller,
        };
        (Box::new(pending), answer)
    }
}

impl<T, F> Change for Pending<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn apply(&mut self, connection: &Connection) -> bool {
        if let Some(work) = self.work.take() {
            self.result = Some(work(connection));
        }
        matches!(self.result, Some(Ok(_)))
    }

    fn settle(self: Box<Self>, transaction: Result<(), StoreError>) {
        // When the transaction failed, a conflict within it is no answer: what won the race is not stored either.
        let answer = match (transaction, self.result) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(unanswered()),
        };
        // A caller that no longer waits needs no answer.
        let _ = self.caller.send(answer);
    }
}

/// The writer has ended, or is about to.
pub(super) fn unanswered() -> StoreError {
    StoreError::Unavailable {
        operation: OPERATION,
        source: Cause::from(Box::from("the store's writer has ended")),
    }
}

/// Serves the queue until all its senders are gone, and leaves a file without a write-ahead log.
pub(super) fn serve(mut connection: Connection, mut queue: mpsc::Receiver<Box<dyn Change>>) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < MAX_GROUP
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        let transaction = carry_out(&mut connection, &mut group);
        for change in group {
            change.settle(transaction.clone());
        }
    }
    // Nothing is lost where this fails: the next opening reads the log.
    let checkpoint = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    if let Err(error) = checkpoint {
        tracing::warn!(%error, "the store was closed without a checkpoint");
    }
}

fn carry_out(connection: &mut Connection, group: &mut [Box<dyn Change>]) -> Result<(), StoreError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(fault(OPERATION))?;
    for change in group {
        execute(&transaction, "SAVEPOINT change")?;
        if !change.apply(&transaction) {
            // A full disk, for one, makes SQLite roll back all of the transaction: then this fails too.
            execute(&transaction, "ROLLBACK TO change")?;
        }
        execute(&transaction, "RELEASE change")?;
    }
    transaction.commit().map_err(fault(OPERATION))
}

fn execute(connection: &Connection, statement: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| statement.execute([]))
        .map(|_| ())
        .map_err(fault(OPERATION))
}
