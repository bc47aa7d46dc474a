//! All feeds of a deployment: their start and their end.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_grants::dial::Dialer;
use bulkhead_grants::egress::Resolver;
use bulkhead_stage::Clock;
use bulkhead_store::Store;
use bulkhead_supervisor::{Entropy, Supervisor};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::board::Board;
use crate::plan::FeedPlan;
use crate::queue::FrameQueue;
use crate::status::Status;
use crate::timer::Timer;
use crate::{courier, gap, heartbeat, session};

/// What feeds need of their surroundings.
#[derive(Clone)]
pub struct Host {
    /// Opens connections that have a permit.
    pub dialer: Dialer,
    /// Turns names into addresses, for the gate.
    pub resolver: Arc<dyn Resolver>,
    /// Runs the stage.
    pub supervisor: Arc<Supervisor>,
    /// Takes the heartbeat.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How long something takes.
    pub timer: Arc<dyn Timer>,
    /// Where the length of pauses comes from.
    pub entropy: Arc<dyn Entropy>,
}

/// What the tasks of one feed share.
pub(crate) struct FeedTask {
    pub plan: Arc<FeedPlan>,
    pub queue: Arc<FrameQueue>,
    pub status: Arc<Status>,
    pub host: Host,
    /// Asks for a poll.
    pub gap: Notify,
}

/// How the stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopSummary {
    /// Frames that had come and could not be handed over before the deadline. They are gone; bars come again by polling.
    pub undelivered: usize,
}

/// Feeds that run until they are stopped.
pub struct Feeds {
    board: Arc<Board>,
    host: Host,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Feeds {
    /// Starts the feeds. Call it inside a tokio runtime.
    pub fn start(plans: Vec<FeedPlan>, host: Host) -> Self {
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let mut statuses = Vec::new();
        for plan in plans {
            let task = Arc::new(FeedTask::new(plan, host.clone()));
            statuses.push(Arc::clone(&task.status));
            let (reading, stopping) = (Arc::clone(&task), stop.subscribe());
            tasks.spawn(async move { session::read_until_stopped(&reading, stopping).await });
            let (delivering, stopping) = (Arc::clone(&task), stop.subscribe());
            tasks.spawn(async move { courier::deliver_until_closed(&delivering, stopping).await });
            let stopping = stop.subscribe();
            tasks.spawn(async move { gap::fill_until_stopped(&task, stopping).await });
        }
        let board = Arc::new(Board::new(statuses, Arc::clone(&host.clock)));
        let (beating, surroundings) = (Arc::clone(&board), host.clone());
        let stopping = stop.subscribe();
        tasks.spawn(async move {
            heartbeat::beat_until_stopped(&beating, &surroundings, stopping).await;
        });
        Self {
            board,
            host,
            stop,
            tasks,
        }
    }

    /// How all feeds are, for as long as anyone asks.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Closes the connections, hands over what has come until `deadline` has passed, and writes the last heartbeat. The
    /// supervisor must still start runs.
    pub async fn stop(mut self, deadline: Duration) -> StopSummary {
        self.stop.send_replace(true);
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::select! {
            biased;
            () = all_ended => {}
            () = self.host.timer.sleep(deadline) => {}
        }
        self.tasks.shutdown().await;
        for status in &self.board.statuses {
            status.stopped();
        }
        heartbeat::beat(&self.board, &self.host).await;
        StopSummary {
            undelivered: self.board.undelivered(),
        }
    }
}

impl FeedTask {
    fn new(plan: FeedPlan, host: Host) -> Self {
        let plan = Arc::new(plan);
        let bound = usize::try_from(plan.batching.queue_frames).unwrap_or(usize::MAX);
        let queue = Arc::new(FrameQueue::new(bound));
        let clock = Arc::clone(&host.clock);
        Self {
            status: Arc::new(Status::new(Arc::clone(&plan), Arc::clone(&queue), clock)),
            plan,
            queue,
            host,
            gap: Notify::new(),
        }
    }
}

/// Is ready once the feeds are to stop.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same as one that says stop.
    let _ = stop.wait_for(|stopped| *stopped).await;
}
