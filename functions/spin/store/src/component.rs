//! The component: the contract's types around the store, twice: as it is, and as a run in fake mode sees it.

mod bindings {
    #![allow(missing_docs, reason = "the documentation is in the WIT")]
    wit_bindgen::generate!({
        path: ["../../../wit", "wit"],
        inline: "
            package bulkhead:spin;

            /// `documents` with every commit refused.
            interface fake-documents {
                use bulkhead:pipeline/documents@0.1.0.{
                    key, document, order, query, page, put, replacement, removal, write, lost-race, error
                };
                get: async func(key: key) -> result<option<document>, error>;
                %list: async func(query: query) -> result<page, error>;
                commit: async func(writes: list<write>) -> result<list<u64>, error>;
            }

            /// `market-data` with every append refused.
            interface fake-market-data {
                use bulkhead:pipeline/market-data@0.1.0.{series, bars, bars-query, append-summary, error};
                append-bars: async func(series: series, bars: bars) -> result<append-summary, error>;
                read-bars: async func(query: bars-query) -> result<bars, error>;
                latest: async func(series: series) -> result<option<s64>, error>;
            }

            world store {
                import spin:sqlite/sqlite@3.1.0;
                import wasi:clocks/system-clock@0.3.0;
                export bulkhead:pipeline/documents@0.1.0;
                export bulkhead:pipeline/market-data@0.1.0;
                export fake-documents;
                export fake-market-data;
            }
        ",
        world: "bulkhead:spin/store",
        generate_all,
    });
}
mod convert;
mod database;

use bindings::exports::bulkhead::pipeline::{documents, market_data};
use bindings::exports::bulkhead::spin::{fake_documents, fake_market_data};
use bindings::wasi::clocks::system_clock;

use crate::Write;

struct Component;

bindings::export!(Component with_types_in bindings);

impl documents::Guest for Component {
    async fn get(key: documents::Key) -> Result<Option<documents::Document>, documents::Error> {
        let found = database::with(|database| crate::documents::get(database, &key.into()))?;
        Ok(found.map(Into::into))
    }

    async fn list(query: documents::Query) -> Result<documents::Page, documents::Error> {
        let page = database::with(|database| crate::documents::list(database, &query.into()))?;
        Ok(page.into())
    }

    async fn commit(writes: Vec<documents::Write>) -> Result<Vec<u64>, documents::Error> {
        let writes: Vec<Write> = writes.into_iter().map(Into::into).collect();
        let now_ms = now_ms();
        Ok(database::with(|database| {
            crate::documents::commit(database, &writes, now_ms)
        })?)
    }
}

impl fake_documents::Guest for Component {
    async fn get(key: documents::Key) -> Result<Option<documents::Document>, documents::Error> {
        <Self as documents::Guest>::get(key).await
    }

    async fn list(query: documents::Query) -> Result<documents::Page, documents::Error> {
        <Self as documents::Guest>::list(query).await
    }

    async fn commit(_: Vec<documents::Write>) -> Result<Vec<u64>, documents::Error> {
        Err(documents::Error::Denied(
            "a run in fake mode writes no documents".to_owned(),
        ))
    }
}

impl market_data::Guest for Component {
    async fn append_bars(
        series: market_data::Series,
        bars: market_data::Bars,
    ) -> Result<market_data::AppendSummary, market_data::Error> {
        let (series, bars, now_ms) = (series.into(), bars.into(), now_ms());
        let summary = database::with(|database| {
            crate::market_data::append(database, &series, &bars, now_ms)
        })?;
        Ok(summary.into())
    }

    async fn read_bars(
        query: market_data::BarsQuery,
    ) -> Result<market_data::Bars, market_data::Error> {
        let bars = database::with(|database| crate::market_data::read(database, &query.into()))?;
        Ok(bars.into())
    }

    async fn latest(series: market_data::Series) -> Result<Option<i64>, market_data::Error> {
        Ok(database::with(|database| {
            crate::market_data::latest(database, &series.into())
        })?)
    }
}

impl fake_market_data::Guest for Component {
    async fn append_bars(
        _: market_data::Series,
        _: market_data::Bars,
    ) -> Result<market_data::AppendSummary, market_data::Error> {
        Err(market_data::Error::Denied(
            "a run in fake mode appends no bars".to_owned(),
        ))
    }

    async fn read_bars(
        query: market_data::BarsQuery,
    ) -> Result<market_data::Bars, market_data::Error> {
        <Self as market_data::Guest>::read_bars(query).await
    }

    async fn latest(series: market_data::Series) -> Result<Option<i64>, market_data::Error> {
        <Self as market_data::Guest>::latest(series).await
    }
}

/// Now, in Unix milliseconds.
fn now_ms() -> i64 {
    let now = system_clock::now();
    now.seconds
        .saturating_mul(1_000)
        .saturating_add(i64::from(now.nanoseconds / 1_000_000))
}
