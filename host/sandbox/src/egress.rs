//! The way out: every request a guest sends goes through the gate of `bulkhead-grants`, and nowhere else.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bulkhead_grants::dial::{self, ResponseBody, SendError};
use bulkhead_grants::egress::{EgressClass, Permit, RequestHead, RunMode, admit};
use bulkhead_grants::switches::{Answered, SwitchState};
use bulkhead_grants::{Denied, reason};
use bulkhead_stage::{Denial, Limit, MAX_DENIALS_KEPT};
use bulkhead_store::{KILL_SWITCH_COLLECTION, KILL_SWITCH_ID, Key};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::bounds::LimitBroken;
use crate::error::chain;
use crate::in_flight::{InFlight, Places};
use crate::state::{Denials, Noted};
use crate::{Loaded, Services};

/// The variable of the first kill switch, as `spin.toml` spells it.
const EXEC_KILL_SWITCH: &str = "exec_kill_switch";

/// The collection of the flags that stop trading.
const SYSTEM_STATUS: &str = "systemStatus";

/// Failed requests of one run that are logged.
const MAX_FAILURES_LOGGED: u64 = 16;

/// What a run's requests need: its grant, what is left of its bytes, its places, and where to note a refusal.
pub struct EgressHooks(Gate);

#[derive(Clone)]
struct Gate {
    component: Arc<Loaded>,
    services: Arc<Services>,
    denials: Denials,
    in_flight: InFlight,
    mode: RunMode,
    received: Budget,
    sent: Budget,
    failures: Arc<AtomicU64>,
}

impl EgressHooks {
    pub fn new(
        component: &Arc<Loaded>,
        services: &Arc<Services>,
        denials: Denials,
        in_flight: InFlight,
        fake_mode: bool,
    ) -> Self {
        let limits = &component.spec.limits;
        Self(Gate {
            component: Arc::clone(component),
            services: Arc::clone(services),
            denials,
            mode: if fake_mode {
                RunMode::Fake
            } else {
                RunMode::Live
            },
            in_flight,
            received: Budget::new(limits.response_bytes),
            sent: Budget::new(limits.output_bytes as u64),
            failures: Arc::default(),
        })
    }

    /// The bound of bytes that was broken, if one was.
    pub fn limit_broken(&self) -> Option<LimitBroken> {
        let limits = &self.0.component.spec.limits;
        if self.0.received.is_broken() {
            return Some(LimitBroken {
                limit: Limit::ResponseBytes,
                detail: format!(
                    "more than {} bytes received (`limits.response_bytes`)",
                    limits.response_bytes
                ),
            });
        }
        self.0.sent.is_broken().then(|| LimitBroken {
            limit: Limit::OutputBytes,
            detail: format!(
                "more than {} bytes sent in requests (`limits.output_bytes`)",
                limits.output_bytes
            ),
        })
    }
}

/// What a sent request comes back as: the response, and what to await while its body is read.
type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for EgressHooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _body_read: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let gate = self.0.clone();
        let call = gate.in_flight.call();
        Box::new(async move {
            let _call = call.map_err(|_| Error::ConnectionLimitReached)?;
            let response = gate.send(request, options).await?;
            Ok((
                response,
                Box::new(std::future::ready(Ok(()))) as Box<dyn Future<Output = _> + Send>,
            ))
        })
    }
}

