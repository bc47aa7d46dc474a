//! The stage's input and report: which task is asked for, and how its end is told.

use bulkhead_kernel::stage::{
    Configuration, Documents, MarketData, Metric, Report, StageError, expect_no_fields, read_input,
};
use serde_json::{Value, json};

use crate::strategies::Strategies;
use crate::{pipeline, walk};

/// JSON Schema of the stage's input.
pub const INPUT_SCHEMA: &str = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","oneOf":[{"type":"object","properties":{"task":{"const":"evaluate"}},"additionalProperties":false},{"type":"object","properties":{"task":{"const":"decide"},"envelope":{"type":"object"},"fake":{"type":"boolean"},"flags":{"type":"object","additionalProperties":{"type":"boolean"}},"context":{"type":"object"}},"required":["task","envelope"]}]}"#;
/// JSON Schema of the stage's output.
pub const OUTPUT_SCHEMA: &str = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","oneOf":[{"type":"object","properties":{"bars_evaluated":{"type":"integer","minimum":0},"strategies_evaluated":{"type":"integer","minimum":0},"strategy_failures":{"type":"integer","minimum":0},"signals":{"type":"integer","minimum":0},"shadow_trades_opened":{"type":"integer","minimum":0},"shadow_trades_closed":{"type":"integer","minimum":0},"latest_decision":{"oneOf":[{"type":"null"},{"type":"object","properties":{"instrument":{"type":"string"},"as_of_ms":{"type":"integer"},"brain_decision":{"type":"object"},"trade_action_id":{"type":["string","null"]}},"required":["instrument","as_of_ms","brain_decision","trade_action_id"]}]}},"required":["bars_evaluated","strategies_evaluated","strategy_failures","signals","shadow_trades_opened","shadow_trades_closed","latest_decision"]},{"type":"object","properties":{"skipped":{"const":true}},"required":["skipped"],"additionalProperties":false},{"type":"object","properties":{"brain_decision":{"type":"object"},"trade_action":{"type":"object"},"trace_id":{"type":["string","null"]},"metrics":{"type":"array"}},"required":["brain_decision","trade_action","trace_id","metrics"]}]}"#;

/// Runs the task that the input asks for: `evaluate` (the default) or `decide`.
///
/// In fake mode only `decide` does anything, as it has no effect.
///
/// # Errors
/// [`StageError::InvalidInput`] for an input against [`INPUT_SCHEMA`]; else what the task met.
pub async fn run(
    ports: &(impl Documents + MarketData + Strategies + Configuration),
    input: &str,
    fake_mode: bool,
    scheduled_at_ms: i64,
) -> Result<Report, StageError> {
    let (task, input) = read_input(input, "evaluate")?;
    match task.as_str() {
        "decide" => pipeline::run_task(&input)
            .map(decided)
            .map_err(StageError::InvalidInput),
        "evaluate" => {
            expect_no_fields(&task, &input)?;
            if fake_mode {
                return Ok(Report::skipped("fake_mode", json!({ "skipped": true })));
            }
            walk::evaluate(ports, scheduled_at_ms).await
        }
        other => Err(StageError::InvalidInput(format!(
            "`task` must be `evaluate` or `decide`, not `{other}`"
        ))),
    }
}

fn decided(output: Value) -> Report {
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
