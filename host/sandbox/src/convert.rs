//! Between the host's words and the generated ones.

use bulkhead_stage as host;

use crate::bindings::bulkhead::pipeline::{stage as import, strategy as asked};
use crate::bindings::exports::bulkhead::pipeline::{stage as export, strategy};

/// The invocation as the guest gets it.
pub fn invocation(invocation: host::Invocation) -> export::Invocation {
    export::Invocation {
        run_id: invocation.run_id,
        trigger: match invocation.trigger {
            host::TriggerKind::Cron => export::TriggerKind::Cron,
            host::TriggerKind::Http => export::TriggerKind::Http,
            host::TriggerKind::Feed => export::TriggerKind::Feed,
            host::TriggerKind::Event => export::TriggerKind::Event,
            host::TriggerKind::Manual => export::TriggerKind::Manual,
            host::TriggerKind::Pipeline => export::TriggerKind::Pipeline,
        },
        scheduled_at_ms: invocation.scheduled_at_ms,
        attempt: invocation.attempt,
        traceparent: invocation.traceparent,
        fake_mode: invocation.fake_mode,
        input: invocation.input,
    }
}

/// A guest's report in the host's words.
pub fn report(report: export::Report) -> host::Report {
    host::Report {
        outcome: match report.outcome {
            export::Outcome::Success => host::Outcome::Success,
            export::Outcome::Hold => host::Outcome::Hold,
            export::Outcome::Skipped => host::Outcome::Skipped,
        },
        reason: report.reason,
        output: report.output,
        events: report
            .events
            .into_iter()
            .map(|event| host::Event {
                topic: event.topic,
                subject: event.subject,
                data: event.data,
            })
            .collect(),
        spans: report
            .spans
            .into_iter()
            .map(|span| host::Span {
                name: span.name,
                duration_ms: span.duration_ms,
            })
            .collect(),
        metrics: report
            .metrics
            .into_iter()
            .map(|metric| host::Metric {
                name: metric.name,
                labels: metric.labels,
                value: metric.value,
            })
            .collect(),
    }
}

/// A report as another stage gets it.
pub fn report_for_guest(report: host::Report) -> import::Report {
    import::Report {
        outcome: match report.outcome {
            host::Outcome::Success => import::Outcome::Success,
            host::Outcome::Hold => import::Outcome::Hold,
            host::Outcome::Skipped => import::Outcome::Skipped,
        },
        reason: report.reason,
        output: report.output,
        events: report
            .events
            .into_iter()
            .map(|event| import::Event {
                topic: event.topic,
                subject: event.subject,
                data: event.data,
            })
            .collect(),
        spans: report
            .spans
            .into_iter()
            .map(|span| import::Span {
                name: span.name,
                duration_ms: span.duration_ms,
            })
            .collect(),
        metrics: report
            .metrics
            .into_iter()
            .map(|metric| import::Metric {
                name: metric.name,
                labels: metric.labels,
                value: metric.value,
            })
            .collect(),
    }
}

/// A guest's error in the host's words.
pub fn error(error: export::StageError) -> host::StageError {
    match error {
        export::StageError::InvalidInput(text) => host::StageError::InvalidInput(text),
        export::StageError::Denied(text) => host::StageError::Denied(text),
        export::StageError::Unavailable(text) => host::StageError::Unavailable(text),
        export::StageError::Conflict(text) => host::StageError::Conflict(text),
        export::StageError::Internal(text) => host::StageError::Internal(text),
        export::StageError::Other(text) => host::StageError::Other(text),
    }
}

/// An error as another stage gets it.
pub fn error_for_guest(error: host::StageError) -> import::StageError {
    match error {
        host::StageError::InvalidInput(text) => import::StageError::InvalidInput(text),
        host::StageError::Denied(text) => import::StageError::Denied(text),
        host::StageError::Unavailable(text) => import::StageError::Unavailable(text),
        host::StageError::Conflict(text) => import::StageError::Conflict(text),
        host::StageError::Internal(text) => import::StageError::Internal(text),
        host::StageError::Other(text) => import::StageError::Other(text),
    }
}

/// A view as the strategy gets it.
pub fn view(view: asked::MarketView) -> strategy::MarketView {
    strategy::MarketView {
        instrument: view.instrument,
        timeframe: view.timeframe,
        as_of_ms: view.as_of_ms,
        price_scale: view.price_scale,
        volume_scale: view.volume_scale,
        open_time_ms: view.open_time_ms,
        open: view.open,
        high: view.high,
        low: view.low,
        close: view.close,
        volume: view.volume,
        parameters: view.parameters,
    }
}

/// What a strategy says of itself, under the name that it has in the manifest.
pub fn info(info: strategy::StrategyInfo, name: String) -> asked::StrategyInfo {
    asked::StrategyInfo {
        name,
        version: info.version,
        kind: info.kind,
        lookback_bars: info.lookback_bars,
        parameters_schema: info.parameters_schema,
    }
}

/// A strategy's signals as the stage gets them.
pub fn signals(signals: Vec<strategy::Signal>) -> Vec<asked::Signal> {
    signals
        .into_iter()
        .map(|signal| asked::Signal {
            action: match signal.action {
                strategy::Action::Buy => asked::Action::Buy,
                strategy::Action::Sell => asked::Action::Sell,
                strategy::Action::Hold => asked::Action::Hold,
                strategy::Action::CloseAll => asked::Action::CloseAll,
            },
            strength: signal.strength,
            confidence: signal.confidence,
            rationale: signal.rationale,
            metadata: signal.metadata,
        })
        .collect()
}

/// A strategy's error as the stage gets it.
pub fn strategy_error(error: strategy::StrategyError) -> asked::StrategyError {
    match error {
        strategy::StrategyError::InvalidParameters(text) => {
            asked::StrategyError::InvalidParameters(text)
        }
        strategy::StrategyError::InvalidView(text) => asked::StrategyError::InvalidView(text),
        strategy::StrategyError::Other(text) => asked::StrategyError::Other(text),
    }
}
