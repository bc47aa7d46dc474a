//! What came while there was no connection is missing: a poll fetches it.

use bulkhead_stage::TriggerKind;
use bulkhead_supervisor::{RunRequest, Verdict};
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::courier::{pause_unless_stopped, undone};
use crate::feeds::{FeedTask, stopped};

/// The input of a poll.
const POLL: &str = r#"{"task":"poll"}"#;

/// Polls each time that a connection stands, until a poll succeeds. Runs beside the batches, which do not wait for it.
pub(crate) async fn fill_until_stopped(task: &FeedTask, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = task.gap.notified() => {}
        }
        let mut backoff = Backoff::default();
        while !*stop.borrow() {
            let completed = task
                .host
                .supervisor
                .run(RunRequest {
                    component: task.plan.component.clone(),
                    trigger: TriggerKind::Feed,
                    scheduled_at_ms: task.host.clock.now_ms(),
                    input: POLL.to_owned(),
                    traceparent: None,
                    fake_mode: false,
                })
                .await;
            let Some(why) = undone(&completed) else {
                task.status.polled(true);
                break;
            };
            if completed.verdict == Verdict::ShuttingDown {
                return;
            }
            task.status.polled(false);
            let pause = backoff.pause(&*task.host.entropy);
            let feed = task.plan.name.as_str();
            tracing::warn!(feed, why, ?pause, "gap not filled, will be polled again");
            pause_unless_stopped(task, pause, &mut stop).await;
        }
    }
}
