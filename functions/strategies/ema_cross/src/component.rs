//! The component: the contract's types around the library's two functions.

mod bindings {
    #![allow(missing_docs, reason = "the documentation is in the WIT")]
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "strategy-component",
    });
}

use bindings::exports::bulkhead::pipeline::strategy;

use crate::{Action, Error, Signal, View};

struct Component;

bindings::export!(Component with_types_in bindings);

impl strategy::Guest for Component {
    fn describe() -> strategy::StrategyInfo {
        let info = crate::describe();
        strategy::StrategyInfo {
            name: info.name.to_owned(),
            version: info.version.to_owned(),
            kind: info.kind.to_owned(),
            lookback_bars: info.lookback_bars,
            parameters_schema: info.parameters_schema.to_owned(),
        }
    }

    fn evaluate(
        view: strategy::MarketView,
    ) -> Result<Vec<strategy::Signal>, strategy::StrategyError> {
        let view = View {
            instrument: &view.instrument,
            timeframe: &view.timeframe,
            as_of_ms: view.as_of_ms,
            price_scale: view.price_scale,
            volume_scale: view.volume_scale,
            open_time_ms: &view.open_time_ms,
            open: &view.open,
            high: &view.high,
            low: &view.low,
            close: &view.close,
            volume: &view.volume,
            parameters: &view.parameters,
        };
        let signals = crate::evaluate(&view).map_err(strategy::StrategyError::from)?;
        Ok(signals.into_iter().map(Into::into).collect())
    }
}

impl From<Signal> for strategy::Signal {
    fn from(signal: Signal) -> Self {
        Self {
            action: match signal.action {
                Action::Buy => strategy::Action::Buy,
                Action::Sell => strategy::Action::Sell,
                Action::Hold => strategy::Action::Hold,
            },
            strength: signal.strength,
            confidence: signal.confidence,
            rationale: signal.rationale,
            metadata: signal.metadata,
        }
    }
}

impl From<Error> for strategy::StrategyError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidParameters(text) => Self::InvalidParameters(text),
            Error::InvalidView(text) => Self::InvalidView(text),
        }
    }
}
