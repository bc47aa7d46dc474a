use chrono_tz::{TZ_VARIANTS, Tz};

use super::CronError;

/// How alike a name must be to be suggested, from 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.86;

/// Names suggested at most.
const SUGGESTIONS: usize = 3;

/// Longest part of an unknown name that is compared and repeated, in characters.
const MAX_NAME_CHARS: usize = 64;

/// Reads the name of an IANA time zone, for example `Europe/Berlin` or `UTC`.
pub(super) fn parse(name: &str) -> Result<Tz, CronError> {
    name.parse().map_err(|_| {
        let zone: String = name.chars().take(MAX_NAME_CHARS).collect();
        CronError::TimeZone {
            suggestion: suggestion(&zone),
            zone,
        }
    })
}

fn suggestion(name: &str) -> String {
    let wanted = name.to_lowercase().replace(' ', "_");
    let mut alike: Vec<(f64, &str)> = TZ_VARIANTS
        .iter()
        .map(|zone| zone.name())
        .map(|zone| (likeness(&wanted, &zone.to_lowercase()), zone))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let names: Vec<String> = alike
        .iter()
        .take(SUGGESTIONS)
        .map(|(_, zone)| format!("`{zone}`"))
        .collect();
    if names.is_empty() {
        ": an IANA name is needed, for example `Europe/Berlin` or `UTC`".to_owned()
    } else {
        format!(", did you mean {}?", names.join(" or "))
    }
}

/// Compares with the whole name, and with its city alone: `Berlin` is as good as `Europe/Berln`.
fn likeness(wanted: &str, zone: &str) -> f64 {
    let city = zone.rsplit('/').next().unwrap_or(zone);
    strsim::jaro_winkler(wanted, zone).max(strsim::jaro_winkler(wanted, city))
}
