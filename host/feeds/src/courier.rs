//! Batches on their way to the stage.

use std::fmt::Write as _;

use bulkhead_stage::{Outcome, TriggerKind};
use bulkhead_supervisor::{Completed, RunRequest, Verdict};
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::feeds::{FeedTask, stopped};
use crate::frame::Frame;
use crate::queue::BatchBounds;

/// The most bytes of a run's input.
pub const MAX_INPUT_BYTES: usize = 1024 * 1024;

/// Bytes of the input beside its frames: names and numbers.
const ENVELOPE_BYTES: usize = 2 * 1024;

/// The most bytes of a batch's frames as JSON, with the commas between them.
pub(crate) const MAX_FRAMES_BYTES: usize = MAX_INPUT_BYTES - ENVELOPE_BYTES;

/// Hands over what comes, in order, until the queue is closed and empty or the host starts no run any more.
pub(crate) async fn deliver_until_closed(task: &FeedTask, mut stop: watch::Receiver<bool>) {
    let batching = &task.plan.batching;
    let bounds = BatchBounds {
        frames: usize::try_from(batching.batch_frames).unwrap_or(usize::MAX),
        bytes: MAX_FRAMES_BYTES,
        window: batching.batch_window,
    };
    while let Some(batch) = task.queue.next_batch(bounds, &*task.host.timer).await {
        if deliver(task, &batch, &mut stop).await.is_err() {
            return;
        }
        task.status.batch_delivered(batch.len());
        task.queue.delivered();
    }
}

/// The host starts no run any more: the batch stays where it is.
struct ShuttingDown;

/// Runs the stage with a batch until it takes it. The supervisor tries again what may pass at once; beyond that the batch
/// is held here, at the head, with longer and longer pauses.
async fn deliver(
    task: &FeedTask,
    batch: &[Frame],
    stop: &mut watch::Receiver<bool>,
) -> Result<(), ShuttingDown> {
    let received_at_ms = batch.last().map_or(0, |frame| frame.received_at_ms);
    // The same text each time: what an attempt has stored already, the next one finds.
    let input = input(task, batch, received_at_ms);
    let mut backoff = Backoff::default();
    loop {
        let request = RunRequest {
            component: task.plan.component.clone(),
            trigger: TriggerKind::Feed,
            scheduled_at_ms: received_at_ms,
            input: input.clone(),
            traceparent: None,
            fake_mode: false,
        };
        let completed = task.host.supervisor.run(request).await;
        let Some(why) = undone(&completed) else {
            return Ok(());
        };
        if completed.verdict == Verdict::ShuttingDown {
            return Err(ShuttingDown);
        }
        task.status.batch_held(&why);
        let pause = backoff.pause(&*task.host.entropy);
        let feed = task.plan.name.as_str();
        tracing::warn!(
            feed,
            frames = batch.len(),
            why,
            ?pause,
            "batch not taken, is held"
        );
        pause_unless_stopped(task, pause, stop).await;
    }
}

/// Why a run did not do what it was for. None: it did.
pub(crate) fn undone(completed: &Completed) -> Option<String> {
    match &completed.finished.result {
        Ok(report) if report.outcome == Outcome::Hold => Some(format!(
            "hold: {}",
            report.reason.as_deref().unwrap_or("no reason given")
        )),
        Ok(_) if completed.verdict == Verdict::Ran => None,
        Ok(_) => Some("the run did not start".to_owned()),
        Err(failure) => Some(failure.to_string()),
    }
}

/// Waits. A stop that comes meanwhile ends the pause, so that what is held is tried once more at once.
pub(crate) async fn pause_unless_stopped(
    task: &FeedTask,
    pause: std::time::Duration,
    stop: &mut watch::Receiver<bool>,
) {
    let was_stopped = *stop.borrow();
    tokio::select! {
        biased;
        () = stopped(stop), if !was_stopped => {}
        () = task.host.timer.sleep(pause) => {}
    }
}

/// The stage's input. Each frame is a JSON string already.
fn input(task: &FeedTask, batch: &[Frame], received_at_ms: i64) -> String {
    let bytes: usize = batch.iter().map(|frame| frame.json.len() + 1).sum();
    let mut text = String::with_capacity(bytes + ENVELOPE_BYTES);
    let _ = write!(
        text,
        r#"{{"task":"frames","venue":"{}","received_at_ms":{received_at_ms},"frames":["#,
        task.plan.venue.as_str()
    );
    for (index, frame) in batch.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&frame.json);
    }
    let _ = write!(text, r#"],"feed":{}}}"#, task.status.for_the_stage());
    text
}
