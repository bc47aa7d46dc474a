//! The programs of the crate `guests`, each through [`withstands`].

use std::sync::Arc;
use std::time::Duration;

use bulkhead_sandbox::{CONNECTIONS, CONNECTIONS_OF_COMPONENT, ComponentSpec, POOL_SLOTS};
use bulkhead_stage::{Failure, Finished, MAX_DENIALS_KEPT, Runner as _};
use bulkhead_store::{Key, SqliteOptions, SqliteStore, Store as _};
use bulkhead_tests::{Bench, guest, invocation, sandbox_over};
use futures::future::{join, join_all};
use guests::Program;
use serde_json::{Value, json};

use crate::memory::Growth;
use crate::venue::{BODY, Manner, Venue};
use crate::{alone, word};

/// Runs of the neighbour while a program misbehaves.
const NEIGHBOURS: usize = 10;

/// The deadline of a program that is meant to reach it.
const SHORT: Duration = Duration::from_millis(500);

/// The deadline of a program that is meant to reach another bound first, and of every neighbour.
const LONG: Duration = Duration::from_secs(60);

/// Declares a test for each program, by the word with which its run ends. A program without a test does not compile.
macro_rules! withstood {
    ($($test:ident: $program:ident => $word:literal;)+) => {
        $(#[tokio::test]
        async fn $test() {
            withstands(Program::$program, $word).await;
        })+

        const _: fn(Program) = |program| match program {
            $(Program::$program => (),)+
        };
    };
}

withstood! {
    a_well_behaved_guest_answers: WellBehaved => "success";
    an_endless_loop_ends_at_its_deadline: EndlessLoop => "deadline-exceeded";
    an_endless_recursion_is_a_stack_overflow: EndlessRecursion => "stack-overflow";
    a_memory_bomb_ends_at_the_memory_limit: MemoryBomb => "memory-limit-exceeded";
    a_gigabyte_of_log_ends_at_the_log_limit: GigabyteOfLog => "log-limit-exceeded";
    ten_million_host_calls_end_at_the_host_call_limit: TenMillionHostCalls => "host-call-limit-exceeded";
    an_answer_too_large_ends_at_the_output_limit: AnswerTooLarge => "output-limit-exceeded";
    a_trap_half_way_is_a_trap: TrapHalfWay => "guest-trapped";
    a_panic_is_a_trap: Panic => "guest-trapped";
    leaked_handles_end_at_the_handle_limit: HandleLeak => "handle-limit-exceeded";
    leaked_futures_end_at_the_handle_limit: FutureLeak => "handle-limit-exceeded";
    an_endless_body_ends_at_the_response_limit: EndlessBody => "response-limit-exceeded";
    endless_headers_are_an_error_that_the_guest_can_see: EndlessHeaders => "success";
    a_trickling_body_ends_at_the_deadline: TricklingBody => "deadline-exceeded";
    an_endless_request_body_ends_at_the_output_limit: EndlessRequestBody => "output-limit-exceeded";
    many_requests_at_once_wait_until_the_deadline: ManyRequestsAtOnce => "deadline-exceeded";
    many_commits_at_once_are_answered: ManyCommitsAtOnce => "success";
    many_timers_at_once_end_at_the_handle_limit: ManyTimersAtOnce => "handle-limit-exceeded";
    many_refused_requests_do_no_harm: ManyRequestsInTurn => "success";
    a_granted_request_is_answered: Fetch => "success";
    a_commit_with_one_bad_write_is_an_error: WriteThenFail => "internal";
    a_bar_is_appended: AppendBar => "success";
    the_newest_bar_is_read: NewestBar => "success";
    runs_are_counted: CountRuns => "success";
    a_hash_is_answered: HashSeed => "success";
}

/// The venue that a program needs.
async fn venue(program: Program) -> Option<Venue> {
    let manner = match program {
        Program::EndlessBody => Manner::Repeats {
            head: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            again: format!("400\r\n{}\r\n", "x".repeat(0x400)),
        },
        Program::EndlessHeaders => Manner::Repeats {
            head: "HTTP/1.1 200 OK\r\n",
            again: "x-more: and more\r\n".into(),
        },
        Program::TricklingBody => Manner::Trickles {
            head: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        },
        Program::EndlessRequestBody | Program::ManyRequestsAtOnce => Manner::Swallows,
        Program::Fetch | Program::ManyRequestsInTurn => BODY,
        _ => return None,
    };
    Some(Venue::open(manner).await)
}

