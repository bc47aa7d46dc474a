//! The stage's input and report: which task is asked for, and how its end is told.

use bulkhead_kernel::stage::{
    Configuration, Documents, Metric, Report, StageError, expect_no_fields, read_input,
};
use serde_json::{Value, json};

use crate::{pipeline, route};

/// JSON Schema of the stage's input.
pub const INPUT_SCHEMA: &str = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","oneOf":[{"type":"object","properties":{"task":{"const":"route"}},"additionalProperties":false},{"type":"object","properties":{"task":{"const":"preview"},"envelope":{"type":"object"},"brain_decision":{"type":"object"},"trade_action":{"type":"object"},"fake":{"type":"boolean"},"flags":{"type":"object","additionalProperties":{"type":"boolean"}},"max_position_usd":{"type":"string"},"max_order_usd":{"type":"string"}},"required":["task"]}]}"#;
/// JSON Schema of the stage's output.
pub const OUTPUT_SCHEMA: &str = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","oneOf":[{"type":"object","properties":{"trade_actions":{"type":"integer","minimum":0},"dry_run":{"type":"integer","minimum":0},"denied":{"type":"integer","minimum":0},"repeated":{"type":"integer","minimum":0},"nothing_to_close":{"type":"integer","minimum":0},"intents":{"type":"array","maxItems":100,"items":{"type":"object","properties":{"client_order_id":{"type":"string"},"state":{"enum":["dry_run","denied"]},"intent":{"type":["object","null"]},"reason":{"type":["object","null"]}},"required":["client_order_id","state","intent","reason"]}},"detail":{"type":"string"}},"required":["trade_actions","dry_run","denied","repeated","nothing_to_close","intents"]},{"type":"object","properties":{"skipped":{"const":true}},"required":["skipped"],"additionalProperties":false},{"type":"object","properties":{"router_result":{"type":"object"},"intent_preview":{"type":["object","null"]},"preview_error":{"type":"string"},"metrics":{"type":"array"}},"required":["router_result","intent_preview","metrics"]}]}"#;

/// Runs the task that the input asks for: `route` (the default) or `preview`.
///
/// In fake mode only `preview` does anything, as it has no effect.
///
/// # Errors
/// [`StageError::InvalidInput`] for an input against [`INPUT_SCHEMA`]; else what the task met.
pub async fn run(
    ports: &(impl Documents + Configuration),
    input: &str,
    fake_mode: bool,
    scheduled_at_ms: i64,
) -> Result<Report, StageError> {
    let (task, input) = read_input(input, "route")?;
    match task.as_str() {
        "preview" => pipeline::run_task(&input)
            .map(previewed)
            .map_err(StageError::InvalidInput),
        "route" => {
            expect_no_fields(&task, &input)?;
            if fake_mode {
                return Ok(Report::skipped("fake_mode", json!({ "skipped": true })));
            }
            route::route(ports, scheduled_at_ms).await
        }
        other => Err(StageError::InvalidInput(format!(
            "`task` must be `route` or `preview`, not `{other}`"
        ))),
    }
}

fn previewed(output: Value) -> Report {
    let metrics = output["metrics"]
        .as_array()
        .into_iter()
        .flatten()
        .map(Metric::from_json)
        .collect();
    Report {
        metrics,
        ..Report::success(output)
    }
}
