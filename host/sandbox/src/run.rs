//! One run: a fresh instance, called once, dropped.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_stage::{
    Event, Failure, Finished, Invocation, Limit, Metric, Outcome, Report, Span, StageError, Usage,
};
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use wasmtime::component::{InstancePre, ResourceTableError};
use wasmtime::{CallHook, PoolConcurrencyLimitError, Store, Trap};

use crate::bindings::exports::bulkhead::pipeline::strategy::{
    GuestIndices as StrategyIndices, MarketView, Signal, StrategyError, StrategyInfo,
};
use crate::bounds::{Bounds, LimitBroken};
use crate::convert;
use crate::state::{MAX_HANDLES, RunState};
use crate::{Code, Loaded, Services};

/// What the host may copy out of or into a guest in one call, beyond the answer itself: records in lists are
/// larger on the host's side than in the guest's memory.
const COPY_ALLOWANCE_BYTES: usize = 4 << 20;

/// What the engine notes of a run's asynchronous calls, streams and futures: some notes for each handle.
const MAX_CONCURRENT_STATES: usize = 4 * MAX_HANDLES;

/// Runs a strategy from inside a stage's import, on a task of its own, which ends with the stage's run: several strategies are
/// asked at once, and other cores can take their share.
pub async fn apart<T: Send + 'static>(
    inner: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    let mut task = JoinSet::new();
    task.spawn(inner);
    match task.join_next().await {
        Some(Ok(value)) => Ok(value),
        ended => Err(Failure::Host {
            detail: format!(
                "the inner run's task ended: {:?}",
                ended.and_then(Result::err)
            ),
        }),
    }
}

/// Runs a stage once. Never panics on what the guest does.
pub async fn stage(
    services: &Arc<Services>,
    component: &Arc<Loaded>,
    invocation: Invocation,
    depth: u8,
) -> Finished {
    let Code::Stage { pre, indices } = &component.code else {
        return failed(Failure::UnknownComponent {
            component: component.spec.name.clone(),
        });
    };
    let state = RunState::new(
        Arc::clone(component),
        Arc::clone(services),
        &invocation,
        depth,
    );
    let mut store = Store::new(&services.engine, state);
    store.limiter(|state| &mut state.bounds);
    store.call_hook(|mut context, hook| match hook {
        CallHook::CallingHost => Ok(context.data_mut().bounds.count_host_call()?),
        _ => Ok(()),
    });
    bound(&mut store, component);

    let deadline = component.spec.limits.deadline;
    let nested = store.data().nested.clone();
    let called = timeout(
        deadline,
        nested.drive(async {
            let instance = pre.instantiate_async(&mut store).await?;
            let guest = indices.load(&mut store, &instance)?;
            store
                .run_concurrent(async |accessor| {
                    guest
                        .call_run(accessor, convert::invocation(invocation))
                        .await
                })
                .await?
        }),
    )
    .await;

    let state = store.data();
    let result = match called {
        Err(_elapsed) => Err(Failure::Limit {
            limit: Limit::Deadline,
            detail: format!("still running after {deadline:?} (`limits.deadline`)"),
        }),
        Ok(Err(error)) => Err(classify(&error, state)),
        Ok(Ok(answer)) => match (state.egress_limit_broken(), answer) {
            // Whatever the guest made of it: it had less than was sent.
            (Some(LimitBroken { limit, detail }), _) => Err(Failure::Limit { limit, detail }),
            (None, Err(error)) => Err(stage_error(convert::error(error), component)),
            (None, Ok(report)) => within_output_limit(convert::report(report), component),
        },
    };
    Finished {
        result,
        usage: state.usage(),
    }
}

/// The longest description that a strategy may give of itself, all its texts together: enough for a schema, and so
/// little that a catalogue of many fits into the memory of the stage that asks.
pub const MAX_DESCRIPTION_BYTES: usize = 64 << 10;