impl Gate {
    async fn send(
        &self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<http::Response<WasiBody>, Error> {
        let (parts, body) = request.into_parts();
        let permit = match self.admit(&parts).await {
            Ok(permit) => permit,
            Err(denied) => return Err(self.refuse(denied)),
        };
        let services = &self.services;
        let places = self
            .in_flight
            .connection(&self.component.bounds, &services.bounds)
            .await;
        // The address and the place may have taken seconds, in which somebody turned a switch on.
        if permit.class() == EgressClass::OrderEntry
            && let Err(denied) = self.switches().await.check(permit.class())
        {
            return Err(self.refuse(denied));
        }
        let mut limits = dial::Limits {
            response_bytes: self.received.left(),
            ..dial::Limits::default()
        };
        // A guest may ask for less patience than the host has, never for more.
        if let Some(options) = options {
            let shorter = |own: &mut std::time::Duration, asked: Option<std::time::Duration>| {
                *own = asked.map_or(*own, |asked| asked.min(*own));
            };
            shorter(&mut limits.connect_timeout, options.connect_timeout);
            shorter(&mut limits.first_byte_timeout, options.first_byte_timeout);
            shorter(
                &mut limits.between_bytes_timeout,
                options.between_bytes_timeout,
            );
        }
        let body = Outgoing {
            body,
            budget: self.sent.clone(),
        };
        let request = http::Request::from_parts(parts, body);
        let response = services
            .dialer
            .send(&permit, request, &limits)
            .await
            .map_err(|error| self.failed(error))?;
        let gate = self.clone();
        Ok(response.map(|body| {
            Incoming {
                body,
                budget: self.received.clone(),
                _places: places,
            }
            .map_err(move |error| gate.failed(error))
            .boxed_unsync()
        }))
    }

    async fn admit(&self, parts: &http::request::Parts) -> Result<Permit, Denied> {
        let switches = self.switches().await;
        admit(
            &RequestHead::of(parts),
            &self.component.spec.egress,
            self.mode,
            &switches,
            &*self.services.resolver,
        )
        .await
    }

    /// The kill switches as they stand now. They are read only where they can matter: for a grant that has order entry
    /// in it. Elsewhere they stay unreadable, which counts as on.
    async fn switches(&self) -> SwitchState {
        let spec = &self.component.spec;
        let can_enter_orders = |rule: &bulkhead_grants::egress::EgressRule| {
            matches!(rule.class, EgressClass::OrderEntry)
        };
        if !spec.egress.rules.iter().any(can_enter_orders) {
            return SwitchState::default();
        }
        let kill_switch = self.document(KILL_SWITCH_COLLECTION, KILL_SWITCH_ID).await;
        let risk = self.document(SYSTEM_STATUS, "risk_management").await;
        let gate = self.document(SYSTEM_STATUS, "trading_gate").await;
        SwitchState::read(
            spec.variables.get(EXEC_KILL_SWITCH).map(String::as_str),
            kill_switch.as_ref().ok().and_then(Option::as_deref),
            risk.as_ref().ok().and_then(Option::as_deref),
        )
        .with_trading_gate(match &gate {
            Ok(Some(body)) => Answered::Body(body),
            Ok(None) => Answered::Missing,
            Err(NotAnswered) => Answered::Nothing,
        })
    }

    /// The body of a kill switch's document, if there is one.
    async fn document(&self, collection: &str, id: &str) -> Result<Option<String>, NotAnswered> {
        let key = Key::new(collection, id).map_err(|_| NotAnswered)?;
        match self.services.store.get(&key).await {
            Ok(found) => Ok(found.map(|document| document.body)),
            Err(error) => {
                tracing::error!(error = %chain(&error), %key, "a kill switch cannot be read, which counts as on");
                Err(NotAnswered)
            }
        }
    }

    /// Notes a refusal for the run's record, and gives the guest the error that WASI has for it.
    fn refuse(&self, denied: Denied) -> Error {
        let error = match denied.reason {
            reason::NAME_UNRESOLVED => Error::DestinationNotFound,
            reason::ADDRESS_FORBIDDEN => Error::DestinationIpProhibited,
            _ => Error::HttpRequestDenied,
        };
        let component = &self.component.spec.name;
        let text = denied.to_string();
        let noted = self.denials.note(Denial {
            reason: denied.reason.to_owned(),
            detail: denied.detail,
        });
        if noted != Noted::Beyond {
            tracing::warn!(%component, denied = %text, "egress refused");
        }
        if noted == Noted::Last {
            tracing::warn!(%component, "{MAX_DENIALS_KEPT} refusals in one run; what else is refused to it is not logged");
        }
        error
    }

    /// Logs why a request got no answer, and gives the guest the error that WASI has for it. That has no room for the
    /// causes, so that they are in the log alone.
    fn failed(&self, error: SendError) -> Error {
        if self.failures.fetch_add(1, Ordering::Relaxed) < MAX_FAILURES_LOGGED {
            tracing::warn!(
                component = %self.component.spec.name,
                reason = error.reason(),
                error = %chain(&error),
                "a request got no answer"
            );
        }
        if self.sent.is_broken() {
            return Error::HttpRequestBodySize(Some(self.sent.left()));
        }
        match error {
            SendError::ResponseTooLarge { limit } => {
                self.received.break_it();
                Error::HttpResponseBodySize(Some(limit))
            }
            SendError::HeadTooLarge { .. } => Error::HttpResponseHeaderSectionSize(None),
            SendError::Connect { source, .. } => match source.kind() {
                std::io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                _ => Error::Connect(source),
            },
            SendError::Tls { source, .. } => Error::Tls(source),
            SendError::ConnectTimeout { .. } => Error::ConnectionTimeout,
            SendError::FirstByteTimeout { .. } => Error::HttpResponseTimeout,
            SendError::BetweenBytesTimeout { .. } => Error::ConnectionReadTimeout,
            SendError::Exchange { source } => Error::Hyper(source),
            SendError::NotPermitted { .. } => Error::HttpRequestDenied,
            error @ (SendError::TlsConfiguration { .. }
            | SendError::Host { .. }
            | SendError::ServerName { .. }) => Error::InternalError(Some(chain(&error))),
        }
    }
}

/// The store did not say whether there is such a document.
struct NotAnswered;

/// What is left of a run's bytes in one direction, over all its requests. Clones share it.
#[derive(Clone)]
struct Budget(Arc<(AtomicU64, AtomicBool)>);

impl Budget {
    fn new(bytes: u64) -> Self {
        Self(Arc::new((AtomicU64::new(bytes), AtomicBool::new(false))))
    }

    fn left(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, or says that so many are not left.
    fn take(&self, bytes: u64) -> bool {
        let taken = self
            .0
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        taken.is_ok()
    }

    fn break_it(&self) {
        self.0.1.store(true, Ordering::Relaxed);
    }

    fn is_broken(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }
}

/// A response body that takes what it gives from the run's budget, so that responses read side by side share it. With it
/// go the places that its connection takes.
struct Incoming {
    body: ResponseBody,
    budget: Budget,
    _places: Places,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && !self.budget.take(data_bytes(frame))
        {
            let limit = self.budget.left();
            return Poll::Ready(Some(Err(SendError::ResponseTooLarge { limit })));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request body that takes what it sends from the run's budget, and breaks off where there is no more.
struct Outgoing {
    body: WasiBody,
    budget: Budget,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && !self.budget.take(data_bytes(frame))
        {
            self.budget.break_it();
            let left = self.budget.left();
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(left)))));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn data_bytes(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, Bytes::len) as u64
}
