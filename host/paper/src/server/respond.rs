//! A request into a response, with the faults that are to happen to it.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;
use tracing::debug;

use super::body::{self, Body, Cut};
use crate::answer::{Answer, Asked};
use crate::calendar::CALENDAR_PATH;
use crate::fault::{Disorder, FaultKind};
use crate::query::Query;
use crate::stream::connection::{self, Opening};
use crate::venue::Venue;
use crate::{alpaca, binance};

/// The code of Binance for a failure of its own.
const INTERNAL_ERROR: i32 = -1001;
/// The code of Binance for what has no code of its own.
const UNKNOWN: i32 = -1000;

/// Answers the requests of one connection.
pub(super) struct Responder {
    pub venue: Arc<Venue>,
    pub is_stopped: watch::Receiver<bool>,
    /// The connection's place, which a stream takes over.
    pub place: Arc<OwnedSemaphorePermit>,
}

impl Responder {
    /// # Errors
    /// The connection is to be cut.
    pub(super) fn respond(&self, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        match self.opening(&request) {
            None => Ok(self.answer(&request)),
            Some(opening) => self.open(request, opening),
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        let fault = self.venue.faults.on_request(path);
        let answer = match fault {
            Some(FaultKind::TooManyRequests {
                retry_after_seconds,
            }) => refused(path, StatusCode::TOO_MANY_REQUESTS)
                .with("retry-after", i64::from(retry_after_seconds)),
            Some(FaultKind::Failure(status)) => refused(path, status),
            Some(FaultKind::Disorder(disorder)) => self.route(request, Some(disorder)),
            _ => self.route(request, None),
        };
        self.rendered(answer, fault)
    }

    fn route(&self, request: &Request<Incoming>, disorder: Option<Disorder>) -> Answer {
        let uri = request.uri();
        let asked = Asked {
            method: request.method(),
            path: uri.path(),
            query: Query::parse(uri.query().unwrap_or_default()),
            headers: request.headers(),
            disorder,
        };
        if is_binance(asked.path) {
            binance::answer(&self.venue, &asked)
        } else if is_alpaca(asked.path) {
            alpaca::answer(&self.venue, &asked)
        } else if asked.path != CALENDAR_PATH {
            let refusal = binance::refused(UNKNOWN, format!("No such path: {}", asked.path));
            refusal.answer(StatusCode::NOT_FOUND)
        } else if asked.method != Method::GET {
            alpaca::failure(StatusCode::METHOD_NOT_ALLOWED)
        } else {
            self.venue.calendar.answer(&asked)
        }
    }

    fn rendered(&self, answer: Answer, fault: Option<FaultKind>) -> Response<Body> {
        let bytes = match fault {
            Some(FaultKind::Malformed) => answer.body.slice(..answer.body.len() / 2),
            _ => answer.body,
        };
        let length = bytes.len();
        let body = match fault {
            Some(FaultKind::Slow { pause_ms }) => body::slow(&self.venue, bytes, pause_ms),
            Some(FaultKind::Cut) => body::cut(&bytes),
            _ => body::whole(bytes),
        };
        let mut response = Response::new(body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json;charset=UTF-8"),
        );
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        response
    }

    /// What is said on the path of a stream. None: it is no such path.
    fn opening(&self, request: &Request<Incoming>) -> Option<Result<Opening, String>> {
        let path = request.uri().path();
        let alpaca = alpaca::stream::open(&self.venue, path, request.headers());
        alpaca.map(Ok).or_else(|| {
            let query = Query::parse(request.uri().query().unwrap_or_default());
            binance::stream::open(&self.venue, path, query.get("streams"))
        })
    }

    fn open(
        &self,
        mut request: Request<Incoming>,
        opening: Result<Opening, String>,
    ) -> Result<Response<Body>, Cut> {
        let path = request.uri().path();
        match self.venue.faults.on_connect() {
            Some(FaultKind::Cut) => return Err(Cut),
            Some(FaultKind::Failure(status)) => {
                return Ok(self.rendered(refused(path, status), None));
            }
            Some(FaultKind::TooManyRequests {
                retry_after_seconds,
            }) => {
                let answer = refused(path, StatusCode::TOO_MANY_REQUESTS)
                    .with("retry-after", i64::from(retry_after_seconds));
                return Ok(self.rendered(answer, None));
            }
            _ => {}
        }
        let opening = match opening {
            Ok(opened) => opened,
            Err(fault) => {
                let answer = binance::refused(UNKNOWN, fault).answer(StatusCode::BAD_REQUEST);
                return Ok(self.rendered(answer, None));
            }
        };
        let switching = create_response_with_body(&request, || body::whole(bytes::Bytes::new()));
        let response = match switching {
            Ok(response) => response,
            Err(error) => {
                let answer = binance::refused(UNKNOWN, format!("Not a websocket: {error}"));
                return Ok(self.rendered(answer.answer(StatusCode::BAD_REQUEST), None));
            }
        };
        let upgrade = hyper::upgrade::on(&mut request);
        let (venue, is_stopped) = (Arc::clone(&self.venue), self.is_stopped.clone());
        let place = Arc::clone(&self.place);
        tokio::spawn(async move {
            match upgrade.await {
                Ok(upgraded) => {
                    let (io, config) = (TokioIo::new(upgraded), Some(connection::config()));
                    let socket = WebSocketStream::from_raw_socket(io, Role::Server, config).await;
                    connection::run(socket, opening, venue, is_stopped).await;
                }
                Err(error) => debug!(%error, "a stream of the paper venue did not begin"),
            }
            drop(place);
        });
        Ok(response)
    }
}

fn is_binance(path: &str) -> bool {
    path.starts_with(binance::PREFIX)
}

fn is_alpaca(path: &str) -> bool {
    path.starts_with(alpaca::STOCKS_PREFIX) || path.starts_with(alpaca::CRYPTO_PREFIX)
}

/// An answer with this status, in the form of the API that the path belongs to.
fn refused(path: &str, status: StatusCode) -> Answer {
    if !is_binance(path) {
        return alpaca::failure(status);
    }
    let refusal = if status == StatusCode::TOO_MANY_REQUESTS {
        binance::too_much_weight(bulkhead_venues::rate_limit::BINANCE_WEIGHT_PER_MINUTE)
    } else {
        binance::refused(
            INTERNAL_ERROR,
            "Internal error; unable to process your request. Please try again.",
        )
    };
    refusal.answer(status)
}