/// Asks a strategy what it is.
pub async fn describe_strategy(
    services: &Services,
    component: &Loaded,
) -> Result<StrategyInfo, Failure> {
    let limits = &component.spec.limits;
    let (mut store, pre, indices) = strategy_store(services, component)?;
    let called = timeout(limits.deadline, async {
        let instance = pre.instantiate_async(&mut store).await?;
        let guest = indices.load(&mut store, &instance)?;
        guest.call_describe(&mut store).await
    })
    .await;
    let info = strategy_result(called, &store, limits.deadline)?;
    let StrategyInfo {
        name,
        version,
        kind,
        lookback_bars: _,
        parameters_schema,
    } = &info;
    let bytes = name.len() + version.len() + kind.len() + parameters_schema.len();
    if bytes > MAX_DESCRIPTION_BYTES {
        return Err(Failure::Limit {
            limit: Limit::OutputBytes,
            detail: format!("a description of {bytes} bytes, at most {MAX_DESCRIPTION_BYTES}"),
        });
    }
    Ok(info)
}

/// Asks a strategy for its signals.
pub async fn evaluate_strategy(
    services: &Services,
    component: &Loaded,
    view: &MarketView,
) -> Result<Result<Vec<Signal>, StrategyError>, Failure> {
    let limits = &component.spec.limits;
    let (mut store, pre, indices) = strategy_store(services, component)?;
    let called = timeout(limits.deadline, async {
        let instance = pre.instantiate_async(&mut store).await?;
        let guest = indices.load(&mut store, &instance)?;
        guest.call_evaluate(&mut store, view).await
    })
    .await;
    let answer = strategy_result(called, &store, limits.deadline)?;
    let bytes = match &answer {
        Ok(signals) => signals
            .iter()
            .map(|signal| size_of::<Signal>() + signal.rationale.len() + signal.metadata.len())
            .sum(),
        Err(
            StrategyError::InvalidParameters(why)
            | StrategyError::InvalidView(why)
            | StrategyError::Other(why),
        ) => why.len(),
    };
    check_output(bytes, component)?;
    Ok(answer)
}

type LinkedStrategy<'c> = (Store<Bounds>, &'c InstancePre<Bounds>, &'c StrategyIndices);

fn strategy_store<'c>(
    services: &Services,
    component: &'c Loaded,
) -> Result<LinkedStrategy<'c>, Failure> {
    let Code::Strategy { pre, indices } = &component.code else {
        return Err(Failure::UnknownComponent {
            component: component.spec.name.clone(),
        });
    };
    let limits = &component.spec.limits;
    let bounds = Bounds::new(limits.memory_bytes, limits.host_calls);
    let mut store = Store::new(&services.engine, bounds);
    store.limiter(|bounds| bounds);
    bound(&mut store, component);
    Ok((store, pre, indices))
}

fn strategy_result<R>(
    called: Result<wasmtime::Result<R>, Elapsed>,
    store: &Store<Bounds>,
    deadline: Duration,
) -> Result<R, Failure> {
    match called {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(classify_bounds(&error, store.data(), "")),
        Err(_elapsed) => Err(Failure::Limit {
            limit: Limit::Deadline,
            detail: format!("still running after {deadline:?} (`limits.deadline`)"),
        }),
    }
}

/// The bounds that the engine itself keeps.
fn bound<T>(store: &mut Store<T>, component: &Loaded) {
    // A tick interrupts the guest and lets its neighbours run; the deadline is the timer around the call.
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store.set_max_component_handles(MAX_HANDLES);
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(MAX_CONCURRENT_STATES);
    }
    store.set_hostcall_fuel(
        component
            .spec
            .limits
            .output_bytes
            .saturating_add(COPY_ALLOWANCE_BYTES),
    );
}

