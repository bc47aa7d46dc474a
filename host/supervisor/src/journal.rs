use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulkhead_stage::TriggerKind;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

/// Entries that may wait to be written. When they do, the runs that end wait too.
pub const JOURNAL_QUEUE: usize = 4_096;

/// Most entries of one write: enough to spread the cost of a durable commit, few enough to keep it short.
pub const JOURNAL_BATCH: usize = 512;

/// How long entries gather after a write before the next one, in milliseconds. What ends after a pause is written at once; in a
/// flood a durable commit holds many entries instead of three.
const JOURNAL_GATHER_MS: u64 = 10;

/// How often a failing write is tried before its entries are given up.
pub const JOURNAL_ATTEMPTS: u32 = 4;

/// Pause after the first failed write, in milliseconds. It doubles with each further one.
const JOURNAL_RETRY_MS: u64 = 100;

/// How a run, or a firing that never became one, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// The stage did its work.
    Success,
    /// The stage decided that nothing may be done.
    Hold,
    /// There was nothing to do, or the overlap policy kept the run from starting.
    Skipped,
    /// A firing that never became a run.
    Missed,
    /// The run gave no report.
    Failed,
}

impl RunStatus {
    /// The lower-case word used in the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Hold => "hold",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Failed => "failed",
        }
    }
}

/// One run, at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Identity of the run.
    pub run_id: String,
    /// The component's name in the manifest.
    pub component: String,
    /// The stage that the component is.
    pub stage: String,
    /// What started the run.
    pub trigger: TriggerKind,
    /// The instant the run was meant for, in Unix milliseconds.
    pub scheduled_at_ms: i64,
    /// When the run was taken up, in Unix milliseconds.
    pub started_at_ms: i64,
    /// When it ended, in Unix milliseconds.
    pub finished_at_ms: i64,
    /// Attempts made. 0: the run never started.
    pub attempt: u32,
    /// How it ended.
    pub status: RunStatus,
    /// Why, in a stable word.
    pub reason: Option<String>,
    /// Why, for a person.
    pub detail: Option<String>,
    /// Calls from the guest into the host, over all attempts.
    pub host_calls: u64,
    /// Requests and document accesses that the grants refused, over all attempts.
    pub denials: u32,
}

/// Why entries were not written.
#[derive(Debug, thiserror::Error)]
#[error("write the run journal")]
pub struct JournalError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

impl JournalError {
    /// An error with this cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// Where entries are kept.
pub trait Journal: Send + Sync + 'static {
    /// Writes the entries, all or none, and returns once they are durable. An entry may come twice, when a write
    /// failed after it had taken effect.
    fn record(&self, entries: Vec<JournalEntry>) -> BoxFuture<'_, Result<(), JournalError>>;
}

enum Message {
    Entry(JournalEntry),
    Flush(oneshot::Sender<()>),
}

/// The sending half of the journal's queue. The task behind it ends, all entries written, once this is dropped.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    queue: mpsc::Sender<Message>,
    /// Somebody waits for what is queued to be written.
    hurry: Arc<Notify>,
    lost: Arc<AtomicU64>,
}

impl JournalWriter {
    /// Starts the task that writes to `journal`.
    pub fn start(journal: Arc<dyn Journal>) -> Self {
        let (queue, messages) = mpsc::channel(JOURNAL_QUEUE);
        let hurry = Arc::new(Notify::new());
        let lost = Arc::new(AtomicU64::new(0));
        let batches = write_batches(journal, messages, Arc::clone(&hurry), Arc::clone(&lost));
        tokio::spawn(batches);
        Self { queue, hurry, lost }
    }

    /// Queues an entry; waits while the queue is full.
    pub async fn enter(&self, entry: JournalEntry) {
        if let Err(error) = self.queue.send(Message::Entry(entry)).await
            && let Message::Entry(entry) = error.0
        {
            self.give_up(&entry, "the journal's task has ended");
        }
    }

    /// Queues an entry from where nothing can wait.
    pub fn enter_now(&self, entry: JournalEntry) {
        if let Err(error) = self.queue.try_send(Message::Entry(entry))
            && let Message::Entry(entry) = error.into_inner()
        {
            self.give_up(&entry, "the journal's queue is full");
        }
    }

    /// Returns once every entry queued before is written or given up.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        let is_sent = self.queue.send(Message::Flush(done)).await.is_ok();
        self.hurry.notify_one();
        if !is_sent || wait.await.is_err() {
            tracing::error!("flush the run journal: the journal's task has ended");
        }
    }

    /// Entries given up.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn give_up(&self, entry: &JournalEntry, why: &str) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        tracing::error!(?entry, why, "run journal entry lost");
    }
}

async fn write_batches(
    journal: Arc<dyn Journal>,
    mut messages: mpsc::Receiver<Message>,
    hurry: Arc<Notify>,
    lost: Arc<AtomicU64>,
) {
    let mut received = Vec::with_capacity(JOURNAL_BATCH);
    while messages.recv_many(&mut received, JOURNAL_BATCH).await > 0 {
        let is_flood = received.len() == JOURNAL_BATCH;
        let mut entries = Vec::with_capacity(received.len());
        let mut flushes = Vec::new();
        for message in received.drain(..) {
            match message {
                Message::Entry(entry) => entries.push(entry),
                Message::Flush(done) => flushes.push(done),
            }
        }
        if !entries.is_empty() {
            write(&*journal, entries, &lost).await;
        }
        for done in flushes {
            // Whoever asked may have stopped waiting, which changes nothing here.
            let _ = done.send(());
        }
        if !is_flood {
            // Either the time is over or somebody waits.
            let _ = timeout(Duration::from_millis(JOURNAL_GATHER_MS), hurry.notified()).await;
        }
    }
}

async fn write(journal: &dyn Journal, entries: Vec<JournalEntry>, lost: &AtomicU64) {
    for attempt in 1..JOURNAL_ATTEMPTS {
        match journal.record(entries.clone()).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(error = ?error, attempt, entries = entries.len(), "run journal write failed");
            }
        }
        tokio::time::sleep(Duration::from_millis(JOURNAL_RETRY_MS << (attempt - 1))).await;
    }
    let count = entries.len();
    let first = entries.first().map(|entry| entry.run_id.clone());
    let last = entries.last().map(|entry| entry.run_id.clone());
    if let Err(error) = journal.record(entries).await {
        lost.fetch_add(count as u64, Ordering::Relaxed);
        tracing::error!(error = ?error, count, first, last, "run journal entries lost");
    }
}
