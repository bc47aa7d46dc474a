use std::sync::Arc;

use bulkhead_grants::reason;
use bulkhead_stage::{Clock as _, Denial};
use bulkhead_store as store;
use bulkhead_store::StoreError;
use wasmtime::component::Accessor;

use crate::Services;
use crate::bindings::bulkhead::pipeline::market_data::{
    AppendSummary, Bars, BarsQuery, Error, Host, HostWithStore, Series,
};
use crate::error::chain;
use crate::in_flight::Places;
use crate::state::{Imports, RunState};

impl Host for RunState {}

impl<T: Send> HostWithStore<T> for Imports {
    async fn append_bars(
        accessor: &Accessor<T, Self>,
        series: Series,
        bars: Bars,
    ) -> wasmtime::Result<Result<AppendSummary, Error>> {
        let (services, _call) = match may(accessor, Access::Append) {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(error)),
        };
        let now_ms = services.clock.now_ms();
        let summary = services
            .store
            .append_bars(series_in(series), bars_in(bars), now_ms)
            .await;
        Ok(summary
            .map(|summary| AppendSummary {
                inserted: summary.inserted,
                updated: summary.updated,
                unchanged: summary.unchanged,
            })
            .map_err(error_out))
    }

    async fn read_bars(
        accessor: &Accessor<T, Self>,
        query: BarsQuery,
    ) -> wasmtime::Result<Result<Bars, Error>> {
        let (services, _call) = match may(accessor, Access::Read) {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(error)),
        };
        let query = store::BarsQuery {
            series: series_in(query.series),
            start_ms: query.start_ms,
            end_ms: query.end_ms,
            limit: query.limit,
            last: query.last,
        };
        let bars = services.store.read_bars(&query).await;
        Ok(bars.map(bars_out).map_err(error_out))
    }

    async fn latest(
        accessor: &Accessor<T, Self>,
        series: Series,
    ) -> wasmtime::Result<Result<Option<i64>, Error>> {
        let (services, _call) = match may(accessor, Access::Read) {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(error)),
        };
        let latest = services.store.latest(&series_in(series)).await;
        Ok(latest.map_err(error_out))
    }
}

#[derive(Clone, Copy)]
enum Access {
    Read,
    Append,
}

fn may<T: Send>(
    accessor: &Accessor<T, Imports>,
    wanted: Access,
) -> Result<(Arc<Services>, Places), Error> {
    accessor.with(|mut access| {
        let state = access.get();
        let grant = state.spec().market_data;
        let (granted, key) = match wanted {
            Access::Read => (grant.read, "read"),
            Access::Append => (grant.append, "append"),
        };
        let refused = if !granted {
            let detail = format!(
                "`{}` may not {key} bars; `market-data.{key} = true` under its table would permit it ({})",
                state.spec().name,
                state.spec().place,
            );
            Some(("market-data-not-granted", detail))
        } else if state.fake_mode && matches!(wanted, Access::Append) {
            let detail = "a run in fake mode appends no bars".to_owned();
            Some((reason::FAKE_MODE, detail))
        } else {
            None
        };
        if let Some((reason, detail)) = refused {
            state.denials.note(Denial {
                reason: reason.into(),
                detail: detail.clone(),
            });
            return Err(Error::Denied(detail));
        }
        let call = state.in_flight.call();
        let call = call.map_err(|error| Error::Unavailable(error.to_string()))?;
        Ok((Arc::clone(&state.services), call))
    })
}

fn series_in(series: Series) -> store::Series {
    store::Series {
        instrument: series.instrument,
        timeframe: series.timeframe,
    }
}

fn bars_in(bars: Bars) -> store::Bars {
    store::Bars {
        price_scale: bars.price_scale,
        volume_scale: bars.volume_scale,
        open_time_ms: bars.open_time_ms,
        open: bars.open,
        high: bars.high,
        low: bars.low,
        close: bars.close,
        volume: bars.volume,
    }
}

fn bars_out(bars: store::Bars) -> Bars {
    Bars {
        price_scale: bars.price_scale,
        volume_scale: bars.volume_scale,
        open_time_ms: bars.open_time_ms,
        open: bars.open,
        high: bars.high,
        low: bars.low,
        close: bars.close,
        volume: bars.volume,
    }
}

fn error_out(error: StoreError) -> Error {
    match error {
        StoreError::Invalid(text) => Error::Invalid(text),
        other => Error::Unavailable(chain(&other)),
    }
}
