//! The component: the contract's types around the linked strategies.

mod bindings {
    #![allow(missing_docs, reason = "the documentation is in the WIT")]
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package bulkhead:spin;

            world strategies {
                export bulkhead:pipeline/strategies@0.1.0;
            }
        ",
        world: "bulkhead:spin/strategies",
        generate_all,
    });
}

use ema_cross::{Action, Error, Info, Signal, View};

use bindings::bulkhead::pipeline::strategy;
use bindings::exports::bulkhead::pipeline::strategies;

struct Component;

bindings::export!(Component with_types_in bindings);

impl strategies::Guest for Component {
    async fn catalogue() -> Result<Vec<strategy::StrategyInfo>, strategies::Error> {
        Ok(crate::catalogue().into_iter().map(info).collect())
    }

    async fn evaluate(
        name: String,
        view: strategy::MarketView,
    ) -> Result<Vec<strategy::Signal>, strategies::Error> {
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
        match crate::evaluate(&name, &view) {
            None => Err(strategies::Error::UnknownStrategy(name)),
            Some(Ok(signals)) => Ok(signals.into_iter().map(signal).collect()),
            Some(Err(error)) => Err(strategies::Error::Failed(match error {
                Error::InvalidParameters(text) => strategy::StrategyError::InvalidParameters(text),
                Error::InvalidView(text) => strategy::StrategyError::InvalidView(text),
            })),
        }
    }
}

fn info(info: Info) -> strategy::StrategyInfo {
    strategy::StrategyInfo {
        name: info.name.to_owned(),
        version: info.version.to_owned(),
        kind: info.kind.to_owned(),
        lookback_bars: info.lookback_bars,
        parameters_schema: info.parameters_schema.to_owned(),
    }
}

fn signal(signal: Signal) -> strategy::Signal {
    strategy::Signal {
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
