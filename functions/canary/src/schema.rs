//! The JSON Schemas (2020-12) of the canary's input and output.

use serde_json::{Map, Value, json};

use crate::settings::Flags;

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What the canary takes.
#[must_use]
pub fn input() -> Value {
    let flags: Map<String, Value> = Flags::NAMES
        .iter()
        .map(|name| ((*name).to_owned(), json!({ "type": ["boolean", "string"] })))
        .collect();
    json!({
        "$schema": DIALECT,
        "type": "object",
        "properties": {
            "fake_mode": {
                "description": "Whether every stage of the pipeline is fake. Absent or null: true.",
                "type": ["boolean", "null"],
            },
            "flags": {
                "description": "Overrides of the configured flags. Of the texts, 1, true, yes and on are true.",
                "type": "object",
                "properties": flags,
                "additionalProperties": false,
            },
            "mock_feed_seed": {
                "description": "From what the mock feed makes its frame.",
                "type": "object",
            },
        },
        "additionalProperties": false,
    })
}

/// What the canary gives.
#[must_use]
pub fn output() -> Value {
    let stage = json!({ "type": ["object", "null"] });
    json!({
        "$schema": DIALECT,
        "type": "object",
        "properties": {
            "response": {
                "type": "object",
                "properties": {
                    "status": { "enum": ["success", "hold"] },
                    "reason": { "type": ["string", "null"] },
                    "rationale": { "type": "array", "items": { "type": "string" } },
                    "brain_decision": stage,
                    "trade_action": stage,
                    "router_result": stage,
                    "intent_preview": stage,
                    "meta": { "type": "object" },
                },
                "required": [
                    "status", "reason", "rationale", "brain_decision", "trade_action", "router_result",
                    "intent_preview", "meta",
                ],
                "additionalProperties": false,
            },
            "checks": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": { "type": "string" },
                        "passed": { "type": "boolean" },
                        "detail": { "type": "string" },
                    },
                    "required": ["name", "passed", "detail"],
                    "additionalProperties": false,
                },
            },
            "trace_id": { "type": ["string", "null"] },
        },
        "required": ["response", "checks", "trace_id"],
        "additionalProperties": false,
    })
}
