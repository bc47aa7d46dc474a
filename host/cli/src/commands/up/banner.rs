//! What `up` prints: what it serves, what each stage may reach, when each schedule fires next, which feeds there are; and, at the end, what
//! came of it.

use bulkhead_feeds::FeedPlan;
use bulkhead_manifest::{Component, Role, Trigger};
use bulkhead_telemetry::Statistics;
use bulkhead_triggers::cron::{CronJob, Firing};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::super::status;
use super::replay::Venue;
use crate::arguments::Global;
use crate::deployment::Deployment;
use crate::output;

/// Before the first run.
pub fn print(
    global: &Global,
    deployment: &Deployment,
    listener: &TcpListener,
    jobs: &[CronJob],
    feeds: &[FeedPlan],
    venue: Option<&Venue>,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let app = &deployment.app;
    let now_ms = deployment.clock.now_ms();
    let firings: Vec<(&CronJob, Option<i64>)> = jobs
        .iter()
        .map(|job| {
            (
                job,
                job.schedule.next_after(now_ms).as_ref().map(Firing::at_ms),
            )
        })
        .collect();
    if global.json {
        let routes: Vec<Value> = routes(deployment)
            .map(|(route, component)| json!({"url": format!("http://{address}{route}"), "component": component}))
            .collect();
        let schedules: Vec<Value> = firings
            .iter()
            .map(|(job, next)| {
                json!({
                    "component": job.component,
                    "schedule": job.schedule.to_string(),
                    "next": next.map(output::instant),
                })
            })
            .collect();
        let reach: Vec<Value> = app
            .components
            .values()
            .map(|component| json!({"component": component.name, "may": may(component)}))
            .collect();
        return output::line(
            json!({
                "application": app.name,
                "market_data": venue.map(|venue| venue.description.clone()),
                "routes": routes,
                "authority": reach,
                "schedules": schedules,
                "feeds": feeds.iter().map(|feed| json!({
                    "name": feed.name,
                    "component": feed.component,
                    "venue": feed.venue.as_str(),
                    "url": feed.url.text,
                })).collect::<Vec<_>>(),
            })
            .to_string(),
        );
    }
    output::line(format!(
        "{} {} serves http://{address}",
        app.name, app.version
    ))?;
    if let Some(venue) = venue {
        output::line(format!("market data: {}", venue.description))?;
    }
    output::line("\nroutes")?;
    for (route, component) in routes(deployment) {
        output::line(format!("  http://{address}{route}  {component}"))?;
    }
    output::line("\nauthority")?;
    for component in app.components.values() {
        output::line(format!(
            "  {:<24} {}",
            component.name,
            may(component).join("; ")
        ))?;
    }
    output::line("\nschedules")?;
    for (job, next) in firings {
        output::line(format!(
            "  {:<24} {:<24} next {}",
            job.component,
            job.schedule.to_string(),
            next.map_or_else(|| "never".into(), output::instant),
        ))?;
    }
    if !feeds.is_empty() {
        output::line("\nfeeds")?;
    }
    for feed in feeds {
        output::line(format!(
            "  {:<24} {:<24} {}",
            feed.component, feed.name, feed.url
        ))?;
    }
    output::line("")
}

/// After the last run.
pub async fn farewell(
    global: &Global,
    deployment: &Deployment,
    events: &Statistics,
) -> anyhow::Result<()> {
    let stats = deployment.supervisor.stats();
    let total = stats.total();
    let bars: u64 = deployment
        .store
        .series()
        .await?
        .iter()
        .map(|series| series.count)
        .sum();
    let counts = status::counts(&*deployment.store).await?;
    if global.json {
        let documents: serde_json::Map<String, Value> = counts
            .iter()
            .map(|(collection, _, count)| ((*collection).to_owned(), (*count).into()))
            .collect();
        return output::line(
            json!({
                "bars": bars,
                "documents": documents,
                "runs": total,
                "journal_lost": stats.journal_lost,
                "events": events,
            })
            .to_string(),
        );
    }
    let mut parts = vec![format!("{bars} bars")];
    parts.extend(
        counts
            .iter()
            .map(|(_, words, count)| format!("{count} {words}")),
    );
    output::line(parts.join(", "))?;
    output::line(format!(
        "runs: {} success, {} hold, {} skipped, {} missed, {} failed",
        total.success, total.hold, total.skipped, total.missed, total.failed
    ))?;
    let texts = [lost(stats.journal_lost), super::events::lost(events)];
    for text in texts.into_iter().flatten() {
        output::line(text)?;
    }
    Ok(())
}

/// What is said of runs that are not in the journal because it could not be written.
fn lost(entries: u64) -> Option<String> {
    (entries > 0).then(|| {
        format!("journal: {entries} entries could not be written and are lost; the log says why")
    })
}

fn routes(deployment: &Deployment) -> impl Iterator<Item = (String, &str)> {
    deployment
        .app
        .triggers
        .iter()
        .filter_map(|trigger| match trigger {
            Trigger::Http {
                route, component, ..
            } => Some((route.to_string(), component.as_str())),
            Trigger::Cron { .. } => None,
        })
}

/// What a component may do, in the manifest's words.
fn may(component: &Component) -> Vec<String> {
    if matches!(component.role, Role::Strategy { .. }) {
        return vec!["nothing: a strategy has no authority".into()];
    }
    let mut list = Vec::new();
    for rule in &component.egress {
        let paths: Vec<&str> = rule.paths.iter().map(|path| path.as_str()).collect();
        // A component has no websockets: the host holds the feed, and gives it the frames.
        let held = if rule.host.text.starts_with("ws") {
            "fed by the host from "
        } else {
            ""
        };
        list.push(format!(
            "{held}{} {} {}{}",
            rule.class.as_str(),
            rule.methods.join(","),
            rule.host.text,
            paths.join(","),
        ));
    }
    if list.is_empty() {
        list.push("no network".into());
    }
    let names = |patterns: &[bulkhead_manifest::CollectionPattern]| {
        let names: Vec<&str> = patterns
            .iter()
            .map(|pattern| pattern.text.as_str())
            .collect();
        names.join(",")
    };
    if !component.documents.read.is_empty() {
        list.push(format!("read {}", names(&component.documents.read)));
    }
    if !component.documents.write.is_empty() {
        list.push(format!("write {}", names(&component.documents.write)));
    }
    match (component.market_data.read, component.market_data.append) {
        (true, true) => list.push("read and append bars".into()),
        (true, false) => list.push("read bars".into()),
        (false, true) => list.push("append bars".into()),
        (false, false) => {}
    }
    if !component.strategies.is_empty() {
        list.push(format!("ask {}", component.strategies.join(",")));
    }
    if !component.invoke.is_empty() {
        list.push(format!(
            "invoke {} in fake mode",
            component.invoke.join(",")
        ));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_journal_entries_are_told_where_there_are_any() {
        assert_eq!(lost(0), None);
        assert!(lost(3).unwrap().contains("3 entries"));
    }
}
