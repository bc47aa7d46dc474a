//! The runtime router: gives a trade action its order id.

use bulkhead_kernel::trace::Digest;
use serde_json::{Value, json};

/// The order id of a trade action that names none.
const NAMELESS_ORDER_ID: &str = "router-ok";

/// The router result of a fake pipeline.
#[must_use]
pub fn of_digest(digest: &Digest) -> Value {
    json!({
        "status": "success",
        "order_id": digest.order_id(),
        "reason": "fake_mode",
        "meta": { "fake": true, "trace_id": digest.trace_id() },
    })
}

/// The router's own fake in a real pipeline: the order id is read off the trade action's digest.
#[must_use]
pub fn fake(trade_action: &Value) -> Value {
    json!({
        "status": "success",
        "order_id": Digest::of(trade_action).order_id(),
        "reason": "fake_mode",
        "meta": { "fake": true, "action": trade_action["action"] },
    })
}

/// The router result of a real pipeline: the order id is the trade action's `order_id`, else its `id`, else `router-ok`.
#[must_use]
pub fn route(trade_action: &Value) -> Value {
    let order_id = ["order_id", "id"]
        .into_iter()
        .filter_map(|name| trade_action[name].as_str())
        .find(|id| !id.is_empty())
        .unwrap_or(NAMELESS_ORDER_ID);
    json!({
        "status": "success",
        "order_id": order_id,
        "reason": null,
        "meta": { "routed": true, "action": trade_action["action"] },
    })
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_order_id_is_the_actions_order_id_else_its_id_else_router_ok() {
        let order_id = |action: Value| route(&action)["order_id"].clone();
        assert_eq!(order_id(json!({ "id": "b", "order_id": "a" })), "a");
        assert_eq!(order_id(json!({ "id": "b" })), "b");
        assert_eq!(order_id(json!({ "id": "b", "order_id": "" })), "b");
        assert_eq!(order_id(json!({})), "router-ok");
    }

    #[test]
    fn a_routed_action_is_named_and_has_no_reason() {
        assert_eq!(
            route(&json!({ "action": "hold" })),
            json!({
                "status": "success", "order_id": "router-ok", "reason": null,
                "meta": { "routed": true, "action": "hold" },
            })
        );
    }

    #[test]
    fn the_routers_own_fake_reads_the_order_id_off_the_trade_action() {
        let trade_action = json!({
            "action": "hold",
            "envelope": {
                "action": "hold", "amount": 0.0, "confidence": 0.0, "instrument": "unknown",
                "metadata": { "risk_flags": ["fake_mode"], "fake": true }, "reason": "fake_mode",
            },
            "reason": "fake_mode",
        });
        let result = fake(&trade_action);
        assert_eq!(result["order_id"], "2135dc2726f1");
        assert_eq!(result["meta"], json!({ "fake": true, "action": "hold" }));
    }
}
