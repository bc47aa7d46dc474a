use std::sync::Arc;

use bulkhead_stage::{Failure, Invocation, TriggerKind};
use wasmtime::component::Accessor;

use crate::bindings::bulkhead::pipeline::pipeline::{Error, Host, HostWithStore};
use crate::bindings::bulkhead::pipeline::stage;
use crate::convert;
use crate::in_flight::Inner;
use crate::run;
use crate::state::{Imports, RunState};

/// How deep runs may nest: a canary and the stages it invokes.
const MAX_DEPTH: u8 = 2;

impl Host for RunState {}

impl<T: Send> HostWithStore<T> for Imports {
    async fn invoke(
        accessor: &Accessor<T, Self>,
        stage: String,
        invocation: stage::Invocation,
    ) -> wasmtime::Result<Result<stage::Report, Error>> {
        let (services, granted, depth, in_flight, nested) = accessor.with(|mut access| {
            let state = access.get();
            (
                Arc::clone(&state.services),
                state.spec().invoke.contains(&stage),
                state.depth,
                state.in_flight.clone(),
                state.nested.clone(),
            )
        });
        if !invocation.fake_mode {
            return Ok(Err(Error::NotFake));
        }
        let target = granted.then(|| services.component(&stage)).flatten();
        let Some(target) = target else {
            return Ok(Err(Error::UnknownStage(format!(
                "`{stage}` is not deployed, or not in this component's `invoke`"
            ))));
        };
        if depth + 1 >= MAX_DEPTH {
            return Ok(Err(Error::Other(format!("runs may nest {MAX_DEPTH} deep"))));
        }
        let invocation = Invocation {
            run_id: invocation.run_id,
            trigger: TriggerKind::Pipeline,
            scheduled_at_ms: invocation.scheduled_at_ms,
            attempt: invocation.attempt,
            traceparent: invocation.traceparent,
            fake_mode: true,
            input: invocation.input,
        };
        let _call = match in_flight.call() {
            Ok(call) => call,
            Err(error) => return Ok(Err(Error::Other(error.to_string()))),
        };
        let places = in_flight.inner_run(&services.bounds, Inner::Stage).await;
        let inner = nested.run(async move {
            let _places = places;
            run::stage(&services, &target, invocation, depth + 1).await
        });
        let result = inner.await.and_then(|finished| finished.result);
        Ok(match result {
            Ok(report) => Ok(convert::report_for_guest(report)),
            Err(Failure::Stage(error)) => Err(Error::Failed(convert::error_for_guest(error))),
            Err(Failure::UnknownComponent { component }) => Err(Error::UnknownStage(component)),
            Err(failure @ (Failure::Limit { .. } | Failure::Trapped { .. })) => {
                Err(Error::Trapped(failure.to_string()))
            }
            Err(failure @ Failure::Host { .. }) => Err(Error::Other(failure.to_string())),
        })
    }
}
