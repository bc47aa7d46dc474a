//! `bulkhead up`: schedules, HTTP routes, feeds, and the built-in market-data server, until SIGINT or SIGTERM.

mod banner;
mod events;
pub mod feeds;
mod lock;
mod progress;
mod replay;
mod signals;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bulkhead_manifest::{Misfire, Trigger};
use bulkhead_store::{CRON_TRIGGER, RunFilter, Store, StoreError};
use bulkhead_telemetry::Bus;
use bulkhead_triggers::cron::{self, CronDriver, CronJob, CronSchedule, FiringPolicy, SystemTimer};
use bulkhead_triggers::http;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::arguments::{Global, Up};
use crate::deployment::{self, Deployment, Keeping, millis};
use crate::output;
use lock::Lock;
use signals::Signals;

/// What follows the first signal.
const LETTING_RUNS_FINISH: &str = "letting runs finish; once more ends at once";

pub async fn run(global: &Global, command: Up) -> anyhow::Result<ExitCode> {
    let app = deployment::manifest(global)?;
    let settings = replay::Settings::read(&app, &command)?;
    let plans = feeds::plans(global, &app)?;
    let deployment = Arc::new(Deployment::open(global, app, Keeping::Database)?);
    let mut lock = Lock::take(&global.data_dir)?;
    let listener = listen(&command).await?;
    lock.tell(listener.local_addr()?)?;
    let bus = events::start(global, &deployment)?;
    if let Some(warning) = exposure(command.listen) {
        output::talk(format!("warning: {warning}"));
    }
    let venue = match settings {
        Some(settings) => {
            Some(replay::Venue::prepare(settings, &*deployment.store, &deployment.clock).await?)
        }
        None => None,
    };
    let routes = routes(&deployment)?;
    let jobs = jobs(&deployment).await?;
    let mut signals = Signals::listen().context("listening for signals failed")?;
    banner::print(
        global,
        &deployment,
        &listener,
        &jobs,
        &plans,
        venue.as_ref(),
    )?;

    let (stop_firing, firing_stopped) = watch::channel(false);
    let (stop, stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        // A sender that is gone means the same as one that says stop.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let feeds = feeds::start(plans, &deployment);
    let serving = tokio::spawn(http::serve(
        listener,
        routes,
        Arc::clone(&deployment.supervisor),
        http::Beside {
            events: Some(Arc::clone(&bus)),
            health: feeds::health(feeds.as_ref()),
        },
        until(stopped.clone()),
    ));
    let firing = tokio::spawn(
        CronDriver::new(
            jobs,
            Arc::clone(&deployment.supervisor),
            Arc::new(SystemTimer::default()),
            Arc::clone(&deployment.entropy),
        )
        .run(until(firing_stopped)),
    );
    let replayed = replay::consumed(venue.as_ref().filter(|_| command.exit_when_replayed));
    let showing = tokio::spawn(progress::show(
        Arc::clone(&deployment.store),
        venue.as_ref().map(replay::Venue::replay),
        until(stopped.clone()),
    ));
    let venue = venue.map(|venue| venue.serve(until(stopped)));

    let is_replayed = tokio::select! {
        signal = signals.next() => {
            output::talk(format!("{signal}: {LETTING_RUNS_FINISH}"));
            false
        }
        () = replayed => true,
    };
    stop_firing.send_replace(true);
    firing.await?;
    let left = tokio::select! {
        left = feeds::stop(feeds, &deployment, command.shutdown_deadline) => left,
        signal = signals.next() => {
            let again = if is_replayed { "" } else { " again" };
            output::talk(format!("{signal}{again}: ended at once"));
            return Ok(ExitCode::FAILURE);
        }
    };
    let draining = if is_replayed {
        output::talk("the bars are served: what is left goes through the pipeline");
        drain(&deployment, &mut signals).await?
    } else {
        None
    };
    let deadline = match is_replayed {
        true => command.shutdown_deadline,
        false => left,
    };
    let tasks = Tasks {
        draining,
        bus,
        serving,
        venue,
        showing,
    };
    tokio::select! {
        ended = tasks.end(global, &deployment, deadline, &stop) => ended,
        signal = signals.next() => {
            output::talk(format!("{signal} again: ended at once"));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn listen(command: &Up) -> anyhow::Result<TcpListener> {
    TcpListener::bind(command.listen)
        .await
        .with_context(|| {
            format!(
                "serving HTTP on {} failed\n\nhint: end what listens there, or choose another address with --listen",
                command.listen
            )
        })
}

/// What runs beside the schedules until the end.
struct Tasks {
    draining: Option<JoinHandle<anyhow::Result<()>>>,
    bus: Arc<Bus>,
    serving: JoinHandle<Result<(), http::RouteError>>,
    venue: Option<JoinHandle<()>>,
    showing: JoinHandle<anyhow::Result<()>>,
}

impl Tasks {
    /// Lets runs finish until `deadline` has passed, then everything else.
    async fn end(
        self,
        global: &Global,
        deployment: &Deployment,
        deadline: Duration,
        stop: &watch::Sender<bool>,
    ) -> anyhow::Result<ExitCode> {
        let summary = deployment.supervisor.shutdown(deadline).await;
        if let Some(draining) = self.draining {
            draining.await??;
        }
        self.bus.stop().await;
        // The venue goes on until the runs have let go of it.
        stop.send_replace(true);
        self.serving.await?.map_err(|error| anyhow!(error))?;
        if let Some(venue) = self.venue {
            venue.await?;
        }
        self.showing.await??;
        if summary.cancelled > 0 {
            output::talk(format!(
                "{} runs were cancelled at the deadline of {} s",
                summary.cancelled,
                deadline.as_secs()
            ));
        }
        banner::farewell(global, deployment, &self.bus.statistics()).await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Brings what was served last through the pipeline. A signal ends that early: then the run that is going is left to
/// the shutdown, and the task that waits for it is given.
async fn drain(
    deployment: &Arc<Deployment>,
    signals: &mut Signals,
) -> anyhow::Result<Option<JoinHandle<anyhow::Result<()>>>> {
    let mut draining = tokio::spawn(replay::drain(Arc::clone(deployment)));
    tokio::select! {
        drained = &mut draining => drained?.map(|()| None),
        signal = signals.next() => {
            output::talk(format!("{signal}: {LETTING_RUNS_FINISH}"));
            Ok(Some(draining))
        }
    }
}

/// What is to be said where HTTP is served to other machines.
pub fn exposure(listen: SocketAddr) -> Option<String> {
    (!listen.ip().is_loopback()).then(|| {
        format!(
            "{listen} can be reached from other machines, and whoever reaches it can run stages"
        )
    })
}

fn routes(deployment: &Deployment) -> anyhow::Result<Vec<(http::Route, String)>> {
    deployment
        .app
        .triggers
        .iter()
        .filter_map(|trigger| match trigger {
            Trigger::Http {
                route, component, ..
            } => Some((route.to_string(), component.clone())),
            Trigger::Cron { .. } => None,
        })
        .map(|(route, component)| Ok((http::Route::parse(&route)?, component)))
        .collect()
}

async fn jobs(deployment: &Deployment) -> anyhow::Result<Vec<CronJob>> {
    let mut jobs = Vec::new();
    for trigger in &deployment.app.triggers {
        let Trigger::Cron {
            component: name,
            expression,
            ..
        } = trigger
        else {
            continue;
        };
        let component = deployment
            .app
            .components
            .get(name)
            .ok_or_else(|| anyhow!("no component `{name}`"))?;
        let policy = &component.schedule;
        jobs.push(CronJob {
            component: name.clone(),
            schedule: CronSchedule::parse(expression, &policy.time_zone)?,
            policy: FiringPolicy {
                jitter_ms: millis(policy.jitter),
                starting_deadline_ms: millis(policy.starting_deadline),
                misfire: match policy.misfire {
                    Misfire::Skip => cron::Misfire::Skip,
                    Misfire::FireOnce => cron::Misfire::FireOnce,
                },
            },
            input: "{}".into(),
            last_firing_ms: last_firing_ms(&*deployment.store, name).await?,
        });
    }
    Ok(jobs)
}

/// For when the last firing that the journal knows of was meant, in Unix milliseconds. Those since then were missed
/// while nothing ran. None: the schedule never fired.
async fn last_firing_ms(store: &dyn Store, component: &str) -> Result<Option<i64>, StoreError> {
    let filter = RunFilter {
        component: Some(component.to_owned()),
        trigger: Some(CRON_TRIGGER.to_owned()),
        limit: 1,
        ..RunFilter::default()
    };
    let runs = store.runs(&filter).await?;
    Ok(runs.first().map(|run| run.scheduled_at_ms))
}

#[cfg(test)]
mod tests {
    use bulkhead_store::{MemoryStore, RunRecord};

    use super::*;

    fn run(component: &str, trigger: &str, scheduled_at_ms: i64) -> RunRecord {
        RunRecord {
            run_id: format!("{component}-{scheduled_at_ms}"),
            component: component.into(),
            stage: component.into(),
            trigger: trigger.into(),
            scheduled_at_ms,
            started_at_ms: scheduled_at_ms + 7,
            finished_at_ms: scheduled_at_ms + 9,
            attempt: 1,
            status: "success".into(),
            reason: None,
            detail: None,
            host_calls: 0,
            denials: 0,
        }
    }

    #[tokio::test]
    async fn the_last_firing_is_the_newest_run_of_the_components_schedule() {
        let store = MemoryStore::new(0);
        assert_eq!(last_firing_ms(&store, "pulse").await.unwrap(), None);
        let runs = vec![
            run("pulse", "cron", 1_000),
            run("pulse", "cron", 6_000),
            run("pulse", "http", 7_000),
            run("ingest", "cron", 8_000),
        ];
        store.record_runs(runs).await.unwrap();
        assert_eq!(last_firing_ms(&store, "pulse").await.unwrap(), Some(6_000));
    }

    #[test]
    fn an_address_that_other_machines_reach_is_warned_of() {
        for (address, warned) in [
            ("127.0.0.1:3000", false),
            ("[::1]:3000", false),
            ("0.0.0.0:3000", true),
            ("192.0.2.1:3000", true),
            ("[::]:3000", true),
        ] {
            let warning = exposure(address.parse().unwrap());
            assert_eq!(warning.is_some(), warned, "{address}");
        }
    }
}
