//! How fresh and how good the market data is, and why: what the stage `ingest` and the host's feeds wrote down, as of now.
//!
//! [`look`] reads, [`of`] is a function of what was read. A document that cannot be read is told in its place.

mod graded;
mod rows;
#[cfg(test)]
mod tests;

use bulkhead_evaluators::dimension::Dimension;
use bulkhead_evaluators::scheduler;
use bulkhead_feeds::{HEARTBEAT_COLLECTION, HEARTBEAT_EVERY, HEARTBEAT_ID};
use bulkhead_kernel::assessment::{Assessment, history};
use bulkhead_kernel::instant::rfc3339;
use bulkhead_manifest::{ResolvedApp, StageKind};
use bulkhead_store::{Key, Query, SeriesSummary, Store, StoreError};
use ingest::series;
use ingest::settings::Origin;
use ingest::state::Memory;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::bars::age;
use super::word;
use crate::deployment::millis;
use crate::output;
use graded::Graded;
use rows::Row;

/// The most series that are shown as text, the worst first.
const MAX_SHOWN: usize = 20;
/// The longest summary that is shown as text, in characters.
const MAX_SUMMARY_CHARS: usize = 160;
/// The topics of market data begin so.
const TOPICS: [&str; 4] = [
    "telemetry.data_feed.",
    "telemetry.ingest.",
    "telemetry.data_backbone.",
    "telemetry.operational.slos",
];
/// So many heartbeats are missed before the host is said not to run.
const MISSED_HEARTBEATS: i64 = 3;
/// The document that says whether the last good bars stand.
const LAST_GOOD: (&str, &str) = ("ingest", "last_good");
/// The document that the runs of `ingest` go on from.
const STATE: (&str, &str) = ("ingest", "state");

/// What was read: bodies of documents, and what is stored of bars. None: there is no such document.
#[derive(Debug, Default)]
pub struct Found {
    pub series: Vec<SeriesSummary>,
    pub ledgers: Vec<(Dimension, String)>,
    pub last_good: Option<String>,
    /// By id.
    pub assessments: Vec<(String, String)>,
    /// What `ingest` remembers between its runs.
    pub state: Option<String>,
    pub heartbeat: Option<String>,
    /// The variable of the stage `ingest`, where the manifest has one.
    pub market_data_url: Option<String>,
}

/// Reads what there is.
pub async fn look(app: &ResolvedApp, store: &dyn Store) -> Result<Found, StoreError> {
    let mut ledgers = vec![];
    for dimension in [Dimension::DailyBars, Dimension::IntradayTrades] {
        let body = body(store, series::COLLECTION, dimension.as_str()).await?;
        ledgers.extend(body.map(|body| (dimension, body)));
    }
    let assessments = store.list(&Query::all(history::ASSESSMENTS)).await?;
    let mut stages = app.components.values();
    let ingest = stages.find(|component| component.role.stage() == Some(StageKind::Ingest));
    let url = ingest.and_then(|ingest| ingest.variables.get("market_data_url"));
    Ok(Found {
        series: store.series().await?,
        ledgers,
        last_good: body(store, LAST_GOOD.0, LAST_GOOD.1).await?,
        assessments: assessments
            .documents
            .into_iter()
            .map(|document| (document.key.id, document.body))
            .collect(),
        state: body(store, STATE.0, STATE.1).await?,
        heartbeat: body(store, HEARTBEAT_COLLECTION, HEARTBEAT_ID).await?,
        market_data_url: url.map(|url| url.shown().to_owned()),
    })
}

async fn body(store: &dyn Store, collection: &str, id: &str) -> Result<Option<String>, StoreError> {
    let document = store.get(&Key::new(collection, id)?).await?;
    Ok(document.map(|document| document.body))
}

/// How the market data stands.
#[derive(Debug)]
pub struct Market {
    now_ms: i64,
    /// Where bars come from, if that is this machine.
    replay_url: Option<String>,
    /// Those that are graded first, the worst before all.
    rows: Vec<Row>,
    last_good: Option<Value>,
    /// The worst first.
    graded: Vec<Graded>,
    heartbeat: Option<Value>,
    /// Documents that cannot be read, and why.
    unreadable: Vec<(String, String)>,
}