/// The program's input.
fn input(program: Program, venue: Option<&Venue>) -> Value {
    let mut input = json!({"program": program.name()});
    if let Some(venue) = venue {
        input["scheme"] = "http".into();
        input["authority"] = venue.address.to_string().into();
        input["path"] = "/".into();
    }
    match program {
        Program::Panic => input["why"] = "tired".into(),
        Program::ManyRequestsAtOnce | Program::ManyCommitsAtOnce => input["count"] = 200.into(),
        Program::ManyTimersAtOnce => input["count"] = 50_000.into(),
        Program::ManyRequestsInTurn => {
            input["count"] = 1_000.into();
            input["method"] = "DELETE".into();
        }
        Program::EndlessRequestBody => input["method"] = "PUT".into(),
        _ => {}
    }
    input
}

fn reaching(name: &str, venue: Option<&Venue>) -> ComponentSpec {
    match venue {
        Some(venue) => venue.reached_by(guest(name)),
        None => guest(name),
    }
}

async fn run(bench: &Bench, component: &str, input: &Value) -> Finished {
    bench.run(component, &input.to_string()).await
}

/// A clean run of a component.
async fn runs_well(bench: &Bench, component: &str) {
    let input = json!({"program": Program::WellBehaved.name(), "echo": 7});
    let finished = run(bench, component, &input).await;
    assert_eq!(finished.result.unwrap().output, r#"{"echo":7}"#);
}

/// What a program left behind.
struct Withstood {
    finished: Finished,
    bench: Bench,
    venue: Option<Venue>,
}

/// Runs `program` as [`outlasts`] does.
async fn withstands(program: Program, expected: &str) -> Withstood {
    let _alone = alone().await;
    let venue = venue(program).await;
    let hostile = reaching("hostile", venue.as_ref());
    let (finished, bench) = outlasts(hostile, &input(program, venue.as_ref()), expected).await;
    Withstood {
        finished,
        bench,
        venue,
    }
}

/// Runs the component `hostile` beside a neighbour. Its run ends with the word `expected`, the neighbour's runs succeed
/// meanwhile, the host grows within bounds, and the next run of the same component is clean.
async fn outlasts(mut hostile: ComponentSpec, input: &Value, expected: &str) -> (Finished, Bench) {
    hostile.limits.deadline = match expected {
        "deadline-exceeded" => SHORT,
        _ => LONG,
    };
    let mut neighbour = guest("neighbour");
    neighbour.limits.deadline = LONG;
    let bench = Bench::new(vec![hostile, neighbour]);
    runs_well(&bench, "neighbour").await;

    let growth = Growth::begin();
    let neighbours = async {
        for _ in 0..NEIGHBOURS {
            runs_well(&bench, "neighbour").await;
        }
    };
    let (finished, ()) = join(run(&bench, "hostile", input), neighbours).await;
    assert_eq!(word(&finished), expected, "{finished:?}");
    growth.is_bounded();
    runs_well(&bench, "hostile").await;
    (finished, bench)
}

/// What a run answered.
fn output(finished: &Finished) -> Value {
    let report = finished.result.as_ref().unwrap();
    serde_json::from_str(&report.output).unwrap()
}

#[tokio::test]
async fn many_small_values_in_an_answer_end_at_what_the_host_may_copy() {
    let _alone = alone().await;
    let bench = Bench::new(vec![guest("guest")]);
    let input = json!({"program": "answer-too-large", "where": "metrics", "bytes": 16 << 20});
    let growth = Growth::begin();
    let finished = run(&bench, "guest", &input).await;
    assert_eq!(word(&finished), "output-limit-exceeded");
    growth.is_bounded();
}

#[tokio::test]
async fn a_growing_table_ends_at_the_table_limit() {
    let _alone = alone().await;
    let mut hostile = guest("hostile");
    hostile.wasm = crate::components::table_grower();
    outlasts(hostile, &json!({}), "table-limit-exceeded").await;
}

#[tokio::test]
async fn each_run_finds_the_guests_memory_as_it_was_in_the_beginning() {
    let withstood = withstands(Program::CountRuns, "success").await;
    let input = input(Program::CountRuns, None);
    for finished in [
        withstood.finished,
        run(&withstood.bench, "hostile", &input).await,
    ] {
        assert_eq!(output(&finished), json!({"before": 0}));
    }
}

#[tokio::test]
async fn the_seed_of_a_guests_hash_maps_follows_from_the_runs_id() {
    let withstood = withstands(Program::HashSeed, "success").await;
    let hash = async |run_id: &str| {
        let mut invocation = invocation(&input(Program::HashSeed, None).to_string(), false);
        invocation.run_id = run_id.into();
        output(&withstood.bench.sandbox.run("hostile", invocation).await)
    };
    assert_eq!(hash("run-1").await, output(&withstood.finished));
    assert_ne!(hash("run-2").await, output(&withstood.finished));
}

#[tokio::test]
async fn a_panic_names_its_message() {
    let withstood = withstands(Program::Panic, "guest-trapped").await;
    match withstood.finished.result {
        Err(Failure::Trapped { detail }) => {
            assert!(detail.contains("the guest gives up: \"tired\""), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_trap_half_way_keeps_what_was_committed_before_it() {
    let withstood = withstands(Program::TrapHalfWay, "guest-trapped").await;
    let key = Key::new("ingest", "half-way").unwrap();
    let document = withstood.bench.store.get(&key).await.unwrap().unwrap();
    assert_eq!(document.body, r#"{"written":true}"#);
}

#[tokio::test]
async fn a_commit_with_one_bad_write_stores_none_of_it() {
    let withstood = withstands(Program::WriteThenFail, "internal").await;
    let error = withstood.finished.result.unwrap_err().to_string();
    assert!(error.contains("Invalid"), "{error}");
    let key = Key::new("ingest", "first").unwrap();
    assert_eq!(withstood.bench.store.get(&key).await.unwrap(), None);
}

#[tokio::test]
async fn a_guest_sees_that_headers_have_no_end() {
    let withstood = withstands(Program::EndlessHeaders, "success").await;
    let output = output(&withstood.finished);
    assert_eq!(output["refused"], "send");
    let error = output["error"].as_str().unwrap();
    assert!(error.contains("HeaderSectionSize"), "{output}");
}

#[tokio::test]
async fn a_granted_request_is_answered_and_any_other_is_noted_as_a_denial() {
    let withstood = withstands(Program::Fetch, "success").await;
    let answer = json!({"status": 200, "location": null, "bytes": 4});
    assert_eq!(output(&withstood.finished), answer);
    let mut input = input(Program::Fetch, withstood.venue.as_ref());
    input["method"] = "POST".into();
    let denials = run(&withstood.bench, "hostile", &input).await.usage.denials;
    assert_eq!(denials.len(), 1);
    assert_eq!(denials[0].reason, "method-not-granted");
}

#[tokio::test]
async fn of_many_refusals_the_first_are_noted() {
    let withstood = withstands(Program::ManyRequestsInTurn, "success").await;
    let denials = withstood.finished.usage.denials;
    assert_eq!(denials.len(), MAX_DENIALS_KEPT);
    assert_eq!(withstood.venue.unwrap().accepted(), 0);
}

#[tokio::test]
async fn a_run_in_fake_mode_writes_no_document_appends_no_bar_and_sends_no_request() {
    let _alone = alone().await;
    let venue = Venue::open(BODY).await;
    let bench = Bench::new(vec![reaching("guest", Some(&venue))]);
    for program in [Program::Fetch, Program::WriteThenFail, Program::AppendBar] {
        let input = input(program, Some(&venue)).to_string();
        let denials = bench.run_fake("guest", &input).await.usage.denials;
        assert_eq!(denials.len(), 1, "{program:?}");
        assert_eq!(denials[0].reason, "fake-mode", "{program:?}");
    }
    assert_eq!(venue.accepted(), 0);
    let key = Key::new("ingest", "first").unwrap();
    assert_eq!(bench.store.get(&key).await.unwrap(), None);
    let series = bulkhead_store::Series {
        instrument: "BTC-USDT".into(),
        timeframe: "1m".into(),
    };
    assert_eq!(bench.store.latest(&series).await.unwrap(), None);
}

#[tokio::test]
async fn many_requests_at_once_open_so_many_connections_and_no_more() {
    let withstood = withstands(Program::ManyRequestsAtOnce, "deadline-exceeded").await;
    assert_eq!(withstood.venue.unwrap().accepted(), CONNECTIONS);
}

#[tokio::test]
async fn requests_beyond_the_open_connections_wait_for_their_turn() {
    let _alone = alone().await;
    let venue = Venue::open(BODY).await;
    let bench = Bench::new(vec![reaching("guest", Some(&venue))]);
    let mut input = input(Program::ManyRequestsAtOnce, Some(&venue));
    input["count"] = (3 * CONNECTIONS).into();
    let output = output(&run(&bench, "guest", &input).await);
    let answers = output["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 3 * CONNECTIONS);
    assert!(
        answers.iter().all(|answer| answer["status"] == 200),
        "{output}"
    );
}

#[tokio::test]
async fn the_runs_of_one_component_leave_its_neighbours_connections() {
    let _alone = alone().await;
    let (silent, venue) = (Venue::open(Manner::Swallows).await, Venue::open(BODY).await);
    let mut greedy = reaching("greedy", Some(&silent));
    greedy.limits.deadline = Duration::from_secs(5);
    let bench = Bench::new(vec![greedy, reaching("neighbour", Some(&venue))]);
    let wanted = input(Program::ManyRequestsAtOnce, Some(&silent));
    let runs = 2 * CONNECTIONS_OF_COMPONENT / CONNECTIONS;
    let greedy = join_all((0..runs).map(|_| run(&bench, "greedy", &wanted)));
    let neighbour = async {
        silent.accepts(CONNECTIONS_OF_COMPONENT).await;
        let fetch = input(Program::Fetch, Some(&venue));
        let finished = run(&bench, "neighbour", &fetch).await;
        assert_eq!(output(&finished)["status"], 200);
        assert_eq!(silent.accepted(), CONNECTIONS_OF_COMPONENT);
    };
    let (ended, ()) = join(greedy, neighbour).await;
    for finished in ended {
        assert_eq!(word(&finished), "deadline-exceeded", "{finished:?}");
    }
}

#[tokio::test]
async fn a_run_beyond_the_pool_is_the_hosts_failure() {
    let _alone = alone().await;
    let mut spec = guest("guest");
    spec.limits.deadline = Duration::from_secs(2);
    let bench = Bench::new(vec![spec]);
    let waits = json!({"program": Program::ManyTimersAtOnce.name(), "count": 1});
    let runs = (0..=POOL_SLOTS).map(|_| run(&bench, "guest", &waits));
    let ended = join_all(runs).await;
    let (failed, waited): (Vec<_>, Vec<_>) = ended
        .iter()
        .partition(|finished| word(finished) == "host-failed");
    assert_eq!((failed.len(), waited.len()), (1, POOL_SLOTS as usize));
    let error = failed[0].result.as_ref().unwrap_err().to_string();
    assert!(
        error.contains("the pool of instances is used up"),
        "{error}"
    );
    runs_well(&bench, "guest").await;
}

#[tokio::test]
async fn commits_beyond_the_calls_in_flight_are_unavailable() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default();
    let store = SqliteStore::open(&folder.path().join("store.db"), options).unwrap();
    let sandbox = sandbox_over(Arc::new(store), vec![guest("guest")]);
    let input = input(Program::ManyCommitsAtOnce, None).to_string();
    let finished = sandbox.run("guest", invocation(&input, false)).await;
    let output = output(&finished);
    let count = |key: &str| output[key].as_u64().unwrap();
    assert!(
        count("answered") > 0 && count("unavailable") > 0,
        "{output}"
    );
    assert_eq!(count("answered") + count("unavailable"), 200, "{output}");
}
