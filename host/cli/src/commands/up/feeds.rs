//! The feeds of a deployment: which there are, how they start and how they end.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_feeds::{Board, FeedPlan, Feeds, Host, TokioTimer};
use bulkhead_grants::egress::SystemResolver;
use bulkhead_manifest::ResolvedApp;
use bulkhead_triggers::http::{Health, HealthReport};

use crate::arguments::Global;
use crate::deployment::Deployment;
use crate::output;

/// The feeds that are turned on.
///
/// # Errors
/// One of them asks the venue for what it has no word for.
pub fn plans(global: &Global, app: &ResolvedApp) -> anyhow::Result<Vec<FeedPlan>> {
    let file_name = global.manifest.display().to_string();
    let mut plans = Vec::new();
    for component in app.components.values() {
        for feed in component.feeds.iter().filter(|feed| feed.is_enabled) {
            let grant = bulkhead_sandbox::feed_grant(component, &file_name)?;
            plans.push(FeedPlan::new(component, feed, grant)?);
        }
    }
    Ok(plans)
}

/// Starts them. None: there are none.
pub fn start(plans: Vec<FeedPlan>, deployment: &Deployment) -> Option<Feeds> {
    (!plans.is_empty()).then(|| {
        let host = Host {
            dialer: deployment.dialer.clone(),
            resolver: Arc::new(SystemResolver),
            supervisor: Arc::clone(&deployment.supervisor),
            store: Arc::clone(&deployment.store),
            clock: Arc::clone(&deployment.clock),
            timer: Arc::new(TokioTimer),
            entropy: Arc::clone(&deployment.entropy),
        };
        Feeds::start(plans, host)
    })
}

/// What `/health` says of them. None: there are none.
pub fn health(feeds: Option<&Feeds>) -> Option<Arc<dyn Health>> {
    feeds.map(|feeds| Arc::new(OfFeeds(feeds.board())) as Arc<dyn Health>)
}

struct OfFeeds(Arc<Board>);

impl Health for OfFeeds {
    fn report(&self) -> HealthReport {
        let health = self.0.health();
        HealthReport {
            is_healthy: health.is_healthy,
            body: health.body,
        }
    }
}

/// Stops them, and lets what has come be handed over until `deadline` has passed. Gives what is left of it.
pub async fn stop(feeds: Option<Feeds>, deployment: &Deployment, deadline: Duration) -> Duration {
    let Some(feeds) = feeds else {
        return deadline;
    };
    let began_ms = deployment.clock.now_ms();
    let summary = feeds.stop(deadline).await;
    if summary.undelivered > 0 {
        output::talk(format!(
            "{} frames of the feeds were not handed over; bars come again by polling",
            summary.undelivered
        ));
    }
    let took_ms = deployment.clock.now_ms().saturating_sub(began_ms);
    deadline.saturating_sub(Duration::from_millis(took_ms.max(0).unsigned_abs()))
}
