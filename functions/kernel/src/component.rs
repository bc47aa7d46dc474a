//! The glue between a component's imports and the ports of its stage, the same in every stage: macros, since wit-bindgen makes
//! types of its own for each world.

/// Carries out [`Documents`](crate::stage::Documents) and [`Configuration`](crate::stage::Configuration) for a type through a stage's imports, and turns the values of
/// [`stage`](crate::stage) into the contract's: `component_ports!(Imports)`, where `bindings` holds what wit-bindgen made of the world.
#[macro_export]
macro_rules! component_ports {
    ($imports:ty) => {
        use bindings::bulkhead::pipeline::documents;
        use bindings::exports::bulkhead::pipeline::stage;
        use bindings::wasi::config::store;

        impl $crate::stage::Configuration for $imports {
            fn value(&self, key: &str) -> Result<Option<String>, String> {
                store::get(key).map_err(|error| format!("{error:?}"))
            }
        }

        impl $crate::stage::Documents for $imports {
            async fn get(
                &self,
                key: $crate::stage::Key,
            ) -> Result<Option<$crate::stage::Document>, $crate::stage::StageError> {
                Ok(documents::get(contract_key(key))
                    .await
                    .map_err(from_documents)?
                    .map(from_document))
            }

            async fn list(
                &self,
                query: $crate::stage::Query,
            ) -> Result<Vec<$crate::stage::Document>, $crate::stage::StageError> {
                let mut query = documents::Query {
                    collection: query.collection,
                    prefix: query.prefix,
                    start: query.start,
                    end: None,
                    order: documents::Order::Ascending,
                    limit: query.limit,
                    cursor: None,
                };
                let mut found = Vec::new();
                // A page ends early where its documents are large.
                loop {
                    let page = documents::list(query.clone())
                        .await
                        .map_err(from_documents)?;
                    let count = page.documents.len() as u32;
                    found.extend(page.documents.into_iter().map(from_document));
                    query.limit = query.limit.saturating_sub(count);
                    query.cursor = page.cursor;
                    if query.cursor.is_none() || query.limit == 0 {
                        return Ok(found);
                    }
                }
            }

            async fn commit(
                &self,
                writes: Vec<$crate::stage::Write>,
            ) -> Result<(), $crate::stage::StageError> {
                documents::commit(writes.into_iter().map(contract_write).collect())
                    .await
                    .map_err(from_documents)?;
                Ok(())
            }
        }

        fn contract_key(key: $crate::stage::Key) -> documents::Key {
            documents::Key {
                collection: key.collection,
                id: key.id,
            }
        }

        fn contract_write(write: $crate::stage::Write) -> documents::Write {
            use $crate::stage::Write;
            match write {
                Write::Create(key, body) => documents::Write::Create(documents::Put {
                    key: contract_key(key),
                    body: $crate::stage::json_text(&body),
                }),
                Write::Replace(key, expected_revision, body) => {
                    documents::Write::Replace(documents::Replacement {
                        key: contract_key(key),
                        expected_revision,
                        body: $crate::stage::json_text(&body),
                    })
                }
                Write::Upsert(key, body) => documents::Write::Upsert(documents::Put {
                    key: contract_key(key),
                    body: $crate::stage::json_text(&body),
                }),
                Write::Delete(key) => documents::Write::Delete(documents::Removal {
                    key: contract_key(key),
                    expected_revision: None,
                }),
            }
        }

        fn from_document(document: documents::Document) -> $crate::stage::Document {
            $crate::stage::Document {
                key: $crate::stage::Key::new(document.key.collection, document.key.id),
                revision: document.revision,
                body: document.body,
            }
        }

        fn from_documents(error: documents::Error) -> $crate::stage::StageError {
            use $crate::stage::StageError;
            match error {
                documents::Error::Denied(why) => StageError::Denied(why),
                documents::Error::Conflict(race) => StageError::Conflict(format!(
                    "the document `{}/{}` was changed by another run",
                    race.key.collection, race.key.id
                )),
                documents::Error::Invalid(why) => StageError::Internal(why),
                documents::Error::Unavailable(why) => StageError::Unavailable(why),
                documents::Error::Other(why) => StageError::Other(why),
            }
        }

        fn contract_error(error: $crate::stage::StageError) -> stage::StageError {
            use $crate::stage::StageError;
            match error {
                StageError::InvalidInput(why) => stage::StageError::InvalidInput(why),
                StageError::Denied(why) => stage::StageError::Denied(why),
                StageError::Unavailable(why) => stage::StageError::Unavailable(why),
                StageError::Conflict(why) => stage::StageError::Conflict(why),
                StageError::Internal(why) => stage::StageError::Internal(why),
                StageError::Other(why) => stage::StageError::Other(why),
            }
        }
    };
}

/// Turns a [`Report`](crate::stage::Report) into the contract's; beside [`component_ports!`](crate::component_ports).
#[macro_export]
macro_rules! component_report {
    () => {
        fn contract_report(report: $crate::stage::Report) -> stage::Report {
            use $crate::stage::Outcome;
            stage::Report {
                outcome: match report.outcome {
                    Outcome::Success => stage::Outcome::Success,
                    Outcome::Hold => stage::Outcome::Hold,
                    Outcome::Skipped => stage::Outcome::Skipped,
                },
                reason: report.reason,
                output: $crate::stage::json_text(&report.output),
                events: report
                    .events
                    .into_iter()
                    .map(|event| stage::Event {
                        topic: event.topic,
                        subject: event.subject,
                        data: $crate::stage::json_text(&event.data),
                    })
                    .collect(),
                spans: vec![],
                metrics: report
                    .metrics
                    .into_iter()
                    .map(|metric| stage::Metric {
                        name: metric.name,
                        labels: metric.labels,
                        value: metric.value,
                    })
                    .collect(),
            }
        }
    };
}

/// Carries out [`MarketData`](crate::stage::MarketData) for a type through a stage's imports; see [`component_ports!`](crate::component_ports).
#[macro_export]
macro_rules! component_market_data {
    ($imports:ty) => {
        use bindings::bulkhead::pipeline::market_data;

        impl $crate::stage::MarketData for $imports {
            async fn read_bars(
                &self,
                query: $crate::stage::BarsQuery,
            ) -> Result<$crate::bar::Columns, $crate::stage::StageError> {
                let query = market_data::BarsQuery {
                    series: market_data::Series {
                        instrument: query.instrument,
                        timeframe: query.timeframe,
                    },
                    start_ms: query.start_ms,
                    end_ms: query.end_ms,
                    limit: query.limit,
                    last: query.last,
                };
                let bars = market_data::read_bars(query)
                    .await
                    .map_err(from_market_data)?;
                let columns = $crate::bar::Columns {
                    price_scale: bars.price_scale,
                    volume_scale: bars.volume_scale,
                    open_time_ms: bars.open_time_ms,
                    open: bars.open,
                    high: bars.high,
                    low: bars.low,
                    close: bars.close,
                    volume: bars.volume,
                };
                columns
                    .validate()
                    .map_err(|error| $crate::stage::StageError::Internal(error.to_string()))?;
                Ok(columns)
            }
        }

        fn from_market_data(error: market_data::Error) -> $crate::stage::StageError {
            use $crate::stage::StageError;
            match error {
                market_data::Error::Denied(why) => StageError::Denied(why),
                market_data::Error::Invalid(why) => StageError::Internal(why),
                market_data::Error::Unavailable(why) => StageError::Unavailable(why),
                market_data::Error::Other(why) => StageError::Other(why),
            }
        }
    };
}