fn within_output_limit(report: Report, component: &Loaded) -> Result<Report, Failure> {
    let Report {
        outcome: _,
        reason,
        output,
        events,
        spans,
        metrics,
    } = &report;
    let events = events.iter().map(|event| {
        let subject = event.subject.as_ref().map_or(0, String::len);
        size_of::<Event>() + event.topic.len() + subject + event.data.len()
    });
    let spans = spans.iter().map(|span| size_of::<Span>() + span.name.len());
    let metrics = metrics.iter().map(|metric| {
        let labels = metric.labels.iter();
        let labels =
            labels.map(|(label, value)| size_of::<(String, String)>() + label.len() + value.len());
        size_of::<Metric>() + metric.name.len() + labels.sum::<usize>()
    });
    let bytes = output.len()
        + reason.as_ref().map_or(0, String::len)
        + events.chain(spans).chain(metrics).sum::<usize>();
    check_output(bytes, component)?;
    if report.outcome != Outcome::Success && reason.as_ref().is_none_or(String::is_empty) {
        let detail = format!("the report says {:?} and gives no reason", report.outcome);
        return Err(Failure::Stage(StageError::Internal(detail)));
    }
    Ok(report)
}

/// What a stage says of its failure, which is an answer, too.
fn stage_error(error: StageError, component: &Loaded) -> Failure {
    match check_output(error.detail().len(), component) {
        Ok(()) => Failure::Stage(error),
        Err(too_much) => too_much,
    }
}

fn check_output(bytes: usize, component: &Loaded) -> Result<(), Failure> {
    let limit = component.spec.limits.output_bytes;
    if bytes <= limit {
        return Ok(());
    }
    Err(Failure::Limit {
        limit: Limit::OutputBytes,
        detail: format!("{bytes} bytes answered, {limit} granted (`limits.output_bytes`)"),
    })
}

fn failed(failure: Failure) -> Finished {
    Finished {
        result: Err(failure),
        usage: Usage::default(),
    }
}

fn classify(error: &wasmtime::Error, state: &RunState) -> Failure {
    classify_bounds(error, &state.bounds, &state.log.text())
}

/// Names what ended a run.
fn classify_bounds(error: &wasmtime::Error, bounds: &Bounds, log: &str) -> Failure {
    if let Some(LimitBroken { limit, detail }) =
        bounds.broken.as_ref().or_else(|| error.downcast_ref())
    {
        return Failure::Limit {
            limit: *limit,
            detail: detail.clone(),
        };
    }
    if let Some(Trap::StackOverflow) = error.downcast_ref::<Trap>() {
        return Failure::Limit {
            limit: Limit::Stack,
            detail: "the guest's stack overflowed".into(),
        };
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Failure::Limit {
            limit: Limit::Handles,
            detail: format!("more than {MAX_HANDLES} handles open at once"),
        };
    }
    let chain = format!("{error:#}");
    if error.is::<PoolConcurrencyLimitError>() {
        return Failure::Host {
            detail: format!("the pool of instances is used up: {chain}"),
        };
    }
    // The engine has no public type for these two; the tests of the hostile guests would notice other words.
    if chain.contains("store handle limit exceeded") {
        return Failure::Limit {
            limit: Limit::Handles,
            detail: format!("more than {MAX_HANDLES} handles open at once"),
        };
    }
    if chain.contains("fuel allocated for hostcalls") {
        return Failure::Limit {
            limit: Limit::OutputBytes,
            detail: "a call passed more than the host may copy (`limits.output_bytes`)".into(),
        };
    }
    let trap = error
        .downcast_ref::<Trap>()
        .map_or(chain, std::string::ToString::to_string);
    let last_words = log.trim_end().lines().rev().take(LAST_WORDS_LINES);
    let last_words: Vec<&str> = last_words.collect();
    let mut detail = trap;
    for line in last_words.iter().rev() {
        detail.push_str("; ");
        detail.extend(line.chars().take(LAST_WORDS_CHARS));
    }
    Failure::Trapped { detail }
}

/// Of a trapped guest's log, so much goes into the failure: the panic message.
const LAST_WORDS_LINES: usize = 3;

/// And so much of each line.
const LAST_WORDS_CHARS: usize = 300;
