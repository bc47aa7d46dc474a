//! The way out: every request a guest sends goes through the gate of `bulkhead-grants`, and nowhere else.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bulkhead_grants::dial::{self, ResponseBody, SendError};
use bulkhead_grants::egress::{EgressClass, Permit, RequestHead, RunMode, admit};
use bulkhead_grants::switches::SwitchState;
use bulkhead_grants::{Denied, reason};
use bulkhead_stage::Denial;
use bulkhead_store::{KILL_SWITCH_COLLECTION, KILL_SWITCH_ID, Key};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::state::Denials;
use crate::{Loaded, Services};

/// The variable of the first kill switch, as `spin.toml` spells it.
const EXEC_KILL_SWITCH: &str = "exec_kill_switch";

/// What a run's requests need: its grant, what is left of its response bytes, and where to note a refusal.
pub struct EgressHooks(Gate);

#[derive(Clone)]
struct Gate {
    component: Arc<Loaded>,
    services: Arc<Services>,
    denials: Denials,
    mode: RunMode,
    budget: Budget,
}

impl EgressHooks {
    pub fn new(
        component: &Arc<Loaded>,
        services: &Arc<Services>,
        denials: Denials,
        fake_mode: bool,
    ) -> Self {
        Self(Gate {
            component: Arc::clone(component),
            services: Arc::clone(services),
            denials,
            mode: if fake_mode {
                RunMode::Fake
            } else {
                RunMode::Live
            },
            budget: Budget::new(component.spec.limits.response_bytes),
        })
    }

    pub fn response_limit_broken(&self) -> bool {
        self.0.budget.is_broken()
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
        Box::new(async move {
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
        let mut limits = dial::Limits {
            response_bytes: self.budget.left(),
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
        let request = http::Request::from_parts(parts, body);
        let response = self
            .services
            .dialer
            .send(&permit, request, &limits)
            .await
            .map_err(|error| self.failed(error))?;
        let gate = self.clone();
        Ok(response.map(|body| {
            Counted {
                body,
                budget: self.budget.clone(),
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
        let document = async |collection: &str, id: &str| {
            let key = Key::new(collection, id).ok()?;
            match self.services.store.get(&key).await {
                Ok(found) => found.map(|document| document.body),
                Err(error) => {
                    tracing::error!(%error, %key, "a kill switch cannot be read, which counts as on");
                    None
                }
            }
        };
        SwitchState::read(
            spec.variables.get(EXEC_KILL_SWITCH).map(String::as_str),
            document(KILL_SWITCH_COLLECTION, KILL_SWITCH_ID)
                .await
                .as_deref(),
            document("systemStatus", "risk_management").await.as_deref(),
        )
    }

    /// Notes a refusal for the run's record, and gives the guest the error that WASI has for it.
    fn refuse(&self, denied: Denied) -> Error {
        tracing::warn!(component = %self.component.spec.name, %denied, "egress refused");
        let error = match denied.reason {
            reason::NAME_UNRESOLVED => Error::DestinationNotFound,
            reason::ADDRESS_FORBIDDEN => Error::DestinationIpProhibited,
            _ => Error::HttpRequestDenied,
        };
        self.denials.note(Denial {
            reason: denied.reason.to_owned(),
            detail: denied.detail,
        });
        error
    }

    fn failed(&self, error: SendError) -> Error {
        match error {
            SendError::ResponseTooLarge { limit } => {
                self.budget.break_it();
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
            | SendError::ServerName { .. }) => Error::InternalError(Some(error.to_string())),
        }
    }
}

/// What is left of a run's response bytes, over all its requests. Clones share it.
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

/// A response body that takes what it gives from the run's budget, so that responses read side by side share it.
struct Counted {
    body: ResponseBody,
    budget: Budget,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            if !self.budget.take(bytes) {
                let limit = self.budget.left();
                return Poll::Ready(Some(Err(SendError::ResponseTooLarge { limit })));
            }
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
