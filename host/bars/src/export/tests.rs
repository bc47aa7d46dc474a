use bulkhead_store::MemoryStore;
use futures::executor::block_on;
use proptest::prelude::*;

use super::*;
use crate::fixture::{all_bars, all_bars_of, bars, flat, put, series};
use crate::{BadRows, ImportOptions, MANIFEST_NAME, VerifyError, import_root, verify};

const NOW_MS: i64 = 1_700_000_000_000;
const FORMATS: [Format; 2] = [Format::Csv, Format::Parquet];
const MINUTE: i64 = 60_000;

fn request(series: Vec<Series>, format: Format) -> ExportRequest {
    ExportRequest {
        series,
        start_ms: None,
        end_ms: None,
        format,
        now_ms: NOW_MS,
    }
}

fn export_all(store: &MemoryStore, root: &Path, format: Format) -> Manifest {
    block_on(export(
        store,
        &request(vec![series()], format),
        root,
        |_| {},
    ))
    .unwrap()
}

fn imported(root: &Path) -> Result<MemoryStore, crate::RootError> {
    let store = MemoryStore::new(0);
    let options = ImportOptions {
        now_ms: i64::MAX,
        bad_rows: BadRows::Refuse,
        max_jump: None,
    };
    block_on(import_root(&store, root, &options, |_| {}))?;
    Ok(store)
}

fn problems(root: &Path) -> Vec<String> {
    match verify(root).unwrap_err() {
        VerifyError::Problems(problems) => {
            problems.listed.iter().map(ToString::to_string).collect()
        }
        VerifyError::Manifest(error) => vec![error.to_string()],
    }
}

fn edit(root: &Path, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = Manifest::read(root).unwrap();
    change(&mut manifest);
    fs::remove_file(root.join(MANIFEST_NAME)).unwrap();
    manifest.write(root).unwrap();
}

/// A store with three days of minutes, exported.
fn exported() -> (tempfile::TempDir, PathBuf, MemoryStore) {
    let store = MemoryStore::new(0);
    put(&store, (0..3 * 1_440).map(|minute| minute * MINUTE));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    export_all(&store, &root, Format::Csv);
    (folder, root, store)
}

#[test]
fn a_root_is_partitioned_by_symbol_timeframe_and_date() {
    for format in FORMATS {
        let store = MemoryStore::new(0);
        put(&store, (1_439..25_000).map(|minute| minute * MINUTE));
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new/root");
        let manifest = export_all(&store, &root, format);
        let first = &manifest.files[0];
        assert_eq!(
            first.path,
            format!("symbol=BTC-USDT/timeframe=1m/date=1970-01-01/00000.{format}")
        );
        assert_eq!((first.rows, first.first_open_time_ms), (1, 1_439 * MINUTE));
        assert_eq!((manifest.files.len(), manifest.rows), (18, 25_000 - 1_439));
        assert_eq!(manifest.files[7].rows, 1_440);
        assert_eq!(manifest.generated_at, "2023-11-14T22:13:20.000Z");
        assert_eq!(verify(&root).unwrap(), manifest);
        assert_eq!(all_bars(&imported(&root).unwrap()), all_bars(&store));
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    }
}

#[test]
fn only_the_range_is_exported() {
    let (folder, _, store) = exported();
    let request = ExportRequest {
        start_ms: Some(10 * MINUTE),
        end_ms: Some(20 * MINUTE),
        ..request(vec![series(), series()], Format::Csv)
    };
    let root = folder.path().join("range");
    let manifest = block_on(export(&store, &request, &root, |_| {})).unwrap();
    assert_eq!(
        (manifest.rows, manifest.files[0].last_open_time_ms),
        (10, 19 * MINUTE)
    );
}

