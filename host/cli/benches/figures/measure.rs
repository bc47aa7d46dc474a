//! Times, and the table that they stand in.

use std::time::{Duration, Instant};

/// The head of the table.
pub const HEAD: &str = "| figure | median | against |\n|---|---:|---|";

/// Prints one row.
pub fn row(name: &str, value: Duration, against: &str) {
    let micros = value.as_secs_f64() * 1e6;
    let text = if micros >= 10_000.0 {
        format!("{:.1} ms", micros / 1e3)
    } else {
        format!("{micros:.1} µs")
    };
    println!("| {name} | {text} | {against} |");
}

/// How many times longer `a` takes than `b`.
pub fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

/// The middle one of `took`.
pub fn middle(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}

/// The median time of `times` calls, after a tenth as many to warm up.
pub async fn median<F: Future<Output = ()>>(times: usize, mut call: impl FnMut() -> F) -> Duration {
    for _ in 0..times / 10 {
        call().await;
    }
    let mut took = Vec::with_capacity(times);
    for _ in 0..times {
        let started = Instant::now();
        call().await;
        took.push(started.elapsed());
    }
    middle(took)
}

/// The median time of a plain call, taken over batches of `batch` calls: for what takes less than the clock's own cost.
pub fn median_of_batches(batches: usize, batch: u32, mut call: impl FnMut()) -> Duration {
    let mut took = Vec::with_capacity(batches);
    for number in 0..batches + batches / 10 {
        let started = Instant::now();
        for _ in 0..batch {
            call();
        }
        if number >= batches / 10 {
            took.push(started.elapsed() / batch);
        }
    }
    middle(took)
}
