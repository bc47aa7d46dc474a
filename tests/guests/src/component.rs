use serde_json::{Value, json};

wit_bindgen::generate!({
    path: "../../wit",
    world: "ingest",
    generate_all,
});

use bulkhead::pipeline::documents;
use exports::bulkhead::pipeline::stage::{
    Descriptor, Guest, Invocation, Outcome, Report, StageError,
};
use wasi::http::types::{Fields, Method, Request, Scheme};

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
        let output = match input["program"].as_str().unwrap_or_default() {
            "well-behaved" => json!({"echo": input["echo"]}),
            "endless-loop" => endless_loop(),
            "endless-recursion" => json!({"depth": endless_recursion(0)}),
            "memory-bomb" => memory_bomb(),
            "gigabyte-of-log" => gigabyte_of_log(),
            "ten-million-host-calls" => ten_million_host_calls(),
            "answer-too-large" => return Ok(answer_too_large(&input)),
            "trap-half-way" => trap_half_way().await,
            "panic" => panic!("the guest gives up: {}", input["why"]),
            "handle-leak" => handle_leak(),
            "endless-body" | "endless-headers" | "fetch" => fetch(&input).await?,
            "write-then-fail" => write_then_fail().await?,
            other => {
                return Err(StageError::InvalidInput(format!("no program `{other}`")));
            }
        };
        Ok(report(output.to_string()))
    }
}

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

/// Sends the request that the input describes, and answers what came back.
async fn fetch(input: &Value) -> Result<Value, StageError> {
    let text = |name: &str| input[name].as_str().map(str::to_owned);
    let headers = Fields::new();
    for pair in input["headers"].as_array().into_iter().flatten() {
        let name = pair[0].as_str().unwrap_or_default().to_owned();
        let value = pair[1].as_str().unwrap_or_default().as_bytes().to_vec();
        if let Err(error) = headers.append(&name, &value) {
            return Ok(json!({"refused": "header", "error": format!("{error:?}")}));
        }
    }
    let (_trailers, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(headers, None, trailers, None);
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
        return Ok(json!({"refused": part}));
    }
    let response = match wasi::http::client::send(request).await {
        Ok(response) => response,
        Err(error) => return Ok(json!({"refused": "send", "error": format!("{error:?}")})),
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
    Ok(json!({"status": status, "location": location, "bytes": bytes}))
}
