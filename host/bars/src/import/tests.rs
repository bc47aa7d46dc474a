use bulkhead_store::MemoryStore;
use futures::executor::block_on;

use super::*;
use crate::BATCH_BARS;
use crate::csv::CsvReader;
use crate::fixture::{all_bars, series};

const OPTIONS: ImportOptions = ImportOptions {
    now_ms: i64::MAX,
    bad_rows: BadRows::Refuse,
    max_jump: Some(10),
};

fn import_text(
    store: &MemoryStore,
    lines: &str,
    bad_rows: BadRows,
) -> Result<Imported, ImportError> {
    let text = format!("timestamp,open,high,low,close,volume\n{lines}");
    let mut reader = CsvReader::new(text.as_bytes()).unwrap();
    let options = ImportOptions {
        bad_rows,
        ..OPTIONS
    };
    block_on(import(store, &series(), &mut reader, &options, |_| {}))
}

fn minutes(range: std::ops::Range<usize>) -> String {
    range
        .map(|minute| format!("{},2,3,1,2.5,{minute}\n", minute * 60_000))
        .collect()
}

#[test]
fn a_second_import_changes_nothing() {
    let store = MemoryStore::new(0);
    let first = import_text(&store, &minutes(0..20_001), BadRows::Refuse).unwrap();
    assert_eq!(
        (first.rows, first.inserted, first.unchanged),
        (20_001, 20_001, 0)
    );
    let before = all_bars(&store);
    let second = import_text(&store, &minutes(0..20_001), BadRows::Refuse).unwrap();
    assert_eq!(
        (second.inserted, second.updated, second.unchanged),
        (0, 0, 20_001)
    );
    assert_eq!(all_bars(&store), before);
    assert_eq!(before.len(), 20_001);
}

#[test]
fn a_bad_row_is_an_error_at_its_place_and_the_batches_before_it_are_stored() {
    let store = MemoryStore::new(0);
    let lines = minutes(0..10_500) + "x,1,1,1,1,1\n" + &minutes(10_500..10_600);
    let error = import_text(&store, &lines, BadRows::Refuse).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("line 10502, column 1 (`timestamp`): `x`"),
        "{error}"
    );
    assert_eq!(all_bars(&store).len(), 10_000);
    let completed = import_text(&store, &minutes(0..10_600), BadRows::Refuse).unwrap();
    assert_eq!((completed.inserted, completed.unchanged), (600, 10_000));
}

#[test]
fn a_bad_row_is_quarantined_with_its_reason_and_the_others_are_stored() {
    let store = MemoryStore::new(0);
    let lines = "60000,10,10,10,10,1\n60000,10,10,10,10,2\n0,10,10,10,10,1\n120000,NaN,1,1,1,1\n\
         120000,10,9,10,10,1\n120001,10,10,10,10,1\n120000,1000,1000,1000,1000,1\n120000,11,11,11,11,1\n";
    let imported = import_text(&store, lines, BadRows::Quarantine).unwrap();
    assert_eq!((imported.rows, imported.inserted), (8, 2));
    let quarantine = imported.quarantine;
    assert_eq!(quarantine.count(), 6);
    let reasons: Vec<_> = quarantine
        .rows
        .iter()
        .map(|row| format!("{} {}", row.place, row.reason.name()))
        .collect();
    assert_eq!(
        reasons,
        [
            "line 3 duplicate",
            "line 4 out of order",
            "line 5 malformed",
            "line 6 invalid",
            "line 7 off grid",
            "line 8 jump",
        ]
    );
    assert_eq!(all_bars(&store).open, [10, 11]);
}

#[test]
fn the_list_of_quarantined_rows_is_bounded_and_their_count_is_not() {
    let store = MemoryStore::new(0);
    let lines = "x,1,1,1,1,1\n".repeat(BATCH_BARS + 1_000) + &minutes(1..2);
    let imported = import_text(&store, &lines, BadRows::Quarantine).unwrap();
    assert_eq!(imported.quarantine.rows.len(), MAX_QUARANTINE_LISTED);
    assert_eq!(imported.quarantine.counts["malformed"], 11_000);
    assert_eq!((imported.rows, imported.inserted), (11_001, 1));
}

#[test]
fn a_file_without_bars_is_refused() {
    let error = import_text(&MemoryStore::new(0), "", BadRows::Quarantine).unwrap_err();
    assert!(matches!(error, ImportError::Empty), "{error}");
}

#[test]
fn a_value_that_the_series_cannot_hold_is_refused_by_the_store() {
    let store = MemoryStore::new(0);
    let wide = "0,9e,9e,9e,9e,1\n".replace("9e", "9000000000000000000");
    import_text(&store, &wide, BadRows::Refuse).unwrap();
    let error = import_text(&store, "60000,1.5,1.5,1.5,1.5,1\n", BadRows::Refuse).unwrap_err();
    assert!(matches!(error, ImportError::Store(_)), "{error}");
}

#[test]
fn values_are_rounded_when_the_reader_is_told_to_and_counted() {
    let text = "timestamp,open,high,low,close,volume\n60000,46319,46319,46319,46319,218102.59507500002\n\
         120000,46319,46319,46319,46319,134919000.5\n";
    let exact = CsvReader::new(text.as_bytes()).unwrap();
    let rounded = CsvReader::new(text.as_bytes()).unwrap().round_to(Some(8));
    let import = |mut reader: CsvReader<_>| {
        let store = MemoryStore::new(0);
        block_on(import(&store, &series(), &mut reader, &OPTIONS, |_| {}))
            .map(|imported| (imported.rounded, all_bars(&store).volume))
    };
    let error = import(exact).unwrap_err().to_string();
    assert!(
        error.contains("line 3, column 6 (`volume`): 134919000.5 and"),
        "{error}"
    );
    assert_eq!(
        import(rounded).unwrap(),
        (1, vec![218_102_595_075, 134_919_000_500_000])
    );
}

