//! Between the contract's types and the store's.

use std::error::Error as _;

use super::bindings::exports::bulkhead::pipeline::{documents, market_data};
use crate::{
    AppendSummary, Bars, BarsQuery, Document, Key, Order, Page, Query, Series, StoreError, Write,
};

impl From<documents::Key> for Key {
    fn from(key: documents::Key) -> Self {
        Self {
            collection: key.collection,
            id: key.id,
        }
    }
}

impl From<Key> for documents::Key {
    fn from(key: Key) -> Self {
        Self {
            collection: key.collection,
            id: key.id,
        }
    }
}

impl From<Document> for documents::Document {
    fn from(document: Document) -> Self {
        Self {
            key: document.key.into(),
            revision: document.revision,
            body: document.body,
            updated_at_ms: document.updated_at_ms,
        }
    }
}

impl From<documents::Query> for Query {
    fn from(query: documents::Query) -> Self {
        Self {
            collection: query.collection,
            prefix: query.prefix,
            start: query.start,
            end: query.end,
            order: match query.order {
                documents::Order::Ascending => Order::Ascending,
                documents::Order::Descending => Order::Descending,
            },
            limit: query.limit,
            cursor: query.cursor,
        }
    }
}

impl From<Page> for documents::Page {
    fn from(page: Page) -> Self {
        Self {
            documents: page.documents.into_iter().map(Into::into).collect(),
            cursor: page.cursor,
        }
    }
}

impl From<documents::Write> for Write {
    fn from(write: documents::Write) -> Self {
        match write {
            documents::Write::Create(put) => Self::Create {
                key: put.key.into(),
                body: put.body,
            },
            documents::Write::Replace(replacement) => Self::Replace {
                key: replacement.key.into(),
                expected_revision: replacement.expected_revision,
                body: replacement.body,
            },
            documents::Write::Upsert(put) => Self::Upsert {
                key: put.key.into(),
                body: put.body,
            },
            documents::Write::Delete(removal) => Self::Delete {
                key: removal.key.into(),
                expected_revision: removal.expected_revision,
            },
        }
    }
}

impl From<StoreError> for documents::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict {
                key,
                actual_revision,
            } => Self::Conflict(documents::LostRace {
                key: key.into(),
                actual_revision,
            }),
            StoreError::Invalid(text) => Self::Invalid(text),
            other => Self::Unavailable(with_cause(&other)),
        }
    }
}

impl From<StoreError> for market_data::Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Invalid(text) => Self::Invalid(text),
            other => Self::Unavailable(with_cause(&other)),
        }
    }
}

/// A text carries no source: the cause goes with it.
fn with_cause(error: &StoreError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

impl From<market_data::Series> for Series {
    fn from(series: market_data::Series) -> Self {
        Self {
            instrument: series.instrument,
            timeframe: series.timeframe,
        }
    }
}

impl From<market_data::Bars> for Bars {
    fn from(bars: market_data::Bars) -> Self {
        Self {
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
}

impl From<Bars> for market_data::Bars {
    fn from(bars: Bars) -> Self {
        Self {
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
}

impl From<market_data::BarsQuery> for BarsQuery {
    fn from(query: market_data::BarsQuery) -> Self {
        Self {
            series: query.series.into(),
            start_ms: query.start_ms,
            end_ms: query.end_ms,
            limit: query.limit,
            last: query.last,
        }
    }
}

impl From<AppendSummary> for market_data::AppendSummary {
    fn from(summary: AppendSummary) -> Self {
        Self {
            inserted: summary.inserted,
            updated: summary.updated,
            unchanged: summary.unchanged,
        }
    }
}
