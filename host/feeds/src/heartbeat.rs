//! The document that says that the feeds live.

use std::time::Duration;

use bulkhead_store::{Key, StoreError, Write};
use tokio::sync::watch;

use crate::board::Board;
use crate::feeds::{Host, stopped};

/// The collection of the heartbeat.
pub const HEARTBEAT_COLLECTION: &str = "ops";

/// The id of the heartbeat.
pub const HEARTBEAT_ID: &str = "market_ingest";

/// How often it is written.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);

/// Writes the heartbeat until told to stop.
pub(crate) async fn beat_until_stopped(
    board: &Board,
    host: &Host,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        beat(board, host).await;
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = host.timer.sleep(HEARTBEAT_EVERY) => {}
        }
    }
}

/// Writes it once. One that fails is counted, and the next one comes.
pub(crate) async fn beat(board: &Board, host: &Host) {
    let written = write(board, host).await;
    board.count_heartbeat(written.is_ok());
    if let Err(error) = written {
        tracing::warn!(%error, "heartbeat of the feeds not written");
    }
}

async fn write(board: &Board, host: &Host) -> Result<(), StoreError> {
    let key = Key::new(HEARTBEAT_COLLECTION, HEARTBEAT_ID)?;
    let body = board.heartbeat();
    host.store
        .commit(vec![Write::Upsert { key, body }], host.clock.now_ms())
        .await?;
    Ok(())
}
