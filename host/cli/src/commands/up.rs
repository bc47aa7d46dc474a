//! `bulkhead up`: schedules, HTTP routes, and the built-in market-data server, until SIGINT or SIGTERM.

mod banner;
mod progress;
mod replay;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use bulkhead_manifest::{Misfire, Trigger};
use bulkhead_triggers::cron::{self, CronDriver, CronJob, CronSchedule, FiringPolicy, SystemTimer};
use bulkhead_triggers::http;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::arguments::{Global, Up};
use crate::deployment::{Deployment, Keeping, millis};
use crate::output;

pub async fn run(global: &Global, command: Up) -> anyhow::Result<ExitCode> {
    let deployment = Deployment::open(global, Keeping::Database)?;
    let listener = TcpListener::bind(command.listen)
        .await
        .with_context(|| {
            format!(
                "serving HTTP on {} failed\n\nhint: end what listens there, or choose another address with --listen",
                command.listen
            )
        })?;
    let venue = replay::Venue::prepare(&deployment.app, &command, &deployment.clock).await?;
    let routes = routes(&deployment)?;
    let jobs = jobs(&deployment)?;
    banner::print(global, &deployment, &listener, &jobs, venue.as_ref())?;

    let (stop_firing, firing_stopped) = watch::channel(false);
    let (stop, stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        // A sender that is gone means the same as one that says stop.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let serving = tokio::spawn(http::serve(
        listener,
        routes,
        Arc::clone(&deployment.supervisor),
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
    let replay = venue.as_ref().map(replay::Venue::replay);
    let venue = venue.map(|venue| venue.serve(until(stopped.clone())));
    let showing = tokio::spawn(progress::show(
        Arc::clone(&deployment.store),
        replay.clone(),
        until(stopped),
    ));

    let replayed = async {
        match replay.filter(|_| command.exit_when_replayed) {
            Some(replay) => replay::consumed(&replay).await,
            None => std::future::pending().await,
        }
    };
    let finished = tokio::select! {
        signal = signal() => {
            output::talk(format!("{}: letting runs finish", signal?));
            false
        }
        () = replayed => true,
    };
    stop_firing.send_replace(true);
    firing.await?;
    if finished {
        // Two runs of one stage would only get in each other's way: the last scheduled ones end first.
        deployment.supervisor.idle().await;
        replay::drain(&deployment).await?;
    }
    let summary = deployment
        .supervisor
        .shutdown(command.shutdown_deadline)
        .await;
    // The venue goes on until the runs have let go of it.
    stop.send_replace(true);
    serving.await?.map_err(|error| anyhow!(error))?;
    if let Some(venue) = venue {
        venue.await?;
    }
    showing.await??;
    if summary.cancelled > 0 {
        output::talk(format!(
            "{} runs were cancelled at the deadline of {} s",
            summary.cancelled,
            command.shutdown_deadline.as_secs()
        ));
    }
    banner::farewell(global, &deployment).await?;
    Ok(ExitCode::SUCCESS)
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

fn jobs(deployment: &Deployment) -> anyhow::Result<Vec<CronJob>> {
    deployment
        .app
        .triggers
        .iter()
        .filter_map(|trigger| match trigger {
            Trigger::Cron {
                component,
                expression,
                ..
            } => Some((component, expression)),
            Trigger::Http { .. } => None,
        })
        .map(|(name, expression)| {
            let component = deployment
                .app
                .components
                .get(name)
                .ok_or_else(|| anyhow!("no component `{name}`"))?;
            let policy = &component.schedule;
            Ok(CronJob {
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
                last_firing_ms: None,
            })
        })
        .collect()
}

/// The name of the signal that asks the host to end.
async fn signal() -> anyhow::Result<&'static str> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| "SIGINT").map_err(Into::into),
            _ = terminate.recv() => Ok("SIGTERM"),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await?;
        Ok("interrupt")
    }
}
