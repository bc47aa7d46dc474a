//! The task `poll`: carries out what [`crate::poll`] and [`crate::journal`] decide.

use bulkhead_venues::binance::klines;
use bulkhead_venues::{HttpResponse, VenueError};

use crate::StageError;
use crate::journal::{Entry, Found, JOURNAL, Record, Status, state_key};
use crate::poll::{Quarantined, SeriesPoll, SeriesResult};
use crate::ports::{FetchError, Ports};
use crate::settings::{Series, Settings};

/// The most bytes of one page that are read; a full page of klines takes about a fifth of it.
pub const MAX_RESPONSE_BYTES: usize = 1 << 20;
/// How long to wait when a venue limits the rate and does not say for how long.
const DEFAULT_RETRY_AFTER_SECONDS: u64 = 60;
/// The longest wait that a venue can ask for. Longer ones are cut, so that a nonsensical header stops no feed for good.
const MAX_RETRY_AFTER_SECONDS: u64 = 3 * 24 * 3600;

/// Which run this is.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Its identity.
    pub run_id: &'a str,
    /// The instant it was meant for, in Unix milliseconds: its *now*.
    pub scheduled_at_ms: i64,
    /// 1 on the first attempt.
    pub attempt: u32,
}

/// How a poll came to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Polled {
    /// Bars were inserted or updated.
    Stored(Record),
    /// The venue had nothing new.
    NothingNew(Record),
    /// The venue limits the rate, now or since an earlier poll; no request before this instant, in Unix milliseconds.
    RateLimited {
        /// When to come back.
        not_before_ms: i64,
    },
}

/// A series that could not be polled to its end.
enum Trouble {
    /// The venue asks to come back later.
    RateLimited { retry_after_seconds: Option<u64> },
    /// Only this series is concerned.
    Series(StageError),
    /// The other series would meet the same.
    All(StageError),
}

/// Polls every series once, and keeps the record.
///
/// # Errors
/// The first series that failed, after the others were polled and the record was kept; or the store.
pub async fn poll(
    ports: &impl Ports,
    settings: &Settings,
    run: Run<'_>,
) -> Result<Polled, StageError> {
    let found = Found::read(ports.get(&state_key()).await?).map_err(StageError::Internal)?;
    if let Some(not_before_ms) = found.must_wait_until(run.scheduled_at_ms) {
        return Ok(Polled::RateLimited { not_before_ms });
    }
    let mut record = Record::new(run.run_id, run.scheduled_at_ms, settings.origin.to_string());
    let mut failure: Option<StageError> = None;
    let mut not_before_ms = None;
    for series in &settings.series {
        let (result, quarantined, trouble) = poll_series(ports, settings, series, run).await;
        record.add(result, quarantined);
        match trouble {
            None => {}
            Some(Trouble::Series(error)) => {
                failure.get_or_insert(error);
            }
            Some(Trouble::All(error)) => {
                failure.get_or_insert(error);
                break;
            }
            Some(Trouble::RateLimited {
                retry_after_seconds,
            }) => {
                not_before_ms = Some(come_back_at(run.scheduled_at_ms, retry_after_seconds));
                break;
            }
        }
    }
    record.status = match (&failure, not_before_ms) {
        (_, Some(_)) => Status::RateLimited,
        (None, None) => Status::Success,
        (Some(_), None) if record.rows > 0 => Status::Partial,
        (Some(_), None) => Status::Failed,
    };
    record.error = failure.as_ref().map(|error| error.detail().to_owned());
    record.duration_ms = ports.elapsed_ms();
    let kept = keep(ports, &found, record.clone(), not_before_ms, run).await;
    match (failure, not_before_ms) {
        (Some(error), _) => Err(match kept {
            Ok(()) => error,
            Err(store) => {
                error.followed_by(&format!("the record was not kept: {}", store.detail()))
            }
        }),
        (None, Some(not_before_ms)) => kept.map(|()| Polled::RateLimited { not_before_ms }),
        (None, None) if record.rows > 0 => kept.map(|()| Polled::Stored(record)),
        (None, None) => kept.map(|()| Polled::NothingNew(record)),
    }
}

