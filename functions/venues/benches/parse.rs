//! What reading a page costs: full pages of Binance klines and of Alpaca bars, in bytes per second, against serde_json
//! reading the same bytes into a derived struct. That floor keeps klines as text and rounds Alpaca's numbers to
//! doubles; ours are exact decimals and names what is wrong.
//!
//! Ratios within one run are what counts.
#![allow(
    missing_docs,
    reason = "criterion's macros make a public item without docs"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that fails has nothing to report"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;

use bulkhead_venues::alpaca::bars;
use bulkhead_venues::binance::klines;
use bulkhead_venues::{HttpResponse, alpaca};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::Deserialize;

/// Symbols of the page of Alpaca bars.
const SYMBOLS: [&str; 4] = ["AAPL", "MSFT", "SPY", "TSLA"];

fn answered(body: &str) -> HttpResponse<'_> {
    HttpResponse {
        status: 200,
        headers: &[],
        body: body.as_bytes(),
    }
}

/// A full page of klines, as the venue writes them.
fn klines_page() -> String {
    let rows: Vec<String> = (0..i64::from(klines::MAX_LIMIT))
        .map(|minute| {
            let open = 1_641_200_400_000 + minute * 60_000;
            let close = open + 59_999;
            let cents = 4_631_950 + minute * 37 % 1_000;
            let price = format!("{}.{:02}000000", cents / 100, cents % 100);
            format!(
                r#"[{open},"{price}","{price}","{price}","{price}","{}.{:05}000",{close},"1837269.44718520",{},"12.83417000","594281.10538250","0"]"#,
                minute % 90,
                minute * 7_919 % 100_000,
                500 + minute % 300
            )
        })
        .collect();
    format!("[{}]", rows.join(","))
}

/// A full page of bars, as the venue writes them.
fn bars_page() -> String {
    let mut text = String::from(r#"{"bars":{"#);
    for (place, symbol) in SYMBOLS.iter().enumerate() {
        let _ = write!(text, "{}\"{symbol}\":[", if place == 0 { "" } else { "," });
        for minute in 0..usize::from(bars::MAX_LIMIT) / SYMBOLS.len() {
            let cents = 17_826 + minute * 37 % 1_000;
            let price = format!("{}.{:02}", cents / 100, cents % 100);
            let (day, hour, second) = (3 + minute / 1_440 % 25, minute / 60 % 24, minute % 60);
            let _ = write!(
                text,
                r#"{}{{"c":{price},"h":{price},"l":{price},"n":{},"o":{price},"t":"2022-01-{day:02}T{hour:02}:{second:02}:00Z","v":{},"vw":178.235733}}"#,
                if minute == 0 { "" } else { "," },
                65 + minute % 400,
                1_118 + minute * 31 % 90_000,
            );
        }
        text.push(']');
    }
    text.push_str(r#"},"next_page_token":"QUFQTHxNfDIwMjItMDEtMDNUMDk6MDA6MDAuMDAwMDAwMDAwWg=="}"#);
    text
}

/// The floor of klines.
#[derive(Deserialize)]
#[allow(dead_code, reason = "a floor only reads")]
struct KlineFloor<'a>(
    i64,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    i64,
    &'a str,
    i64,
    &'a str,
    &'a str,
    &'a str,
);

/// The floor of bars.
#[derive(Deserialize)]
#[allow(dead_code, reason = "a floor only reads")]
struct BarFloor<'a> {
    t: &'a str,
    o: f64,
    h: f64,
    l: f64,
    c: f64,
    v: f64,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "a floor only reads")]
struct PageFloor<'a> {
    #[serde(borrow)]
    bars: BTreeMap<String, Vec<BarFloor<'a>>>,
    next_page_token: Option<&'a str>,
}

fn pages(criterion: &mut Criterion) {
    let page = klines_page();
    let mut group = criterion.benchmark_group("binance klines");
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("serde_json into &str", |bencher| {
        bencher.iter(|| serde_json::from_str::<Vec<KlineFloor<'_>>>(black_box(&page)).unwrap());
    });
    group.bench_function("parse", |bencher| {
        bencher.iter(|| klines::parse(&answered(black_box(&page)), klines::MAX_LIMIT).unwrap());
    });
    group.finish();

    let page = bars_page();
    let mut group = criterion.benchmark_group("alpaca bars");
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("serde_json into f64", |bencher| {
        bencher.iter(|| serde_json::from_str::<PageFloor<'_>>(black_box(&page)).unwrap());
    });
    group.bench_function("parse", |bencher| {
        bencher.iter(|| alpaca::bars::parse(&answered(black_box(&page)), bars::MAX_LIMIT).unwrap());
    });
    group.finish();
}

criterion_group!(benches, pages);
criterion_main!(benches);