#[test]
fn progress_is_told_after_each_batch() {
    let text = format!(
        "timestamp,open,high,low,close,volume\n{}",
        minutes(0..20_001)
    );
    let mut reader = CsvReader::new(text.as_bytes()).unwrap();
    let mut told = Vec::new();
    let store = MemoryStore::new(0);
    block_on(import(
        &store,
        &series(),
        &mut reader,
        &OPTIONS,
        |imported| {
            told.push((imported.rows, imported.inserted));
        },
    ))
    .unwrap();
    assert_eq!(told, [(10_000, 10_000), (20_000, 20_000), (20_001, 20_001)]);
}

mod whole_files {
    use std::path::Path;

    use super::*;
    use crate::fixture::all_bars;

    const HEADER: &str = "timestamp,open,high,low,close,volume\n";

    fn import_lines(
        store: &MemoryStore,
        lines: &str,
        round_to: Option<u8>,
    ) -> Result<Imported, ImportFileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bars.csv");
        std::fs::write(&path, format!("{HEADER}{lines}")).unwrap();
        import_at(store, &path, round_to)
    }

    fn import_at(
        store: &MemoryStore,
        path: &Path,
        round_to: Option<u8>,
    ) -> Result<Imported, ImportFileError> {
        let file = BarFile {
            path,
            format: Format::Csv,
            round_to,
        };
        block_on(import_file(store, &series(), &file, &OPTIONS, |_| {}))
    }

    /// More than a batch of good rows.
    fn good() -> String {
        minutes(0..10_500)
    }

    #[test]
    fn nothing_of_a_file_is_stored_whose_last_row_is_bad() {
        let store = MemoryStore::new(0);
        let lines = good() + "630000000,2,3,1,x,5\n";
        let error = import_lines(&store, &lines, None).unwrap_err();
        assert!(error.to_string().contains("bars.csv"), "{error}");
        let said = error.source.to_string();
        assert!(
            said.starts_with("line 10502, column 5 (`close`): `x`"),
            "{said}"
        );
        assert_eq!(all_bars(&store).len(), 0);
    }

    #[test]
    fn a_file_that_needs_rounding_is_refused_with_the_places_that_it_needs() {
        // Eight places are a venue's; where those do not fit, the most that do.
        for (fine, large, expect) in [
            ("0.1234567890123", "1", Some(8)),
            ("218102.59507500002", "134919000.5", Some(8)),
            ("0.123456789", "99999999999", Some(7)),
            ("0.1234567891", "9000000000000000000", Some(0)),
            ("x", "1", None),
            ("0.1234567890123", "99999999999999999999", None),
        ] {
            let store = MemoryStore::new(0);
            let lines =
                good() + &format!("630000000,2,3,1,2.5,{fine}\n630060000,2,3,1,2.5,{large}\n");
            let error = import_lines(&store, &lines, None).unwrap_err();
            assert_eq!(error.round_to, expect, "{fine} {large}: {}", error.source);
            assert_eq!(all_bars(&store).len(), 0, "{fine} {large}");
            if expect.is_some() {
                let imported = import_lines(&store, &lines, expect).unwrap();
                assert_eq!(imported.inserted, 10_502, "{fine} {large}");
            }
        }
    }

    #[test]
    fn values_that_do_not_fit_the_scale_of_other_batches_are_found_before_any_is_stored() {
        let store = MemoryStore::new(0);
        let lines = format!("0,2,3,1,2.5,0.00000000001\n{}", minutes(1..10_500))
            + "630000000,2,3,1,2.5,134919000.5\n";
        let error = import_lines(&store, &lines, None).unwrap_err();
        assert_eq!(
            error.source.to_string(),
            "column 6 (`volume`): its largest value has 9 digit(s) before the decimal point and its finest 11 after it, \
             which do not fit 64 bits together"
        );
        assert_eq!(error.round_to, Some(8));
        assert_eq!(all_bars(&store).len(), 0);
    }

    #[test]
    fn what_the_stored_bars_leave_no_room_for_is_found_before_any_is_stored() {
        let store = MemoryStore::new(0);
        import_lines(&store, "0,2,3,1,2.5,0.000000000001\n", None).unwrap();
        let error = import_lines(&store, "60000,2,3,1,2.5,134919000\n", None).unwrap_err();
        assert!(
            matches!(*error.source, ImportError::TooFine { .. }),
            "{}",
            error.source
        );
        assert_eq!(error.round_to, None);
        assert_eq!(all_bars(&store).len(), 1);
    }

    #[test]
    fn progress_tells_of_the_check_and_then_of_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bars.csv");
        std::fs::write(&path, format!("{HEADER}{}", good())).unwrap();
        let file = BarFile {
            path: &path,
            format: Format::Csv,
            round_to: None,
        };
        let mut told = Vec::new();
        let store = MemoryStore::new(0);
        block_on(import_file(
            &store,
            &series(),
            &file,
            &OPTIONS,
            |progress| {
                told.push(match progress {
                    FileProgress::Checked { rows, .. } => ("checked", rows, 0),
                    FileProgress::Stored { imported, rows } => ("stored", imported.rows, rows),
                });
            },
        ))
        .unwrap();
        assert_eq!(
            told,
            [
                ("checked", 10_000, 0),
                ("checked", 10_500, 0),
                ("stored", 10_000, 10_500),
                ("stored", 10_500, 10_500),
            ]
        );
    }
}
