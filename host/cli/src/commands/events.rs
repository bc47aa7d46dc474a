//! `bulkhead events`: what stages and the host reported.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bulkhead_kernel::assessment::Assessment;
use bulkhead_telemetry::{Follower, StoredEvent, newest};

use crate::arguments::{Events, Global};
use crate::output;

/// The events in the data folder.
const FILE: &str = "events.ndjson";

/// How often the file is looked at for what was added.
const FOLLOW_PAUSE: Duration = Duration::from_millis(250);

/// Where `up` keeps the events of a deployment.
pub fn path(global: &Global) -> PathBuf {
    global.data_dir.join(FILE)
}

pub async fn run(global: &Global, command: Events) -> anyhow::Result<ExitCode> {
    let path = path(global);
    let read = newest(&path, &command.topic, command.limit as usize)
        .with_context(|| reading_failed(&path))?;
    if read.unreadable > 0 {
        output::talk(format!(
            "warning: {} lines of {} are no event and are left out",
            read.unreadable,
            path.display()
        ));
    }
    if read.events.is_empty() && !command.follow {
        output::talk(format!(
            "no events in {}: it fills while `bulkhead up` runs",
            path.display()
        ));
    }
    for event in &read.events {
        output::print(&shown(event, global.json))?;
    }
    if command.follow {
        follow(read.follower, &path, global.json).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints events as they come, until whoever reads them has gone.
async fn follow(mut follower: Follower, path: &Path, json: bool) -> anyhow::Result<()> {
    loop {
        while let Some(event) = follower.next().with_context(|| reading_failed(path))? {
            let mut stdout = io::stdout().lock();
            let printed = stdout
                .write_all(shown(&event, json).as_bytes())
                .and_then(|()| stdout.flush());
            match printed {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                result => result?,
            }
        }
        tokio::time::sleep(FOLLOW_PAUSE).await;
    }
}

fn reading_failed(path: &Path) -> String {
    format!("reading the events {} failed", path.display())
}

/// An event as it is printed: as JSON on one line, or for a person.
fn shown(event: &StoredEvent, json: bool) -> String {
    if json {
        return format!("{}\n", event.json);
    }
    let component = event.source.rsplit('/').next().unwrap_or_default();
    let mut text = format!("{}  {:<32} {component}", event.time, event.topic);
    if let Some(subject) = &event.subject {
        text.push_str("  ");
        text.push_str(subject);
    }
    text.push('\n');
    match Assessment::from_json(&event.data) {
        Some(assessment) => {
            text.push('\n');
            text.push_str(&assessment.to_markdown());
            text.push('\n');
        }
        None => {
            text.push_str("  ");
            text.push_str(&event.data.to_string());
            text.push('\n');
        }
    }
    output::harmless(&text)
}

#[cfg(test)]
mod tests {
    use bulkhead_kernel::assessment::{Check, Ladder, Severity};
    use serde_json::{Value, json};

    use super::*;

    fn event(data: Value) -> StoredEvent {
        StoredEvent {
            id: "01-0".into(),
            source: "/bulkhead/app/ingest".into(),
            topic: "telemetry.ingest.health".into(),
            subject: Some("assessments/telemetry.ingest.health".into()),
            time: "2026-01-01T00:00:00.000Z".into(),
            data,
            json: r#"{"specversion":"1.0"}"#.into(),
        }
    }

    #[test]
    fn an_assessment_is_shown_as_markdown() {
        let topic = "telemetry.ingest.health";
        let mut assessment = Assessment::new(topic, "ingest", Ladder::OK_WARN_ERROR, 0);
        assessment.check(Check::new("daily_bars", Severity::Warn, "old"));
        assert_eq!(
            shown(&event(assessment.to_json()), false),
            "2026-01-01T00:00:00.000Z  telemetry.ingest.health          ingest  assessments/telemetry.ingest.health\n\n\
             **telemetry.ingest.health: WARN**\n\n\
             | Check | Status | Summary |\n| --- | --- | --- |\n| daily_bars | WARN | old |\n\n"
        );
    }

    #[test]
    fn other_data_is_shown_as_json_that_steers_no_terminal() {
        let text = shown(&event(json!({"note": "\u{1b}[2J\u{9b}2J"})), false);
        assert!(
            text.ends_with("  {\"note\":\"\\u001b[2J\u{fffd}2J\"}\n"),
            "{text}"
        );
    }

    #[test]
    fn as_json_an_event_is_the_line_that_was_kept() {
        let text = shown(&event(json!(1)), true);
        assert_eq!(text, "{\"specversion\":\"1.0\"}\n");
    }
}