fn come_back_at(now_ms: i64, retry_after_seconds: Option<u64>) -> i64 {
    let seconds = retry_after_seconds
        .unwrap_or(DEFAULT_RETRY_AFTER_SECONDS)
        .clamp(1, MAX_RETRY_AFTER_SECONDS);
    now_ms.saturating_add_unsigned(seconds * 1_000)
}

async fn poll_series(
    ports: &impl Ports,
    settings: &Settings,
    series: &Series,
    run: Run<'_>,
) -> (SeriesResult, Vec<Quarantined>, Option<Trouble>) {
    let timeframe = settings.timeframe.to_string();
    let (newest, trouble) = match ports.latest(series.instrument.as_str(), &timeframe).await {
        Ok(newest) => (newest, None),
        Err(error) => (None, Some(Trouble::All(error))),
    };
    let mut poll = SeriesPoll::new(
        series,
        settings.timeframe,
        settings.backfill,
        newest,
        run.scheduled_at_ms,
    );
    let trouble = match trouble {
        None => poll_pages(ports, settings, series, &timeframe, &mut poll)
            .await
            .err(),
        some => some,
    };
    let (result, quarantined) = poll.finish();
    (result, quarantined, trouble)
}

async fn poll_pages(
    ports: &impl Ports,
    settings: &Settings,
    series: &Series,
    timeframe: &str,
    poll: &mut SeriesPoll,
) -> Result<(), Trouble> {
    while let Some(request) = poll.next_request() {
        let http = request.to_http();
        let place = format!("{} {}{}", http.method, settings.origin, http.path_and_query);
        let fetched = ports
            .fetch(&settings.origin, &http, MAX_RESPONSE_BYTES)
            .await
            .map_err(|error| match error {
                FetchError::Denied(why) => {
                    Trouble::All(StageError::Denied(format!("{place}: {why}")))
                }
                FetchError::Unavailable(why) => {
                    Trouble::All(StageError::Unavailable(format!("{place}: {why}")))
                }
                FetchError::TooLarge(limit) => Trouble::Series(StageError::Other(format!(
                    "{place}: the answer is longer than {limit} bytes"
                ))),
            })?;
        let retry_after = fetched.retry_after.as_deref();
        let headers = retry_after.map(|value| ("retry-after", value));
        let response = HttpResponse {
            status: fetched.status,
            headers: headers.as_slice(),
            body: &fetched.body,
        };
        let page = klines::parse(&response, klines::MAX_LIMIT)
            .map_err(|error| trouble_with(&place, &error))?;
        let columns = poll
            .accept(page)
            .map_err(|error| Trouble::Series(StageError::Other(error)))?;
        if let Some(columns) = columns {
            let appended = ports
                .append(series.instrument.as_str(), timeframe, columns)
                .await
                .map_err(Trouble::All)?;
            poll.stored(appended);
        }
    }
    Ok(())
}

fn trouble_with(place: &str, error: &VenueError) -> Trouble {
    let mut text = format!("{place}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    match error {
        VenueError::RateLimited {
            retry_after_seconds,
            ..
        } => Trouble::RateLimited {
            retry_after_seconds: *retry_after_seconds,
        },
        error if error.is_transient() => Trouble::All(StageError::Unavailable(text)),
        _ => Trouble::Series(StageError::Other(text)),
    }
}

async fn keep(
    ports: &impl Ports,
    found: &Found,
    record: Record,
    not_before_ms: Option<i64>,
    run: Run<'_>,
) -> Result<(), StageError> {
    let entry = if !found.is_news(&record) {
        Entry::None
    } else if run.attempt > 1 && ports.get(&record.key()).await?.is_some() {
        Entry::Again
    } else {
        let pruned = match found.surplus() {
            0 => Vec::new(),
            surplus => ports.first_ids(JOURNAL, surplus).await?,
        };
        Entry::New { pruned }
    };
    let writes = found
        .writes(record, not_before_ms, entry)
        .map_err(StageError::Internal)?;
    ports.commit(writes).await
}

#[cfg(test)]
mod tests;
