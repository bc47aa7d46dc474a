//! The fixed inputs of a canary run. The order of their keys is part of them: digests depend on it.

use serde_json::{Value, json};

/// The instrument of every fixed input.
const INSTRUMENT: &str = "BTC-USD";
/// The instant of every fixed input, in Unix seconds.
const TIMESTAMP_S: i64 = 1_700_000_000;
/// The price of every fixed input, in USD.
const PRICE: f64 = 10_000.0;
/// The strength of the mock feed's signal.
const MOCK_SIGNAL_STRENGTH: f64 = 0.9;

/// The frame that is ingested.
#[must_use]
pub fn ingest_frame() -> Value {
    json!({
        "instrument": INSTRUMENT,
        "timestamp": TIMESTAMP_S,
        "features": { "price": PRICE },
        "raw": { "source": "ingest_canary" },
    })
}

/// The envelope of a run without ingest.
#[must_use]
pub fn baseline_envelope() -> Value {
    json!({ "instrument": INSTRUMENT, "snapshot": {}, "signals": {} })
}

/// The mock feed's frame. A seed gives its instrument (`instrument`, else `symbol`), its `price` (an integer stays one) and
/// itself as `raw`.
#[must_use]
pub fn mock_frame(seed: Option<&Value>) -> Value {
    let field = |names: &[&str]| {
        names
            .iter()
            .filter_map(|name| seed?.get(*name))
            .find(|value| !value.is_null())
            .cloned()
    };
    json!({
        "instrument": field(&["instrument", "symbol"]).unwrap_or_else(|| json!(INSTRUMENT)),
        "timestamp": TIMESTAMP_S,
        "features": {
            "price": field(&["price"]).unwrap_or_else(|| json!(PRICE)),
            "signal_strength": MOCK_SIGNAL_STRENGTH,
        },
        "raw": seed.cloned().unwrap_or_else(|| json!({ "source": "mock_feed" })),
    })
}

/// What the mock feed hands over: its frame as a snapshot.
#[must_use]
pub fn mock_payload(seed: Option<&Value>) -> Value {
    let frame = mock_frame(seed);
    json!({ "instrument": frame["instrument"], "snapshot": frame })
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use bulkhead_kernel::literal::literal;

    #[test]
    fn the_mock_feeds_payload_is_its_frame_as_a_snapshot() {
        assert_eq!(
            literal(&mock_payload(None)),
            "{'instrument': 'BTC-USD', 'snapshot': {'instrument': 'BTC-USD', 'timestamp': 1700000000, \
             'features': {'price': 10000.0, 'signal_strength': 0.9}, 'raw': {'source': 'mock_feed'}}}"
        );
    }

    #[test]
    fn a_seed_gives_the_mock_frame_its_instrument_its_price_and_itself() {
        let seed = json!({ "symbol": "ETH-USD", "price": 5 });
        assert_eq!(
            literal(&mock_frame(Some(&seed))),
            "{'instrument': 'ETH-USD', 'timestamp': 1700000000, \
             'features': {'price': 5, 'signal_strength': 0.9}, 'raw': {'symbol': 'ETH-USD', 'price': 5}}"
        );
        let seed = json!({ "symbol": "ETH-USD", "instrument": "SOL-USD" });
        assert_eq!(mock_frame(Some(&seed))["instrument"], "SOL-USD");
    }
}
