//! All feeds at a glance: the answer of `/health`, and the heartbeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_kernel::instant::rfc3339;
use bulkhead_stage::Clock;
use serde_json::{Map, Value, json};

use crate::status::{ConnectionState, Counters, Snapshot, Status};

/// What the health calls itself.
pub const SERVICE: &str = "market-ingest";

/// The answer of `/health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether every feed is fresh and delivers.
    pub is_healthy: bool,
    /// `{"status","service","last_tick_epoch_seconds","stats","feeds"}`, with `reason` where it is not healthy. JSON.
    pub body: String,
}

/// The statuses of all feeds.
pub struct Board {
    pub(crate) statuses: Vec<Arc<Status>>,
    clock: Arc<dyn Clock>,
    heartbeats_ok: AtomicU64,
    heartbeats_err: AtomicU64,
}

impl Board {
    pub(crate) fn new(statuses: Vec<Arc<Status>>, clock: Arc<dyn Clock>) -> Self {
        Self {
            statuses,
            clock,
            heartbeats_ok: AtomicU64::new(0),
            heartbeats_err: AtomicU64::new(0),
        }
    }

    /// How the feeds are now.
    pub fn health(&self) -> Health {
        let feeds = self.snapshots();
        let complaints: Vec<&str> = feeds
            .iter()
            .filter_map(|feed| feed.complaint.as_deref())
            .collect();
        let is_healthy = complaints.is_empty();
        let last_frame_at_ms = newest(&feeds).and_then(|feed| feed.last_frame_at_ms);
        let mut body = json!({
            "status": if is_healthy { "ok" } else { "unhealthy" },
            "service": SERVICE,
            "last_tick_epoch_seconds": last_frame_at_ms.map(|at_ms| at_ms / 1_000),
            "stats": self.stats(&feeds),
            "feeds": feeds.iter().map(|feed| &feed.shown).collect::<Vec<_>>(),
        });
        if !is_healthy {
            body["reason"] = complaints.join("; ").into();
        }
        Health {
            is_healthy,
            body: body.to_string(),
        }
    }

    /// How many feeds were refused for good.
    pub fn refused_for_good(&self) -> usize {
        let feeds = self.snapshots();
        let refused = feeds
            .iter()
            .filter(|feed| feed.connection == ConnectionState::Fatal);
        refused.count()
    }

    /// Frames that came and were neither delivered nor replaced.
    pub(crate) fn undelivered(&self) -> usize {
        self.snapshots().iter().map(|feed| feed.undelivered).sum()
    }

    /// The body of the heartbeat's document. JSON.
    pub(crate) fn heartbeat(&self) -> String {
        let feeds = self.snapshots();
        let by_name: Map<String, Value> = feeds
            .iter()
            .map(|feed| (feed.name.clone(), feed.shown.clone()))
            .collect();
        json!({
            "ts": rfc3339(self.clock.now_ms()),
            "status": status(&feeds),
            "last_symbol": newest(&feeds).and_then(|feed| feed.last_symbol.as_deref()),
            "feeds": by_name,
        })
        .to_string()
    }

    pub(crate) fn count_heartbeat(&self, is_written: bool) {
        let counter = match is_written {
            true => &self.heartbeats_ok,
            false => &self.heartbeats_err,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        self.statuses
            .iter()
            .map(|status| status.snapshot())
            .collect()
    }

    fn stats(&self, feeds: &[Snapshot]) -> Value {
        let mut total = Counters::default();
        for feed in feeds {
            total.add(&feed.counters);
        }
        let mut stats = serde_json::to_value(total).unwrap_or_default();
        stats["heartbeat_writes_ok"] = self.heartbeats_ok.load(Ordering::Relaxed).into();
        stats["heartbeat_writes_err"] = self.heartbeats_err.load(Ordering::Relaxed).into();
        stats
    }
}

/// The feed whose last frame is the newest of all.
fn newest(feeds: &[Snapshot]) -> Option<&Snapshot> {
    feeds
        .iter()
        .filter(|feed| feed.last_frame_at_ms.is_some())
        .max_by_key(|feed| feed.last_frame_at_ms)
}

/// One word for all: `running` when all do, `stopped` when none will any more.
fn status(feeds: &[Snapshot]) -> &'static str {
    let all =
        |states: &[ConnectionState]| feeds.iter().all(|feed| states.contains(&feed.connection));
    if all(&[ConnectionState::Running]) {
        "running"
    } else if all(&[ConnectionState::Stopped, ConnectionState::Fatal]) {
        "stopped"
    } else {
        "reconnecting"
    }
}
