//! The stage's input and report.

use bulkhead_kernel::stage::{
    Configuration, Documents, MarketData, Report, StageError, expect_no_fields, read_input,
};
use serde_json::json;

use crate::beat;

/// JSON Schema of the stage's input.
pub const INPUT_SCHEMA: &str = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{"task":{"const":"pulse"}},"additionalProperties":false}"#;
/// JSON Schema of the stage's output.
pub const OUTPUT_SCHEMA: &str = r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","oneOf":[{"type":"object","properties":{"open_shadow_trades":{"type":"integer","minimum":0},"marked":{"type":"integer","minimum":0},"unpriced":{"type":"integer","minimum":0},"realized_pnl":{"type":"string"},"unrealized_pnl":{"type":"string"},"equity":{"type":"string"},"high_water_mark":{"type":"string"},"drawdown_percent":{"type":"number"},"trading_enabled":{"type":"boolean"},"turned_off":{"enum":[null,"drawdown_breached","equity_below_minimum"]}},"required":["open_shadow_trades","marked","unpriced","realized_pnl","unrealized_pnl","equity","high_water_mark","drawdown_percent","trading_enabled","turned_off"]},{"type":"object","properties":{"skipped":{"const":true}},"required":["skipped"],"additionalProperties":false}]}"#;

/// Runs the one task, `pulse`. In fake mode it does nothing.
///
/// # Errors
/// [`StageError::InvalidInput`] for an input against [`INPUT_SCHEMA`]; else what the task met.
pub async fn run(
    ports: &(impl Documents + MarketData + Configuration),
    input: &str,
    fake_mode: bool,
    scheduled_at_ms: i64,
) -> Result<Report, StageError> {
    let (task, input) = read_input(input, "pulse")?;
    if task != "pulse" {
        return Err(StageError::InvalidInput(format!(
            "`task` must be `pulse`, not `{task}`"
        )));
    }
    expect_no_fields(&task, &input)?;
    if fake_mode {
        return Ok(Report::skipped("fake_mode", json!({ "skipped": true })));
    }
    beat::beat(ports, scheduled_at_ms).await
}
