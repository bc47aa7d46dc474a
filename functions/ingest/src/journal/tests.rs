#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::series::{MAX_ERROR_BYTES, cut};

/// The most bytes of a document.
const MAX_BODY_BYTES: usize = 1_048_576;

fn series(instrument: &str) -> SeriesResult {
    SeriesResult {
        dimension: Dimension::IntradayTrades,
        instrument: instrument.to_owned(),
        source: None,
        pages: 1,
        inserted: 0,
        updated: 0,
        unchanged: 0,
        quarantined: 0,
        newest_open_time_ms: None,
        filled_to_ms: None,
        freshness_seconds: None,
        status: "ok".to_owned(),
        score: Some(1.0),
        why: String::new(),
        is_behind: false,
        error: None,
    }
}

fn record(symbols: Vec<SeriesResult>) -> Record {
    let mut record = Record::new("r1", 0, String::new());
    record.symbols = symbols;
    record.bound();
    record
}

#[test]
fn what_failed_is_told_before_what_is_behind_and_that_before_what_is_merely_bad() {
    let well = (0..MAX_SERIES_KEPT).map(|_| series("WELL-USDT"));
    let mut bad = series("BAD-USDT");
    bad.status = "warn".to_owned();
    let mut behind = series("BEHIND-USDT");
    behind.is_behind = true;
    let mut failed = series("FAILED-USDT");
    failed.error = Some("HTTP 500".to_owned());
    let record = record(well.chain([bad, behind, failed]).collect());
    let told: Vec<&str> = record
        .symbols
        .iter()
        .map(|series| series.instrument.as_str())
        .collect();
    assert_eq!(
        told[..4],
        ["FAILED-USDT", "BEHIND-USDT", "BAD-USDT", "WELL-USDT"]
    );
    assert_eq!((told.len(), record.more_symbols), (MAX_SERIES_KEPT, 3));
}

#[test]
fn a_record_fits_one_document_whatever_is_wrong_with_its_series() {
    // A control character takes six bytes of JSON.
    let long = cut(&"\u{1}".repeat(1_000), MAX_ERROR_BYTES);
    let worst = SeriesResult {
        instrument: "A".repeat(32),
        source: Some(long.clone()),
        pages: u32::MAX,
        inserted: u32::MAX,
        updated: u32::MAX,
        unchanged: u32::MAX,
        quarantined: u32::MAX,
        newest_open_time_ms: Some(i64::MIN),
        filled_to_ms: Some(i64::MIN),
        freshness_seconds: Some(f64::MAX),
        status: "error".to_owned(),
        why: format!("no bar is stored: {long}"),
        is_behind: true,
        error: Some(long.clone()),
        ..series("")
    };
    let mut record = record(vec![worst; 1_024]);
    let bar = Quarantined {
        instrument: "A".repeat(32),
        open_time_ms: i64::MIN,
        reason: long,
    };
    record.quarantined.bars = vec![bar; MAX_QUARANTINED_KEPT];
    let bytes = json!(record).to_string().len();
    assert!(bytes < MAX_BODY_BYTES / 2, "{bytes}");
}