/// What was read, as of `now_ms`.
pub fn of(found: Found, now_ms: i64) -> Market {
    let mut unreadable = vec![];
    let mut ledgers = vec![];
    for (dimension, body) in found.ledgers {
        match serde_json::from_str::<series::Ledger>(&body) {
            Ok(ledger) => ledgers.push(ledger.as_of(now_ms)),
            Err(error) => {
                let name = format!("{}/{dimension}", series::COLLECTION);
                unreadable.push((name, error.to_string()));
            }
        }
    }
    let mut object = |name: String, body: Option<String>| {
        match serde_json::from_str::<Value>(&body?) {
            Ok(value) if value.is_object() => return Some(value),
            Ok(_) => unreadable.push((name, "it is no object".to_owned())),
            Err(error) => unreadable.push((name, error.to_string())),
        }
        None
    };
    let last_good = object(format!("{}/{}", LAST_GOOD.0, LAST_GOOD.1), found.last_good);
    let heartbeat = object(
        format!("{HEARTBEAT_COLLECTION}/{HEARTBEAT_ID}"),
        found.heartbeat,
    );
    let mut graded = vec![];
    // A schedule that stands still has no run that would grade it.
    let schedule = match found.state.as_deref().map(schedule) {
        Some(Err(error)) => {
            unreadable.push((format!("{}/{}", STATE.0, STATE.1), error));
            None
        }
        Some(Ok(schedule)) => schedule,
        None => None,
    };
    if let Some(state) = &schedule {
        let inputs = scheduler::Inputs {
            enabled: state.running,
            state: Some(state),
        };
        let policy = scheduler::Policy::default();
        graded.push(Graded::of(scheduler::assess(&inputs, &policy, now_ms)));
    }
    for (id, body) in found.assessments {
        let is_graded_anew = schedule.is_some() && id == scheduler::TOPIC;
        if is_graded_anew || !TOPICS.iter().any(|topic| id.starts_with(topic)) {
            continue;
        }
        let value = serde_json::from_str(&body).unwrap_or(Value::Null);
        match Assessment::from_json(&value) {
            Some(assessment) => graded.push(Graded::of(assessment)),
            None => {
                let name = format!("{}/{id}", history::ASSESSMENTS);
                unreadable.push((name, "it is no assessment".to_owned()));
            }
        }
    }
    graded.sort_by(|one, other| {
        let severity = other.severity.cmp(&one.severity);
        severity.then_with(|| one.topic.cmp(&other.topic))
    });
    Market {
        now_ms,
        replay_url: found.market_data_url.filter(|url| is_on_this_machine(url)),
        rows: rows::of(found.series, &ledgers),
        last_good,
        graded,
        heartbeat,
        unreadable,
    }
}

/// Where the schedule of `ingest` stands. None: no scheduled run was seen.
fn schedule(state: &str) -> Result<Option<scheduler::State>, String> {
    #[derive(Deserialize)]
    struct State {
        #[serde(default)]
        memory: Memory,
    }
    let state: State = serde_json::from_str(state).map_err(|error| error.to_string())?;
    Ok(state.memory.schedule.for_evaluator())
}

