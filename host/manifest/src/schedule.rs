//! When a component's schedule fires, and what happens around a firing: time zone, jitter, overlap, misfires, retries.

use std::time::Duration;

use chrono_tz::{TZ_VARIANTS, Tz};
use serde::Serialize;

use crate::cron::check_cron_expression;
use crate::limits::{as_millis, count, duration};
use crate::names::{did_you_mean, nearest};
use crate::problem::{Findings, quoted};
use crate::section::{Located, Section};

const SCHEDULE_KEYS: &[&str] = &[
    "cron",
    "time_zone",
    "jitter",
    "starting_deadline",
    "overlap",
    "misfire",
    "retries",
];
const RETRY_KEYS: &[&str] = &["attempts", "initial", "max"];
const MAX_ATTEMPTS: u64 = 10;
const MAX_JITTER: Duration = Duration::from_secs(3_600);
const MAX_STARTING_DEADLINE: Duration = Duration::from_secs(24 * 3_600);
const MAX_BACKOFF: Duration = Duration::from_secs(600);

/// What to do when a schedule fires while the component's last run is still under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// The new run is skipped.
    #[default]
    Forbid,
    /// The new run waits.
    Queue,
    /// The old run is stopped.
    Replace,
}

/// What to do with firings that were missed, because the host was down or the starting deadline had passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Misfire {
    /// They are left out.
    #[default]
    Skip,
    /// All of them together fire once.
    FireOnce,
}

/// How often a run is attempted, and how long is waited between attempts: `initial`, then twice as long each
/// time, but never longer than `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RetryPolicy {
    /// Attempts in all, from 1 (no retry) to 10. Default 3.
    pub attempts: u32,
    /// The wait before the second attempt. Default 200 ms, from 1 ms to 10 minutes.
    #[serde(rename = "initial_ms", serialize_with = "as_millis")]
    pub initial: Duration,
    /// The longest wait. Default 5 s, from `initial` to 10 minutes.
    #[serde(rename = "max_ms", serialize_with = "as_millis")]
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            initial: Duration::from_millis(200),
            max: Duration::from_secs(5),
        }
    }
}

/// The schedule policy of a component. What the manifest leaves out has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchedulePolicy {
    /// The IANA time zone in which cron expressions are read. Default `UTC`.
    pub time_zone: String,
    /// A firing is put off by a time drawn from 0 to this. Default 0, at most 1 hour.
    #[serde(rename = "jitter_ms", serialize_with = "as_millis")]
    pub jitter: Duration,
    /// A firing that could not be started for this long counts as missed. Default 10 s, from 1 s to 24 hours.
    #[serde(rename = "starting_deadline_ms", serialize_with = "as_millis")]
    pub starting_deadline: Duration,
    /// Default [`Overlap::Forbid`].
    pub overlap: Overlap,
    /// Default [`Misfire::Skip`].
    pub misfire: Misfire,
    /// How a failed run is tried again.
    pub retries: RetryPolicy,
}

impl Default for SchedulePolicy {
    fn default() -> Self {
        Self {
            time_zone: "UTC".to_owned(),
            jitter: Duration::ZERO,
            starting_deadline: Duration::from_secs(10),
            overlap: Overlap::default(),
            misfire: Misfire::default(),
            retries: RetryPolicy::default(),
        }
    }
}

impl SchedulePolicy {
    pub(crate) fn read(found: &mut Findings<'_>, section: &Section<'_>) -> Self {
        section.deny_unknown_keys(found, SCHEDULE_KEYS);
        let mut policy = Self::default();
        if let Some(zone) = read_time_zone(found, section) {
            policy.time_zone = zone;
        }
        if let Some(jitter) = duration(found, section, "jitter", Duration::ZERO, MAX_JITTER) {
            policy.jitter = jitter;
        }
        let least = Duration::from_secs(1);
        if let Some(deadline) = duration(
            found,
            section,
            "starting_deadline",
            least,
            MAX_STARTING_DEADLINE,
        ) {
            policy.starting_deadline = deadline;
        }
        let overlaps = [
            ("forbid", Overlap::Forbid),
            ("queue", Overlap::Queue),
            ("replace", Overlap::Replace),
        ];
        if let Some(overlap) = choice(found, section, "overlap", &overlaps) {
            policy.overlap = overlap;
        }
        let misfires = [("skip", Misfire::Skip), ("fire-once", Misfire::FireOnce)];
        if let Some(misfire) = choice(found, section, "misfire", &misfires) {
            policy.misfire = misfire;
        }
        if let Some(retries) = section.section(found, "retries", "`retries`") {
            policy.retries = read_retries(found, &retries);
        }
        policy
    }
}

/// Reads `cron`: one expression, or a list of them.
pub(crate) fn read_crons(found: &mut Findings<'_>, section: &Section<'_>) -> Vec<Located<String>> {
    let mut crons = Vec::new();
    for expression in section.text_or_texts(found, "cron") {
        if let Some(value) = check_cron_expression(found, &expression) {
            crons.push(Located {
                value,
                span: expression.span,
            });
        }
    }
    crons
}

fn read_time_zone(found: &mut Findings<'_>, section: &Section<'_>) -> Option<String> {
    let text = section.text(found, "time_zone")?;
    let zone: Result<Tz, _> = text.value.parse();
    if zone.is_err() {
        let message = format!("{} is not an IANA time zone", quoted(text.value));
        let hint = match nearest(text.value, TZ_VARIANTS.iter().map(|zone| zone.name())) {
            Some(zone) => format!("did you mean `{zone}`?"),
            None => "for example `UTC` or `America/New_York`".to_owned(),
        };
        found.add_with_hint(&text.span, message, hint);
    }
    zone.ok().map(|zone| zone.name().to_owned())
}

fn choice<T: Copy>(
    found: &mut Findings<'_>,
    section: &Section<'_>,
    key: &str,
    choices: &[(&str, T)],
) -> Option<T> {
    let text = section.text(found, key)?;
    let chosen = choices
        .iter()
        .find(|(name, _)| *name == text.value)
        .map(|(_, choice)| *choice);
    if chosen.is_none() {
        let hint = did_you_mean(text.value, choices.iter().map(|(name, _)| *name));
        found.push(
            &text.span,
            format!("`{key}` cannot be {}", quoted(text.value)),
            hint,
        );
    }
    chosen
}

fn read_retries(found: &mut Findings<'_>, section: &Section<'_>) -> RetryPolicy {
    section.deny_unknown_keys(found, RETRY_KEYS);
    let mut retries = RetryPolicy::default();
    let attempts = count(found, section, "attempts", 1, MAX_ATTEMPTS);
    if let Some(attempts) = attempts.and_then(|attempts| u32::try_from(attempts).ok()) {
        retries.attempts = attempts;
    }
    let least = Duration::from_millis(1);
    if let Some(initial) = duration(found, section, "initial", least, MAX_BACKOFF) {
        retries.initial = initial;
    }
    if let Some(max) = duration(found, section, "max", least, MAX_BACKOFF) {
        retries.max = max;
    }
    if retries.initial > retries.max {
        let span = section
            .key_span("initial")
            .or(section.key_span("max"))
            .unwrap_or(section.span.clone());
        let (initial, max) = (retries.initial.as_millis(), retries.max.as_millis());
        found.add(
            &span,
            format!("`initial` ({initial}ms) is longer than `max` ({max}ms)"),
        );
    }
    retries
}
