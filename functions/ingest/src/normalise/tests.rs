use serde_json::{Value, json};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// The answer as its reader sees it.
fn run_task(input: &Value, now_s: f64, duration_ms: impl FnOnce() -> f64) -> Result<Value, String> {
    super::run_task(input, now_s, duration_ms)
        .map(|answer| serde_json::from_str(&answer.to_json().unwrap()).unwrap())
}

const NOW_S: f64 = 1_750_000_000.5;

fn run(path: &str, frame: &Value, fake: bool) -> Result<Value, String> {
    run_task(
        &json!({ "task": "normalise", "path": path, "frame": frame, "fake": fake }),
        NOW_S,
        || 0.25,
    )
    .map(|output| output["envelope"].clone())
}

/// What one cell of the table expects.
enum Cell {
    /// The error's text.
    Refused(&'static str),
    /// The envelope's instrument.
    Named(&'static str),
}
use Cell::{Named, Refused};

const INVALID_FRAME: Cell = Refused("invalid_frame: frame must be a dict");
const INVALID_SIGNAL: Cell = Refused("invalid_signal: signal must be a dict");
const MISSING: Cell = Refused("missing_instrument: instrument/symbol is required");

#[test]
fn each_odd_frame_is_refused_or_named_as_the_table_says() {
    // Columns: ingest_frame real, consume_signal real, ingest_frame fake, consume_signal fake.
    let table: Vec<(Value, [Cell; 4])> = vec![
        (
            json!(null),
            [INVALID_FRAME, INVALID_SIGNAL, INVALID_FRAME, INVALID_SIGNAL],
        ),
        (
            json!([1]),
            [INVALID_FRAME, INVALID_SIGNAL, INVALID_FRAME, INVALID_SIGNAL],
        ),
        (
            json!("x"),
            [INVALID_FRAME, INVALID_SIGNAL, INVALID_FRAME, INVALID_SIGNAL],
        ),
        (json!({}), [MISSING, MISSING, MISSING, Named("BTC-USD")]),
        (
            json!({"instrument": ""}),
            [MISSING, MISSING, MISSING, Named("BTC-USD")],
        ),
        (
            json!({"instrument": null}),
            [MISSING, MISSING, MISSING, Named("BTC-USD")],
        ),
        (
            json!({"instrument": "   "}),
            [MISSING, MISSING, MISSING, MISSING],
        ),
        (
            json!({"instrument": 5}),
            [MISSING, MISSING, MISSING, MISSING],
        ),
        (
            json!({"instrument": 0}),
            [MISSING, MISSING, MISSING, MISSING],
        ),
        (
            json!({"instrument": ["BTC-USD"]}),
            [MISSING, MISSING, MISSING, MISSING],
        ),
        (
            json!({"symbol": "\t"}),
            [MISSING, MISSING, MISSING, MISSING],
        ),
        (
            json!({"symbol": " ETH-USD "}),
            [
                Named("ETH-USD"),
                Named("ETH-USD"),
                Named(" ETH-USD "),
                Named(" ETH-USD "),
            ],
        ),
        (
            json!({"instrument": "  ", "symbol": "ETH-USD"}),
            [
                Named("ETH-USD"),
                Named("ETH-USD"),
                Named("ETH-USD"),
                Named("ETH-USD"),
            ],
        ),
        (
            json!({"pair": "A/B"}),
            [
                Named("A/B"),
                Named("A/B"),
                Named("BTC-USD"),
                Named("BTC-USD"),
            ],
        ),
    ];
    let columns = [
        ("ingest_frame", false),
        ("consume_signal", false),
        ("ingest_frame", true),
        ("consume_signal", true),
    ];
    for (frame, cells) in table {
        for ((path, fake), cell) in columns.into_iter().zip(cells) {
            let got = run(path, &frame, fake);
            let place = format!("{frame} over {path}, fake {fake}");
            match cell {
                Refused(text) => assert_eq!(got, Err(text.to_owned()), "{place}"),
                Named(name) => assert_eq!(got.expect(&place)["instrument"], name, "{place}"),
            }
        }
    }
}

#[test]
fn the_raw_part_of_a_fake_snapshot_is_the_frame_unless_that_is_empty() {
    let raw =
        |frame: Value| run("consume_signal", &frame, true).unwrap()["snapshot"]["raw"].clone();
    assert_eq!(raw(json!({})), json!({"source": "fake"}));
    assert_eq!(raw(json!({"instrument": ""})), json!({"instrument": ""}));
}

#[test]
fn a_snapshot_that_is_a_mapping_is_used_as_it_is_and_a_list_is_rebuilt() {
    for path in ["ingest_frame", "consume_signal"] {
        let given = json!({"instrument": "A", "snapshot": {"z": 1, "a": 2}});
        assert_eq!(
            run(path, &given, false).unwrap()["snapshot"].to_string(),
            r#"{"z":1,"a":2}"#
        );
        assert_eq!(
            run(path, &given, true).unwrap()["snapshot"]["features"]["price"],
            10000.0
        );
        let list =
            json!({"instrument": "A", "snapshot": [1], "timestamp": 7, "features": {"p": 1}});
        let rebuilt = run(path, &list, false).unwrap()["snapshot"].clone();
        assert_eq!(
            rebuilt.to_string(),
            format!(r#"{{"instrument":"A","timestamp":7,"features":{{"p":1}},"raw":{list}}}"#)
        );
        assert_eq!(run(path, &list, true).unwrap()["snapshot"]["raw"], list);
    }
}

#[test]
fn null_features_become_an_empty_mapping_and_fake_features_are_fixed() {
    for path in ["ingest_frame", "consume_signal"] {
        let frame = json!({"instrument": "A", "features": null});
        assert_eq!(
            run(path, &frame, false).unwrap()["snapshot"]["features"],
            json!({})
        );
        assert_eq!(
            run(path, &frame, true).unwrap()["snapshot"]["features"].to_string(),
            r#"{"price":10000.0,"signal_strength":0.75}"#
        );
    }
}

#[test]
fn an_empty_timestamp_is_replaced_by_now_or_by_the_fixed_fake_instant() {
    for empty in [json!(0), json!(0.0), json!(null), json!(""), json!(false)] {
        let frame = json!({"instrument": "A", "timestamp": empty});
        assert_eq!(
            run("ingest_frame", &frame, false).unwrap()["snapshot"]["timestamp"],
            NOW_S
        );
        assert_eq!(
            run("ingest_frame", &frame, true).unwrap()["snapshot"]["timestamp"],
            1_700_000_000
        );
    }
    let frame = json!({"instrument": "A", "timestamp": "yesterday"});
    assert_eq!(
        run("ingest_frame", &frame, false).unwrap()["snapshot"]["timestamp"],
        "yesterday"
    );
}

#[test]
fn the_canary_frame_gives_its_envelope_key_for_key() {
    let frame = json!({"instrument": "BTC-USD", "timestamp": 1700000000, "features": {"price": 10000.0},
        "raw": {"source": "ingest_canary"}});
    let snapshot = format!(
        r#"{{"instrument":"BTC-USD","timestamp":1700000000,"features":{{"price":10000.0,"signal_strength":0.75}},"raw":{frame}}}"#
    );
    assert_eq!(
        run("ingest_frame", &frame, true).unwrap().to_string(),
        format!(
            r#"{{"instrument":"BTC-USD","signals":{{"raw":{frame},"normalized":{snapshot}}},"snapshot":{snapshot},"fake_mode":true}}"#
        )
    );
    assert_eq!(
        run("ingest_frame", &frame, false).unwrap().to_string(),
        format!(
            r#"{{"instrument":"BTC-USD","signals":{frame},"snapshot":{{"instrument":"BTC-USD","timestamp":1700000000,"features":{{"price":10000.0}},"raw":{frame}}}}}"#
        )
    );
}

#[test]
fn the_answer_carries_one_span_and_one_counter_of_its_path() {
    for path in ["ingest_frame", "consume_signal"] {
        let input = json!({"task": "normalise", "path": path, "frame": {"symbol": "A"}});
        let output = run_task(&input, NOW_S, || 0.25).unwrap();
        assert_eq!(output["status"], "success");
        assert_eq!(
            output["telemetry"].to_string(),
            format!(
                r#"{{"spans":[{{"name":"{path}","duration_ms":0.25}}],"metrics":[{{"name":"signals.ingest.invocations_total","labels":{{"outcome":"success","path":"{path}"}}}}]}}"#
            )
        );
        let keys: Vec<_> = output.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["status", "envelope", "telemetry"]);
    }
}

#[test]
fn an_input_that_is_no_normalise_request_is_refused_by_field() {
    for (input, text) in [
        (json!([]), "the input must be an object"),
        (json!({"task": "normalise"}), "`path` must be"),
        (json!({"path": "other"}), "`path` must be"),
        (json!({"path": "ingest_frame", "fake": 1}), "`fake` must be"),
        (
            json!({"path": "ingest_frame", "freme": {}}),
            "unknown field `freme`",
        ),
        (json!({"path": "ingest_frame"}), "invalid_frame"),
    ] {
        let error = run_task(&input, NOW_S, || 0.25).unwrap_err();
        assert!(error.contains(text), "{input}: {error}");
    }
}