/// Whether a URL names this machine, as that of the built-in market-data server does.
fn is_on_this_machine(url: &str) -> bool {
    let Ok(origin) = Origin::read("market_data_url", url) else {
        return false;
    };
    let host = match origin.authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => origin.authority.as_str(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// A text as part of a line: without line breaks, and not too long.
fn short(text: &str) -> String {
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(MAX_SUMMARY_CHARS).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short.replace(char::is_control, " ")
}

impl Market {
    /// As text, bounded.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![];
        if let Some(url) = &self.replay_url {
            lines.push(format!(
                "  replay   bars come from {url} on this machine: those of the built-in market-data server are a replay, as old as its file"
            ));
        }
        lines.extend(self.unreadable_lines("bars", series::COLLECTION));
        lines.extend(rows::lines(&self.rows));
        lines.extend(self.unreadable_lines("stale", LAST_GOOD.0));
        lines.extend(self.stale_line());
        lines.extend(self.unreadable_lines("feeds", HEARTBEAT_COLLECTION));
        lines.extend(self.feed_lines());
        lines.extend(self.unreadable_lines("graded", history::ASSESSMENTS));
        let shown = self.graded.iter().take(MAX_SHOWN);
        lines.extend(shown.map(Graded::line));
        if self.graded.len() > MAX_SHOWN {
            let more = self.graded.len() - MAX_SHOWN;
            lines.push(format!("  graded   and {more} more: `--json` has all"));
        }
        lines
    }

    /// The documents of a collection that cannot be read, a line each.
    fn unreadable_lines(&self, word: &str, collection: &str) -> Vec<String> {
        let of_it = self.unreadable.iter().filter(|(name, _)| {
            name.rsplit_once('/')
                .is_some_and(|(found, _)| found == collection)
        });
        of_it
            .take(MAX_SHOWN)
            .map(|(name, why)| format!("  {word:<8} `{name}` cannot be read: {}", short(why)))
            .collect()
    }

    fn stale_line(&self) -> Option<String> {
        let document = self.last_good.as_ref()?;
        if document["stale"] != json!(true) {
            return None;
        }
        let since = match document["since_ms"].as_i64() {
            Some(since_ms) => output::instant(since_ms),
            None => "an unknown instant".to_owned(),
        };
        let (reason, detail) = (word(&document["reason"]), word(&document["detail"]));
        Some(format!(
            "  stale    since {since} the last good bars stand: {reason}: {}",
            short(&detail)
        ))
    }

    fn feed_lines(&self) -> Vec<String> {
        let Some(beat) = &self.heartbeat else {
            return vec![];
        };
        let status = word(&beat["status"]);
        let at = beat["ts"].as_str().unwrap_or_default();
        let at_ms = chrono::DateTime::parse_from_rfc3339(at).map(|at| at.timestamp_millis());
        let age_ms = at_ms.map_or(i64::MAX, |at_ms| self.now_ms.saturating_sub(at_ms).max(0));
        let is_late =
            age_ms > i64::try_from(millis(HEARTBEAT_EVERY)).unwrap_or(i64::MAX) * MISSED_HEARTBEATS;
        let mut head = format!("  feeds    {status} at {at}");
        if is_late && status != "stopped" {
            head.push_str(&format!(
                ", {} ago: the `bulkhead up` that held them does not run any more",
                age(age_ms)
            ));
        }
        let mut lines = vec![head];
        let feeds = beat["feeds"].as_object().into_iter().flatten();
        lines.extend(feeds.take(MAX_SHOWN).map(|(name, feed)| {
            let mut text = format!("  feed     {name} {}", word(&feed["state"]));
            if let Some(last) = feed["last_frame_at"].as_str() {
                text.push_str(&format!(
                    ", last frame {last} ({})",
                    word(&feed["last_symbol"])
                ));
            }
            if let Some(detail) = feed["detail"].as_str() {
                text.push_str(&format!(": {}", short(detail)));
            }
            text
        }));
        lines
    }

    /// All of it, but for the series.
    pub fn to_json(&self) -> Value {
        let graded = self.graded.iter().map(|graded| {
            json!({
                "topic": graded.topic,
                "status": graded.status,
                "alert_level": graded.severity.alert_level().as_str(),
                "summary": graded.summary,
                "generated_at": rfc3339(graded.generated_at_ms),
            })
        });
        let unreadable = self.unreadable.iter();
        json!({
            "replay_url": self.replay_url,
            "last_good": self.last_good,
            "assessments": graded.collect::<Vec<_>>(),
            "feeds": self.heartbeat,
            "unreadable": unreadable
                .map(|(name, why)| json!({"document": name, "error": why}))
                .collect::<Vec<_>>(),
        })
    }

    /// All series.
    pub fn series_json(&self) -> Vec<Value> {
        self.rows.iter().map(Row::to_json).collect()
    }
}
