//! What one run may use up.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::problem::{Findings, quoted};
use crate::quantity::{parse_duration, parse_size, show_duration, show_size};
use crate::section::Section;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Half of the instances that the sandbox has for all components together, so that one component's requests leave room
/// for the others.
const MAX_CONCURRENT_RUNS: u64 = 256;
const LIMITS_KEYS: &[&str] = &[
    "memory",
    "deadline",
    "host_calls",
    "response_bytes",
    "output_bytes",
    "log_bytes",
    "concurrent_runs",
];

/// The limits of a component's runs. A limit that the manifest leaves out has its default.
///
/// | key | default | least | most |
/// |---|---|---|---|
/// | `memory` | 64MiB | 64KiB | 1GiB |
/// | `deadline` | 30s | 1ms | 10m |
/// | `host_calls` | 100 000 | 0 | 10 000 000 |
/// | `response_bytes` | 16MiB | 0B | 256MiB |
/// | `output_bytes` | 1MiB | 1KiB | 16MiB |
/// | `log_bytes` | 64KiB | 0B | 16MiB |
/// | `concurrent_runs` | 64 | 1 | 256 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Linear memory of the instance, in bytes.
    pub memory_bytes: u64,
    /// How long a run may take.
    #[serde(rename = "deadline_ms", serialize_with = "as_millis")]
    pub deadline: Duration,
    /// How many calls a run may make to its imports.
    pub host_calls: u64,
    /// How much a run may receive over the network, all its responses together, in bytes.
    pub response_bytes: u64,
    /// How large a run's report may be, in bytes.
    pub output_bytes: u64,
    /// How much a run may log, in bytes.
    pub log_bytes: u64,
    /// How many runs of the component may be under way at once.
    pub concurrent_runs: u32,
    /// The line of the table of limits, or of the component if it has no such table, from 1.
    pub line: usize,
}

impl Limits {
    /// All limits at their defaults.
    pub fn defaults(line: usize) -> Self {
        Self {
            memory_bytes: 64 * MIB,
            deadline: Duration::from_secs(30),
            host_calls: 100_000,
            response_bytes: 16 * MIB,
            output_bytes: MIB,
            log_bytes: 64 * KIB,
            concurrent_runs: 64,
            line,
        }
    }

    pub(crate) fn read(found: &mut Findings<'_>, section: &Section<'_>) -> Self {
        section.deny_unknown_keys(found, LIMITS_KEYS);
        let mut limits = Self::defaults(found.line(&section.span));
        let sizes: [(&str, &mut u64, u64, u64); 4] = [
            ("memory", &mut limits.memory_bytes, 64 * KIB, GIB),
            ("response_bytes", &mut limits.response_bytes, 0, 256 * MIB),
            ("output_bytes", &mut limits.output_bytes, KIB, 16 * MIB),
            ("log_bytes", &mut limits.log_bytes, 0, 16 * MIB),
        ];
        for (key, limit, least, most) in sizes {
            if let Some(bytes) = size(found, section, key, least, most) {
                *limit = bytes;
            }
        }
        if let Some(deadline) = duration(
            found,
            section,
            "deadline",
            Duration::from_millis(1),
            Duration::from_secs(600),
        ) {
            limits.deadline = deadline;
        }
        if let Some(calls) = count(found, section, "host_calls", 0, 10_000_000) {
            limits.host_calls = calls;
        }
        if let Some(runs) = count(found, section, "concurrent_runs", 1, MAX_CONCURRENT_RUNS)
            .and_then(|runs| u32::try_from(runs).ok())
        {
            limits.concurrent_runs = runs;
        }
        limits
    }
}

fn size(
    found: &mut Findings<'_>,
    section: &Section<'_>,
    key: &str,
    least: u64,
    most: u64,
) -> Option<u64> {
    let text = section.text(found, key)?;
    let message = match parse_size(text.value) {
        Ok(bytes) if (least..=most).contains(&bytes) => return Some(bytes),
        Ok(_) => out_of_range(key, text.value, &show_size(least), &show_size(most)),
        Err(message) => message,
    };
    found.add(&text.span, message);
    None
}

/// Reads a duration within bounds.
pub(crate) fn duration(
    found: &mut Findings<'_>,
    section: &Section<'_>,
    key: &str,
    least: Duration,
    most: Duration,
) -> Option<Duration> {
    let text = section.text(found, key)?;
    let message = match parse_duration(text.value) {
        Ok(duration) if (least..=most).contains(&duration) => return Some(duration),
        Ok(_) => out_of_range(key, text.value, &show_duration(least), &show_duration(most)),
        Err(message) => message,
    };
    found.add(&text.span, message);
    None
}

/// Reads a whole number within bounds.
pub(crate) fn count(
    found: &mut Findings<'_>,
    section: &Section<'_>,
    key: &str,
    least: u64,
    most: u64,
) -> Option<u64> {
    let number = section.whole_number(found, key)?;
    if (least..=most).contains(&number.value) {
        return Some(number.value);
    }
    let message = out_of_range(
        key,
        &number.value.to_string(),
        &least.to_string(),
        &most.to_string(),
    );
    found.add(&number.span, message);
    None
}

fn out_of_range(key: &str, value: &str, least: &str, most: &str) -> String {
    format!(
        "`{key}` must lie between {least} and {most}, not {}",
        quoted(value)
    )
}

/// Serialises a duration as whole milliseconds.
pub(crate) fn as_millis<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_u128(duration.as_millis())
}
