use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::Program;

wit_bindgen::generate!({
    path: "../../wit",
    world: "ingest",
    generate_all,
});

use bulkhead::pipeline::{documents, market_data};
use exports::bulkhead::pipeline::stage::{
    Descriptor, Guest, Invocation, Outcome, Report, StageError,
};
use wasi::http::types::{ErrorCode, Fields, Method, Request, Scheme};

type Trailers = wit_bindgen::FutureReader<Result<Option<Fields>, ErrorCode>>;

struct Hostile;

export!(Hostile);

impl Guest for Hostile {
    fn describe() -> Descriptor {
        Descriptor {
            name: "hostile".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            input_schema: r#"{"type":"object","required":["program"]}"#.into(),
            output_schema: r#"{"type":"object"}"#.into(),
        }
    }

    async fn run(invocation: Invocation) -> Result<Report, StageError> {
        let input: Value = serde_json::from_str(&invocation.input)
            .map_err(|error| StageError::InvalidInput(error.to_string()))?;
        let name = input["program"].as_str().unwrap_or_default();
        let Some(program) = Program::named(name) else {
            return Err(StageError::InvalidInput(format!("no program `{name}`")));
        };
        let output = match program {
            Program::WellBehaved => json!({"echo": input["echo"]}),
            Program::EndlessLoop => endless_loop(),
            Program::EndlessRecursion => json!({"depth": endless_recursion(0)}),
            Program::MemoryBomb => memory_bomb(),
            Program::GigabyteOfLog => gigabyte_of_log(),
            Program::TenMillionHostCalls => ten_million_host_calls(),
            Program::AnswerTooLarge => return Ok(answer_too_large(&input)),
            Program::TrapHalfWay => trap_half_way().await,
            Program::Panic => panic!("the guest gives up: {}", input["why"]),
            Program::HandleLeak => handle_leak(),
            Program::FutureLeak => future_leak(),
            Program::EndlessBody
            | Program::EndlessHeaders
            | Program::TricklingBody
            | Program::Fetch => fetch(&input).await,
            Program::EndlessRequestBody => endless_request_body(&input).await,
            Program::ManyRequestsAtOnce => {
                let all = (0..count(&input)).map(|_| fetch(&input));
                json!({"answers": futures::future::join_all(all).await})
            }
            Program::ManyCommitsAtOnce => many_commits_at_once(count(&input)).await,
            Program::ManyTimersAtOnce => many_timers_at_once(count(&input)).await,
            Program::ManyRequestsInTurn => {
                for _ in 0..count(&input) {
                    fetch(&input).await;
                }
                json!({})
            }
            Program::WriteThenFail => write_then_fail().await?,
            Program::AppendBar => append_bar().await?,
            Program::NewestBar => newest_bar().await?,
            Program::CountRuns => json!({"before": RUNS.fetch_add(1, Ordering::Relaxed)}),
            Program::HashSeed => json!({"hash": RandomState::new().hash_one(0)}),
        };
        Ok(report(output.to_string()))
    }
}

/// The runs of this instance.
static RUNS: AtomicU64 = AtomicU64::new(0);

fn report(output: String) -> Report {
    Report {
        outcome: Outcome::Success,
        reason: None,
        output,
        events: Vec::new(),
        spans: Vec::new(),
        metrics: Vec::new(),
    }
}

