//! The component: the contract's types and imports around the stage.

mod bindings {
    #![allow(missing_docs, reason = "the documentation is in the WIT")]
    wit_bindgen::generate!({
        path: "../../wit",
        world: "generate-trading-signal",
        generate_all,
    });
}

use bindings::bulkhead::pipeline::{strategies, strategy};
use bulkhead_kernel::stage::StageError;

use crate::strategies::{Strategies, StrategyAction, StrategyInfo, StrategySignal, Window};
use crate::task;

struct Component;

bindings::export!(Component with_types_in bindings);

bulkhead_kernel::component_ports!(Imports);
bulkhead_kernel::component_report!();
bulkhead_kernel::component_market_data!(Imports);

/// The imports of the world.
struct Imports;

impl stage::Guest for Component {
    fn describe() -> stage::Descriptor {
        stage::Descriptor {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            input_schema: task::INPUT_SCHEMA.to_owned(),
            output_schema: task::OUTPUT_SCHEMA.to_owned(),
        }
    }

    async fn run(invocation: stage::Invocation) -> Result<stage::Report, stage::StageError> {
        task::run(
            &Imports,
            &invocation.input,
            invocation.fake_mode,
            invocation.scheduled_at_ms,
        )
        .await
        .map(contract_report)
        .map_err(contract_error)
    }
}

impl Strategies for Imports {
    async fn catalogue(&self) -> Result<Vec<StrategyInfo>, StageError> {
        let catalogue = strategies::catalogue()
            .await
            .map_err(|error| StageError::Unavailable(describe(&error)))?;
        Ok(catalogue
            .into_iter()
            .map(|info| StrategyInfo {
                name: info.name,
                kind: info.kind,
                lookback_bars: info.lookback_bars,
            })
            .collect())
    }

    async fn evaluate(
        &self,
        name: &str,
        window: Window<'_>,
    ) -> Result<Vec<StrategySignal>, String> {
        let Window {
            instrument,
            timeframe,
            as_of_ms,
            columns,
            first,
            end,
        } = window;
        let view = strategy::MarketView {
            instrument: instrument.to_owned(),
            timeframe: timeframe.to_owned(),
            as_of_ms,
            price_scale: columns.price_scale,
            volume_scale: columns.volume_scale,
            open_time_ms: columns.open_time_ms[first..end].to_vec(),
            open: columns.open[first..end].to_vec(),
            high: columns.high[first..end].to_vec(),
            low: columns.low[first..end].to_vec(),
            close: columns.close[first..end].to_vec(),
            volume: columns.volume[first..end].to_vec(),
            parameters: String::new(),
        };
        let signals = strategies::evaluate(name.to_owned(), view)
            .await
            .map_err(|error| describe(&error))?;
        Ok(signals.into_iter().map(Into::into).collect())
    }
}

impl From<strategy::Signal> for StrategySignal {
    fn from(signal: strategy::Signal) -> Self {
        Self {
            action: match signal.action {
                strategy::Action::Buy => StrategyAction::Buy,
                strategy::Action::Sell => StrategyAction::Sell,
                strategy::Action::Hold => StrategyAction::Hold,
                strategy::Action::CloseAll => StrategyAction::CloseAll,
            },
            strength: signal.strength,
            confidence: signal.confidence,
            rationale: signal.rationale,
            metadata: signal.metadata,
        }
    }
}

fn describe(error: &strategies::Error) -> String {
    use strategy::StrategyError::{InvalidParameters, InvalidView, Other};
    match error {
        strategies::Error::UnknownStrategy(name) => format!("unknown strategy `{name}`"),
        strategies::Error::Failed(InvalidParameters(why)) => format!("invalid parameters: {why}"),
        strategies::Error::Failed(InvalidView(why)) => format!("invalid view: {why}"),
        strategies::Error::Failed(Other(why)) => format!("failed: {why}"),
        strategies::Error::Trapped(why) => format!("trapped: {why}"),
        strategies::Error::Other(why) => why.clone(),
    }
}
