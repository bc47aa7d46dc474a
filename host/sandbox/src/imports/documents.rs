use std::sync::Arc;

use bulkhead_grants::{Denied, reason};
use bulkhead_stage::{Clock as _, Denial};
use bulkhead_store as store;
use bulkhead_store::StoreError;
use wasmtime::component::Accessor;

use crate::Services;
use crate::bindings::bulkhead::pipeline::documents::{
    Document, Error, Host, HostWithStore, Key, LostRace, Order, Page, Query, Write,
};
use crate::error::chain;
use crate::in_flight::Places;
use crate::state::{Imports, RunState};

impl Host for RunState {}

impl<T: Send> HostWithStore<T> for Imports {
    async fn get(
        accessor: &Accessor<T, Self>,
        key: Key,
    ) -> wasmtime::Result<Result<Option<Document>, Error>> {
        let (services, _call) = match may_read(accessor, &key.collection) {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(error)),
        };
        let found = services.store.get(&key_in(key)).await;
        Ok(found
            .map(|document| document.map(document_out))
            .map_err(error_out))
    }

    async fn list(
        accessor: &Accessor<T, Self>,
        query: Query,
    ) -> wasmtime::Result<Result<Page, Error>> {
        let (services, _call) = match may_read(accessor, &query.collection) {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(error)),
        };
        let query = store::Query {
            collection: query.collection,
            prefix: query.prefix,
            start: query.start,
            end: query.end,
            order: match query.order {
                Order::Ascending => store::Order::Ascending,
                Order::Descending => store::Order::Descending,
            },
            limit: query.limit,
            cursor: query.cursor,
        };
        let page = services.store.list(&query).await;
        Ok(page
            .map(|page| Page {
                documents: page.documents.into_iter().map(document_out).collect(),
                cursor: page.cursor,
            })
            .map_err(error_out))
    }

    async fn commit(
        accessor: &Accessor<T, Self>,
        writes: Vec<Write>,
    ) -> wasmtime::Result<Result<Vec<u64>, Error>> {
        let writes: Vec<store::Write> = writes.into_iter().map(write_in).collect();
        let (services, _call) = match may_write(accessor, &writes) {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(error)),
        };
        let now_ms = services.clock.now_ms();
        Ok(services
            .store
            .commit(writes, now_ms)
            .await
            .map_err(error_out))
    }
}

fn may_read<T: Send>(
    accessor: &Accessor<T, Imports>,
    collection: &str,
) -> Result<(Arc<Services>, Places), Error> {
    accessor.with(|mut access| {
        let state = access.get();
        match state.spec().documents.check_read(collection) {
            Ok(()) => under_way(state),
            Err(denied) => Err(refuse(state, denied)),
        }
    })
}

fn may_write<T: Send>(
    accessor: &Accessor<T, Imports>,
    writes: &[store::Write],
) -> Result<(Arc<Services>, Places), Error> {
    accessor.with(|mut access| {
        let state = access.get();
        if state.fake_mode {
            return Err(refuse(
                state,
                Denied {
                    reason: reason::FAKE_MODE,
                    detail: "a run in fake mode writes no documents".into(),
                },
            ));
        }
        for write in writes {
            if let Err(denied) = state.spec().documents.check_write(&write.key().collection) {
                return Err(refuse(state, denied));
            }
        }
        under_way(state)
    })
}

fn under_way(state: &RunState) -> Result<(Arc<Services>, Places), Error> {
    let call = state.in_flight.call();
    let call = call.map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok((Arc::clone(&state.services), call))
}

fn refuse(state: &RunState, denied: Denied) -> Error {
    let text = denied.to_string();
    state.denials.note(Denial {
        reason: denied.reason.to_owned(),
        detail: denied.detail,
    });
    Error::Denied(text)
}

fn key_in(key: Key) -> store::Key {
    store::Key {
        collection: key.collection,
        id: key.id,
    }
}

fn write_in(write: Write) -> store::Write {
    match write {
        Write::Create(put) => store::Write::Create {
            key: key_in(put.key),
            body: put.body,
        },
        Write::Replace(replacement) => store::Write::Replace {
            key: key_in(replacement.key),
            expected_revision: replacement.expected_revision,
            body: replacement.body,
        },
        Write::Upsert(put) => store::Write::Upsert {
            key: key_in(put.key),
            body: put.body,
        },
        Write::Delete(removal) => store::Write::Delete {
            key: key_in(removal.key),
            expected_revision: removal.expected_revision,
        },
    }
}

fn key_out(key: store::Key) -> Key {
    Key {
        collection: key.collection,
        id: key.id,
    }
}

fn document_out(document: store::Document) -> Document {
    Document {
        key: key_out(document.key),
        revision: document.revision,
        body: document.body,
        updated_at_ms: document.updated_at_ms,
    }
}

fn error_out(error: StoreError) -> Error {
    match error {
        StoreError::Conflict {
            key,
            actual_revision,
        } => Error::Conflict(LostRace {
            key: key_out(key),
            actual_revision,
        }),
        StoreError::Invalid(text) => Error::Invalid(text),
        other => Error::Unavailable(chain(&other)),
    }
}