fn endless_loop() -> Value {
    let mut n: u64 = 0;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

/// Keeps nothing in linear memory, so that it is the engine's stack that overflows and not the guest's own.
#[inline(never)]
fn endless_recursion(depth: u64) -> u64 {
    if depth == u64::MAX {
        return 0;
    }
    let deeper = endless_recursion(depth + 1);
    deeper.rotate_left(7) ^ depth
}

fn memory_bomb() -> Value {
    let mut held: Vec<Vec<u8>> = Vec::new();
    loop {
        held.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

fn gigabyte_of_log() -> Value {
    let line = "x".repeat(1 << 16);
    for _ in 0..(1 << 14) {
        eprintln!("{line}");
    }
    json!({})
}

fn ten_million_host_calls() -> Value {
    let mut last = 0;
    for _ in 0..10_000_000 {
        last = wasi::clocks::monotonic_clock::now();
    }
    json!({"last": last})
}

fn answer_too_large(input: &Value) -> Report {
    let bytes = input["bytes"].as_u64().unwrap_or(3 << 20) as usize;
    match input["where"].as_str() {
        // Many small values are dearer to the host than one large one.
        Some("metrics") => Report {
            metrics: (0..bytes / 64)
                .map(|_| exports::bulkhead::pipeline::stage::Metric {
                    name: String::new(),
                    labels: Vec::new(),
                    value: 0.0,
                })
                .collect(),
            ..report("{}".into())
        },
        _ => report(json!("x".repeat(bytes)).to_string()),
    }
}

fn key(id: &str) -> documents::Key {
    documents::Key {
        collection: "ingest".into(),
        id: id.into(),
    }
}

async fn trap_half_way() -> Value {
    let put = documents::Put {
        key: key("half-way"),
        body: json!({"written": true}).to_string(),
    };
    let _ = documents::commit(vec![documents::Write::Upsert(put)]).await;
    core::arch::wasm32::unreachable()
}

async fn write_then_fail() -> Result<Value, StageError> {
    let first = documents::Put {
        key: key("first"),
        body: "{}".into(),
    };
    let second = documents::Put {
        key: key("second"),
        body: "not json".into(),
    };
    documents::commit(vec![
        documents::Write::Upsert(first),
        documents::Write::Upsert(second),
    ])
    .await
    .map_err(|error| StageError::Internal(format!("{error:?}")))?;
    Ok(json!({}))
}

fn handle_leak() -> Value {
    let mut held = Vec::new();
    loop {
        held.push(Fields::new());
    }
}

fn count(input: &Value) -> usize {
    input["count"].as_u64().unwrap_or(1) as usize
}

fn future_leak() -> Value {
    let mut held = Vec::new();
    loop {
        held.push(wit_future::new::<Result<(), ErrorCode>>(|| Ok(())));
    }
}

async fn many_commits_at_once(count: usize) -> Value {
    let all = (0..count).map(|index| {
        let put = documents::Put {
            key: key(&format!("at-once-{index}")),
            body: "{}".into(),
        };
        documents::commit(vec![documents::Write::Upsert(put)])
    });
    let answers = futures::future::join_all(all).await;
    let unavailable = answers
        .iter()
        .filter(|answer| matches!(answer, Err(documents::Error::Unavailable(_))))
        .count();
    json!({"answered": answers.iter().filter(|answer| answer.is_ok()).count(), "unavailable": unavailable})
}

async fn many_timers_at_once(count: usize) -> Value {
    let hour_ns = 3_600_000_000_000;
    let all = (0..count).map(|_| wasi::clocks::monotonic_clock::wait_for(hour_ns));
    json!({"waited": futures::future::join_all(all).await.len()})
}

fn series() -> market_data::Series {
    market_data::Series {
        instrument: "BTC-USDT".into(),
        timeframe: "1m".into(),
    }
}

async fn append_bar() -> Result<Value, StageError> {
    let one = || vec![1];
    let bars = market_data::Bars {
        price_scale: 0,
        volume_scale: 0,
        open_time_ms: vec![0],
        open: one(),
        high: one(),
        low: one(),
        close: one(),
        volume: one(),
    };
    let appended = market_data::append_bars(series(), bars).await;
    appended.map_err(|error| StageError::Denied(format!("{error:?}")))?;
    Ok(json!({}))
}

async fn newest_bar() -> Result<Value, StageError> {
    let newest = market_data::latest(series()).await;
    let newest = newest.map_err(|error| StageError::Denied(format!("{error:?}")))?;
    Ok(json!({"newest": newest}))
}

/// Sends the request that the input describes, and answers what came back.
async fn fetch(input: &Value) -> Value {
    let (_trailers, trailers) = wit_future::new(|| Ok(None));
    match request(input, None, trailers) {
        Ok(request) => exchange(request).await,
        Err(refused) => refused,
    }
}

/// Sends it with a body for as long as anyone takes it.
async fn endless_request_body(input: &Value) -> Value {
    let (mut body, contents) = wit_stream::new();
    let (_trailers, trailers) = wit_future::new(|| Ok(None));
    let request = match request(input, Some(contents), trailers) {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    let write = async move { while body.write_all(vec![b'x'; 64 * 1024]).await.is_empty() {} };
    let (answer, ()) = futures::future::join(exchange(request), write).await;
    answer
}

/// The request that the input describes; or which part of it WASI's types refuse.
fn request(
    input: &Value,
    contents: Option<wit_bindgen::StreamReader<u8>>,
    trailers: Trailers,
) -> Result<Request, Value> {
    let text = |name: &str| input[name].as_str().map(str::to_owned);
    let headers = Fields::new();
    for pair in input["headers"].as_array().into_iter().flatten() {
        let name = pair[0].as_str().unwrap_or_default().to_owned();
        let value = pair[1].as_str().unwrap_or_default().as_bytes().to_vec();
        if let Err(error) = headers.append(&name, &value) {
            return Err(json!({"refused": "header", "error": format!("{error:?}")}));
        }
    }
    let (request, _sent) = Request::new(headers, contents, trailers, None);
    let method = match text("method").as_deref().unwrap_or("GET") {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "DELETE" => Method::Delete,
        "PUT" => Method::Put,
        "HEAD" => Method::Head,
        other => Method::Other(other.to_owned()),
    };
    let scheme = match text("scheme").as_deref() {
        Some("http") => Some(Scheme::Http),
        Some("https") => Some(Scheme::Https),
        Some(other) => Some(Scheme::Other(other.to_owned())),
        None => None,
    };
    let set = [
        ("method", request.set_method(&method)),
        ("scheme", request.set_scheme(scheme.as_ref())),
        (
            "authority",
            request.set_authority(text("authority").as_deref()),
        ),
        ("path", request.set_path_with_query(text("path").as_deref())),
    ];
    if let Some((part, _)) = set.iter().find(|(_, set)| set.is_err()) {
        return Err(json!({"refused": part}));
    }
    Ok(request)
}

async fn exchange(request: Request) -> Value {
    let response = match wasi::http::client::send(request).await {
        Ok(response) => response,
        Err(error) => return json!({"refused": "send", "error": format!("{error:?}")}),
    };
    let status = response.get_status_code();
    let location = response
        .get_headers()
        .get("location")
        .first()
        .map(|value| String::from_utf8_lossy(value).into_owned());
    let (_done, done) = wit_future::new(|| Ok(()));
    let (mut body, _trailers) = wasi::http::types::Response::consume_body(response, done);
    let mut bytes = 0_usize;
    loop {
        let (result, chunk) = body.read(Vec::with_capacity(64 * 1024)).await;
        bytes += chunk.len();
        match result {
            wit_bindgen::StreamResult::Complete(_) => {}
            wit_bindgen::StreamResult::Dropped | wit_bindgen::StreamResult::Cancelled => break,
        }
    }
    json!({"status": status, "location": location, "bytes": bytes})
}
