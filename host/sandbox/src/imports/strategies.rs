use std::sync::Arc;

use bulkhead_stage::Failure;
use futures::future::join_all;
use wasmtime::component::Accessor;

use crate::bindings::bulkhead::pipeline::strategies::{
    Error, Host, HostWithStore, MarketView, Signal, StrategyInfo,
};
use crate::bindings::exports::bulkhead::pipeline::strategy as exports;
use crate::convert;
use crate::in_flight::{InFlight, Inner, Places};
use crate::run;
use crate::state::{Imports, RunState};
use crate::{Loaded, Services};

/// Of why a strategy is left out, so much is logged.
const MAX_WHY_CHARS: usize = 300;

impl Host for RunState {}

impl<T: Send> HostWithStore<T> for Imports {
    async fn catalogue(
        accessor: &Accessor<T, Self>,
    ) -> wasmtime::Result<Result<Vec<StrategyInfo>, Error>> {
        let run = match AskingRun::of(accessor) {
            Ok(run) => run,
            Err(error) => return Ok(Err(error)),
        };
        Ok(run.catalogue().await)
    }

    async fn evaluate(
        accessor: &Accessor<T, Self>,
        name: String,
        view: MarketView,
    ) -> wasmtime::Result<Result<Vec<Signal>, Error>> {
        let run = match AskingRun::of(accessor) {
            Ok(run) => run,
            Err(error) => return Ok(Err(error)),
        };
        Ok(run.evaluate(name, view).await)
    }
}

/// What a call needs of the run that makes it.
struct AskingRun {
    services: Arc<Services>,
    strategies: Vec<String>,
    in_flight: InFlight,
    _call: Places,
}

impl AskingRun {
    fn of<T: Send>(accessor: &Accessor<T, Imports>) -> Result<Self, Error> {
        accessor.with(|mut access| {
            let state = access.get();
            let call = state.in_flight.call();
            Ok(Self {
                services: Arc::clone(&state.services),
                strategies: state.spec().strategies.clone(),
                in_flight: state.in_flight.clone(),
                _call: call.map_err(|error| Error::Other(error.to_string()))?,
            })
        })
    }

    /// What the strategies say of themselves. One that traps or breaks a limit meanwhile is left out, since the others
    /// can do without it; where the host itself fails there is no catalogue, since all would then seem to be missing.
    async fn catalogue(&self) -> Result<Vec<StrategyInfo>, Error> {
        let described = self.strategies.iter().map(|name| self.described(name));
        let mut infos = Vec::with_capacity(self.strategies.len());
        for (name, described) in self.strategies.iter().zip(join_all(described).await) {
            match described? {
                Ok(info) => infos.push(convert::info(info, name.clone())),
                Err(failure @ Failure::Host { .. }) => {
                    return Err(Error::Other(failure.to_string()));
                }
                Err(failure) => {
                    let why: String = failure.to_string().chars().take(MAX_WHY_CHARS).collect();
                    tracing::warn!(strategy = %name, %why, "a strategy cannot say what it is and is left out");
                }
            }
        }
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(infos)
    }

    async fn described(&self, name: &str) -> Result<Result<exports::StrategyInfo, Failure>, Error> {
        let strategy = self.strategy(name)?;
        let services = Arc::clone(&self.services);
        let places = self.place().await;
        let inner = run::apart(async move {
            let _places = places;
            run::describe_strategy(&services, &strategy).await
        });
        Ok(inner.await.and_then(|described| described))
    }

    async fn evaluate(&self, name: String, view: MarketView) -> Result<Vec<Signal>, Error> {
        if !self.strategies.contains(&name) {
            return Err(Error::UnknownStrategy(name));
        }
        let strategy = self.strategy(&name)?;
        let services = Arc::clone(&self.services);
        let view = convert::view(view);
        let places = self.place().await;
        let inner = run::apart(async move {
            let _places = places;
            run::evaluate_strategy(&services, &strategy, &view).await
        });
        match inner.await.and_then(|evaluated| evaluated) {
            Ok(Ok(signals)) => Ok(convert::signals(signals)),
            Ok(Err(error)) => Err(Error::Failed(convert::strategy_error(error))),
            Err(failure) => Err(Error::Trapped(failure.to_string())),
        }
    }

    fn strategy(&self, name: &str) -> Result<Arc<Loaded>, Error> {
        self.services
            .component(name)
            .ok_or_else(|| Error::UnknownStrategy(name.to_owned()))
    }

    async fn place(&self) -> Places {
        let bounds = &self.services.bounds;
        self.in_flight.inner_run(bounds, Inner::Strategy).await
    }
}
