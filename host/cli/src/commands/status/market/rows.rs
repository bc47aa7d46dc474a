//! Series: how many bars are stored, how old the newest is, how good they are, and why.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bulkhead_evaluators::dimension::Dimension;
use bulkhead_kernel::assessment::Severity;
use bulkhead_store::{Series, SeriesSummary};
use ingest::series::{Known, Ledger};
use serde_json::{Value, json};

use super::super::super::bars::{self, age};
use super::{MAX_SHOWN, short};
use crate::output;

/// A series that is stored, or that is planned.
#[derive(Debug)]
pub(super) struct Row {
    series: Series,
    /// None: no bar is stored.
    stored: Option<SeriesSummary>,
    /// None: `ingest` does not look after it.
    grade: Option<(Dimension, Known)>,
}

/// The stored series and those of the ledgers: the worst first, those without a grade last.
pub(super) fn of(stored: Vec<SeriesSummary>, ledgers: &[Ledger]) -> Vec<Row> {
    let mut rows: BTreeMap<Series, Row> = BTreeMap::new();
    for summary in stored {
        let row = Row {
            series: summary.series.clone(),
            stored: Some(summary),
            grade: None,
        };
        rows.insert(row.series.clone(), row);
    }
    for ledger in ledgers {
        for (instrument, known) in &ledger.symbols {
            let series = Series {
                instrument: instrument.clone(),
                timeframe: ledger.timeframe.to_string(),
            };
            let row = rows.entry(series.clone()).or_insert(Row {
                series,
                stored: None,
                grade: None,
            });
            row.grade = Some((ledger.dimension, known.clone()));
        }
    }
    let mut rows: Vec<Row> = rows.into_values().collect();
    // Equals stay in the order of their names.
    rows.sort_by(Row::worst_first);
    rows
}

/// As text, at most so many as are of use to a reader.
pub(super) fn lines(rows: &[Row]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["  bars     none".to_owned()];
    }
    let mut lines = vec![];
    let more = rows.len().saturating_sub(MAX_SHOWN);
    if more > 0 {
        lines.push(format!("  bars     {}", tally(rows)));
    }
    lines.extend(rows.iter().take(MAX_SHOWN).map(Row::line));
    if more > 0 {
        lines.push(format!("  bars     and {more} more: `bulkhead bars list`"));
    }
    lines
}

/// How many series there are of each grade.
fn tally(rows: &[Row]) -> String {
    let grades = [
        (Some(Severity::Fail), "error"),
        (Some(Severity::Warn), "warn"),
        (Some(Severity::Ok), "ok"),
        (None, "not graded"),
    ];
    let counts = grades.map(|(severity, word)| {
        let of_it = rows.iter().filter(|row| row.severity() == severity);
        (of_it.count(), word)
    });
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("{} series: {}", rows.len(), counts.join(", "))
}

impl Row {
    fn severity(&self) -> Option<Severity> {
        self.grade.as_ref().map(|(_, known)| known.severity())
    }

    fn score(&self) -> f64 {
        let known = self.grade.as_ref().map(|(_, known)| known);
        known.and_then(|known| known.score).unwrap_or(0.0)
    }

    fn worst_first(one: &Self, other: &Self) -> Ordering {
        let severity = other.severity().cmp(&one.severity());
        severity.then_with(|| one.score().total_cmp(&other.score()))
    }

    fn line(&self) -> String {
        let mut text = format!("  bars     {}: ", bars::name(&self.series));
        match &self.stored {
            Some(summary) => text.push_str(&format!(
                "{}, {} to {}",
                summary.count,
                output::instant(summary.first_ms),
                output::instant(summary.last_ms)
            )),
            None => text.push_str("none"),
        }
        let Some((_, known)) = &self.grade else {
            return text;
        };
        text.push_str(&format!("; {}", known.status));
        if let Some(seconds) = known.freshness_seconds {
            text.push_str(&format!(", {} old", age((seconds * 1_000.0) as i64)));
        }
        text.push_str(&format!(": {}", short(&known.why)));
        text
    }

    pub(super) fn to_json(&self) -> Value {
        let stored = self.stored.as_ref();
        let mut value = json!({
            "instrument": self.series.instrument,
            "timeframe": self.series.timeframe,
            "bars": stored.map_or(0, |stored| stored.count),
            "first": stored.map(|stored| output::instant(stored.first_ms)),
            "last": stored.map(|stored| output::instant(stored.last_ms)),
        });
        if let Some((dimension, known)) = &self.grade {
            for (name, field) in [
                ("dimension", json!(dimension)),
                ("status", json!(known.status)),
                ("why", json!(known.why)),
                ("freshness_seconds", json!(known.freshness_seconds)),
                ("score", json!(known.score)),
                ("coverage", json!(known.coverage)),
                ("missing_bars", json!(known.missing_bars)),
                ("quarantined", json!(known.quarantined)),
                ("source", json!(known.source)),
                ("error", json!(known.error)),
            ] {
                value[name] = field;
            }
        }
        value
    }
}