#[test]
fn a_symbol_cannot_leave_the_root() {
    for name in [
        "../../up",
        "/etc/passwd",
        "..",
        ".",
        "a/../b",
        "%2e%2e",
        "é=",
        "C:\\x",
    ] {
        let series = Series::new(name, "1m").unwrap();
        let store = MemoryStore::new(0);
        block_on(store.append_bars(series.clone(), flat(vec![0]), 0)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let request = request(vec![series.clone()], Format::Csv);
        let manifest = block_on(export(&store, &request, &root, |_| {})).unwrap();
        let path = &manifest.files[0].path;
        assert_eq!(path.split('/').count(), 4, "{path}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let back = imported(&root).unwrap();
        assert_eq!(
            all_bars_of(&back, series.clone()),
            all_bars_of(&store, series)
        );
    }
}

#[test]
fn a_root_that_is_there_is_left_alone() {
    let (_folder, root, store) = exported();
    let request = request(vec![series()], Format::Csv);
    let error = block_on(export(&store, &request, &root, |_| {})).unwrap_err();
    assert!(matches!(error, ExportError::RootExists { .. }), "{error}");
    verify(&root).unwrap();
}

#[test]
fn an_empty_folder_becomes_the_root() {
    let (folder, _, store) = exported();
    let root = folder.path().join("empty");
    fs::create_dir(&root).unwrap();
    export_all(&store, &root, Format::Parquet);
    verify(&root).unwrap();
}

#[test]
fn an_export_that_fails_leaves_nothing() {
    let store = MemoryStore::new(0);
    put(&store, [0, i64::MAX - 1]);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let none = Series::new("NONE", "1m").unwrap();
    for (series, expect) in [
        (none, "it has no bar in the range"),
        (series(), "opens in no year"),
    ] {
        let request = request(vec![series], Format::Csv);
        let error = block_on(export(&store, &request, &root, |_| {})).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn every_problem_of_a_root_is_told_at_once_and_nothing_is_imported() {
    let (_folder, root, _) = exported();
    let files = Manifest::read(&root).unwrap().files;
    fs::remove_file(root.join(&files[0].path)).unwrap();
    let text = fs::read_to_string(root.join(&files[1].path)).unwrap();
    fs::write(
        root.join(&files[1].path),
        text.replacen("46319.50", "46319.51", 1),
    )
    .unwrap();
    fs::write(root.join(&files[2].path), "short").unwrap();
    edit(&root, |manifest| manifest.rows += 1);
    let found = problems(&root);
    for (problem, expect) in found.iter().zip([
        "cannot be read",
        "its sha256 is",
        "its size in bytes is 5",
        "`rows` is 4321",
    ]) {
        assert!(problem.contains(expect), "{problem}");
    }
    assert_eq!(found.len(), 4);
    assert!(imported(&root).is_err());
}

#[test]
fn a_manifest_cannot_lead_out_of_its_root() {
    for path in [
        "../secret.csv",
        "/etc/passwd",
        "a/../../secret.csv",
        "",
        ".",
        "./a",
        "a//b",
        "a\\b",
    ] {
        let (_folder, root, _) = exported();
        edit(&root, |manifest| manifest.files[0].path = path.to_owned());
        let found = problems(&root);
        assert!(
            found[0].contains("must stay in the root"),
            "{path}: {found:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_a_root_is_not_followed() {
    let (folder, root, _) = exported();
    let path = root.join(&Manifest::read(&root).unwrap().files[0].path);
    let outside = folder.path().join("outside.csv");
    fs::rename(&path, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    let found = problems(&root);
    assert!(found[0].contains("no plain file"), "{found:?}");
}

#[test]
fn what_a_manifest_says_of_its_rows_is_checked() {
    type Change = fn(&mut FileEntry);
    let changes: [(Change, &str); 5] = [
        (|file| file.rows -= 1, "number of bars"),
        (|file| file.first_open_time_ms += 1, "first open time"),
        (|file| file.last_open_time_ms += 1, "last open time"),
        (|file| file.series.timeframe = "x".to_owned(), "timeframe"),
        (|file| file.sha256.clear(), "sha256"),
    ];
    for (change, expect) in changes {
        let (_folder, root, _) = exported();
        edit(&root, |manifest| change(&mut manifest.files[0]));
        let found = problems(&root);
        assert!(found[0].contains(expect), "{found:?}");
    }
    let (_folder, root, _) = exported();
    edit(&root, |manifest| {
        manifest.files[1] = manifest.files[0].clone()
    });
    assert!(problems(&root)[0].contains("listed twice"));
}

#[test]
fn a_manifest_of_another_form_or_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (text, expect) in [
        ("", "read manifest"),
        ("[]", "read manifest"),
        (
            "{\"version\":2,\"new\":true}",
            "its version is 2, expected 1",
        ),
        ("{\"version\":1,\"new\":true}", "read manifest"),
    ] {
        fs::write(folder.path().join(MANIFEST_NAME), text).unwrap();
        let found = problems(folder.path());
        assert!(found[0].contains(expect), "{found:?}");
    }
    let found = problems(&folder.path().join("none"));
    assert!(found[0].contains("none"), "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_exported_is_imported_bit_for_bit(bars in bars(12), format in prop::sample::select(&FORMATS[..])) {
        let store = MemoryStore::new(0);
        block_on(store.append_bars(series(), bars, 0)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        export_all(&store, &root, format);
        prop_assert_eq!(all_bars(&imported(&root).unwrap()), all_bars(&store));
    }
}
