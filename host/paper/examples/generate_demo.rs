//! Prints the demo's bars: `cargo run -p bulkhead-paper --example generate_demo > host/paper/data/demo-btcusdt-1m.csv`.

use bulkhead_paper::demo;

fn main() {
    print!("{}", demo::generate(demo::SEED, demo::BARS));
}
