//! Hostile guests: each ends within its deadline, for a named reason, and the next run is clean.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bulkhead_grants::egress::{EgressClass, EgressRule};
use bulkhead_sandbox::ComponentSpec;
use bulkhead_stage::{Failure, Finished, Limit, StageError};
use bulkhead_store::{Key, Store as _};
use bulkhead_tests::{Bench, guest, with_egress};
use serde_json::{Value, json};

/// The programs that have a test here, in the order of `guests::PROGRAMS`.
const TESTED: &[&str] = &[
    "well-behaved",
    "endless-loop",
    "endless-recursion",
    "memory-bomb",
    "gigabyte-of-log",
    "ten-million-host-calls",
    "answer-too-large",
    "trap-half-way",
    "panic",
    "handle-leak",
    "endless-body",
    "endless-headers",
    "fetch",
    "write-then-fail",
];

async fn run(bench: &Bench, input: &Value) -> Finished {
    bench.run("guest", &input.to_string()).await
}

/// Runs `program` alone, expects it to break `limit`, and a well-behaved run after it to be clean.
async fn breaks(program: &str, limit: Limit) {
    let mut spec = guest("guest");
    spec.limits.deadline = Duration::from_millis(500);
    if limit == Limit::HostCalls || limit == Limit::Memory {
        spec.limits.deadline = Duration::from_secs(20);
    }
    let bench = Bench::new(vec![spec]);
    let finished = run(&bench, &json!({"program": program})).await;
    match finished.result {
        Err(Failure::Limit { limit: broken, .. }) => assert_eq!(broken, limit),
        other => panic!("{other:?}"),
    }
    let next = run(&bench, &json!({"program": "well-behaved", "echo": 7})).await;
    assert_eq!(next.result.unwrap().output, r#"{"echo":7}"#);
}

#[test]
fn every_program_has_a_test() {
    assert_eq!(TESTED, guests::PROGRAMS);
}

#[tokio::test]
async fn a_well_behaved_guest_answers() {
    let bench = Bench::new(vec![guest("guest")]);
    let finished = run(&bench, &json!({"program": "well-behaved", "echo": "hi"})).await;
    assert_eq!(finished.result.unwrap().output, r#"{"echo":"hi"}"#);
}

#[tokio::test]
async fn an_endless_loop_ends_at_its_deadline() {
    breaks("endless-loop", Limit::Deadline).await;
}

#[tokio::test]
async fn an_endless_recursion_is_a_stack_overflow() {
    breaks("endless-recursion", Limit::Stack).await;
}

#[tokio::test]
async fn a_memory_bomb_ends_at_the_memory_limit() {
    breaks("memory-bomb", Limit::Memory).await;
}

#[tokio::test]
async fn a_gigabyte_of_log_ends_at_the_log_limit() {
    breaks("gigabyte-of-log", Limit::LogBytes).await;
}

#[tokio::test]
async fn ten_million_host_calls_end_at_the_host_call_limit() {
    breaks("ten-million-host-calls", Limit::HostCalls).await;
}

#[tokio::test]
async fn an_answer_too_large_ends_at_the_output_limit() {
    breaks("answer-too-large", Limit::OutputBytes).await;
}

#[tokio::test]
async fn many_small_values_in_an_answer_end_at_what_the_host_may_copy() {
    let bench = Bench::new(vec![guest("guest")]);
    let input = json!({"program": "answer-too-large", "where": "metrics", "bytes": 16 << 20});
    match run(&bench, &input).await.result {
        Err(Failure::Limit { limit, .. }) => assert_eq!(limit, Limit::OutputBytes),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_growing_table_ends_at_the_table_limit() {
    let mut spec = guest("guest");
    spec.wasm = table_grower();
    let bench = Bench::new(vec![spec]);
    match run(&bench, &json!({})).await.result {
        Err(Failure::Limit { limit, .. }) => assert_eq!(limit, Limit::Table),
        other => panic!("{other:?}"),
    }
}

/// A stage whose `run` does nothing but `table.grow`, which Rust has no word for.
fn table_grower() -> Vec<u8> {
    let mut module = wat::parse_str(
        r#"(module
            (memory (export "memory") 1)
            (table $t 1 funcref)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
            (func (export "bulkhead:pipeline/stage@0.1.0#describe") (result i32) unreachable)
            (func (export "bulkhead:pipeline/stage@0.1.0#run")
                (param i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32) (result i32)
                (loop $again
                    (br_if $again
                        (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
                unreachable))"#,
    )
    .unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let wit = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(wit).unwrap();
    let world = resolve.select_world(&[package], Some("canary")).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    wit_component::ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

#[tokio::test]
async fn leaked_handles_end_at_the_handle_limit() {
    breaks("handle-leak", Limit::Handles).await;
}

#[tokio::test]
async fn a_panic_is_a_trap_that_names_the_message() {
    let bench = Bench::new(vec![guest("guest")]);
    let finished = run(&bench, &json!({"program": "panic", "why": "tired"})).await;
    match finished.result {
        Err(Failure::Trapped { detail }) => {
            assert!(detail.contains("the guest gives up"), "{detail}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_trap_half_way_keeps_what_was_committed_before_it() {
    let bench = Bench::new(vec![guest("guest")]);
    let finished = run(&bench, &json!({"program": "trap-half-way"})).await;
    assert!(
        matches!(finished.result, Err(Failure::Trapped { .. })),
        "{finished:?}"
    );
    let key = Key::new("ingest", "half-way").unwrap();
    let document = bench.store.get(&key).await.unwrap().unwrap();
    assert_eq!(document.body, r#"{"written":true}"#);
}

#[tokio::test]
async fn an_endless_loop_leaves_its_neighbours_undisturbed() {
    let mut endless = guest("endless");
    endless.limits.deadline = Duration::from_millis(300);
    let bench = Bench::new(vec![endless, guest("guest")]);
    let loops = bench.run("endless", r#"{"program": "endless-loop"}"#);
    let neighbours = async {
        let mut answered = 0;
        for echo in 0..20 {
            let input = json!({"program": "well-behaved", "echo": echo});
            let finished = run(&bench, &input).await;
            assert_eq!(
                finished.result.unwrap().output,
                json!({"echo": echo}).to_string()
            );
            answered += 1;
        }
        answered
    };
    tokio::pin!(loops);
    let answered = tokio::select! {
        biased;
        finished = &mut loops => panic!("the loop ended before its neighbours: {finished:?}"),
        answered = neighbours => answered,
    };
    assert_eq!(answered, 20);
    let finished = loops.await;
    assert!(
        matches!(
            finished.result,
            Err(Failure::Limit {
                limit: Limit::Deadline,
                ..
            })
        ),
        "{finished:?}"
    );
}

/// A venue that answers every request with `head` and then `again`, for as long as anyone reads.
fn endless_venue(head: &'static str, again: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            if stream.write_all(head.as_bytes()).is_err() {
                continue;
            }
            while stream.write_all(again).is_ok() {}
        }
    });
    address
}

fn reaching(address: SocketAddr) -> ComponentSpec {
    let rule = EgressRule {
        host: format!("http://{address}").parse().unwrap(),
        class: EgressClass::MarketData,
        methods: vec!["GET".parse().unwrap()],
        paths: vec!["/**".parse().unwrap()],
        manifest_line: 1,
    };
    with_egress(guest("guest"), vec![rule])
}

#[tokio::test]
async fn an_endless_body_ends_at_the_response_limit() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let address = endless_venue(
        head,
        b"400\r\n"
            .iter()
            .chain(&[b'x'; 1024])
            .chain(b"\r\n")
            .copied()
            .collect::<Vec<u8>>()
            .leak(),
    );
    let bench = Bench::new(vec![reaching(address)]);
    let input = json!({"program": "endless-body", "scheme": "http", "authority": address.to_string(), "path": "/"});
    match run(&bench, &input).await.result {
        Err(Failure::Limit { limit, .. }) => assert_eq!(limit, Limit::ResponseBytes),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn endless_headers_are_an_error_that_the_guest_can_see() {
    let address = endless_venue("HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n");
    let bench = Bench::new(vec![reaching(address)]);
    let input = json!({"program": "endless-headers", "scheme": "http", "authority": address.to_string(), "path": "/"});
    let report = run(&bench, &input).await.result.unwrap();
    let output: Value = serde_json::from_str(&report.output).unwrap();
    assert_eq!(output["refused"], "send");
    assert!(
        output["error"]
            .as_str()
            .unwrap()
            .contains("HeaderSectionSize"),
        "{output}"
    );
}

#[tokio::test]
async fn a_granted_request_is_answered_and_any_other_is_noted_as_a_denial() {
    let address = endless_venue("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", b"body");
    let bench = Bench::new(vec![reaching(address)]);
    let mut input = json!({"program": "fetch", "scheme": "http", "authority": address.to_string(), "path": "/"});
    let report = run(&bench, &input).await.result.unwrap();
    assert_eq!(report.output, r#"{"status":200,"location":null,"bytes":4}"#);
    input["method"] = "POST".into();
    let finished = run(&bench, &input).await;
    assert_eq!(finished.usage.denials.len(), 1);
    assert_eq!(finished.usage.denials[0].reason, "method-not-granted");
}

#[tokio::test]
async fn a_run_in_fake_mode_writes_no_document_and_sends_no_request() {
    let address = endless_venue("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", b"body");
    let bench = Bench::new(vec![reaching(address)]);
    let input = json!({"program": "fetch", "scheme": "http", "authority": address.to_string(), "path": "/"});
    let finished = bench.run_fake("guest", &input.to_string()).await;
    assert_eq!(finished.usage.denials[0].reason, "fake-mode");
    let finished = bench
        .run_fake("guest", r#"{"program": "write-then-fail"}"#)
        .await;
    assert_eq!(finished.usage.denials[0].reason, "fake-mode");
    let key = Key::new("ingest", "first").unwrap();
    assert_eq!(bench.store.get(&key).await.unwrap(), None);
}

#[tokio::test]
async fn a_commit_with_one_bad_write_stores_none_of_it() {
    let bench = Bench::new(vec![guest("guest")]);
    let finished = run(&bench, &json!({"program": "write-then-fail"})).await;
    match finished.result {
        Err(Failure::Stage(StageError::Internal(text))) => {
            assert!(text.contains("Invalid"), "{text}")
        }
        other => panic!("{other:?}"),
    }
}
