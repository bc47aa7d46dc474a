use std::sync::Arc;

use bulkhead_stage::Failure;
use wasmtime::component::Accessor;

use crate::bindings::bulkhead::pipeline::strategies::{
    Error, Host, HostWithStore, MarketView, Signal, StrategyInfo,
};
use crate::bindings::exports::bulkhead::pipeline::strategy as exports;
use crate::convert;
use crate::run;
use crate::state::{Imports, RunState};
use crate::{Loaded, Services};

impl Host for RunState {}

impl<T: Send> HostWithStore<T> for Imports {
    async fn catalogue(
        accessor: &Accessor<T, Self>,
    ) -> wasmtime::Result<Result<Vec<StrategyInfo>, Error>> {
        let (services, names) = of(accessor);
        let mut infos = Vec::with_capacity(names.len());
        for name in names {
            match services.component(&name) {
                Some(strategy) => match described(&services, strategy).await {
                    Ok(info) => infos.push(convert::info(info, name)),
                    Err(failure) => return Ok(Err(Error::Trapped(failure.to_string()))),
                },
                None => return Ok(Err(Error::UnknownStrategy(name))),
            }
        }
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Ok(infos))
    }

    async fn evaluate(
        accessor: &Accessor<T, Self>,
        name: String,
        view: MarketView,
    ) -> wasmtime::Result<Result<Vec<Signal>, Error>> {
        let (services, names) = of(accessor);
        let granted = names.contains(&name);
        let strategy = granted.then(|| services.component(&name)).flatten();
        let Some(strategy) = strategy else {
            return Ok(Err(Error::UnknownStrategy(name)));
        };
        let view = convert::view(view);
        let inner =
            run::apart(async move { run::evaluate_strategy(&services, &strategy, &view).await });
        Ok(match inner.await.and_then(|evaluated| evaluated) {
            Ok(Ok(signals)) => Ok(convert::signals(signals)),
            Ok(Err(error)) => Err(Error::Failed(convert::strategy_error(error))),
            Err(failure) => Err(Error::Trapped(failure.to_string())),
        })
    }
}

async fn described(
    services: &Arc<Services>,
    strategy: Arc<Loaded>,
) -> Result<exports::StrategyInfo, Failure> {
    let services = Arc::clone(services);
    run::apart(async move { run::describe_strategy(&services, &strategy).await })
        .await
        .and_then(|described| described)
}

fn of<T: Send>(accessor: &Accessor<T, Imports>) -> (Arc<Services>, Vec<String>) {
    accessor.with(|mut access| {
        let state = access.get();
        (Arc::clone(&state.services), state.spec().strategies.clone())
    })
}
