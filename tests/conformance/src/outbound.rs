//! Where requests go: to another component, to loopback, or nowhere.

use std::net::IpAddr;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::spin::Spin;

/// Most bytes of a body.
const MAX_BODY_BYTES: usize = 16 << 20;

/// The domain of service chaining.
const INTERNAL: &str = ".spin.internal";

pub struct Outbound {
    pub spin: Spin,
    pub allowed_hosts: Vec<String>,
}

type Sent = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let is_allowed = self
            .allowed_hosts
            .iter()
            .any(|allowed| allows(allowed, request.uri()));
        let spin = self.spin.clone();
        Box::new(async move {
            if !is_allowed {
                return Err(Error::HttpRequestDenied);
            }
            let (head, body) = request.into_parts();
            let request = Request::from_parts(head, collect(body).await?);
            let response = send(spin, request).await?;
            let body = |body: Bytes| {
                Full::new(body)
                    .map_err(|never| match never {})
                    .boxed_unsync()
            };
            let done: Box<dyn Future<Output = _> + Send> = Box::new(std::future::ready(Ok(())));
            Ok((response.map(body), done))
        })
    }
}

/// Whether an entry of `allowed_outbound_hosts` covers an address: scheme and port must be the same, and the host, of
/// which `*.` stands for any one name before the rest.
fn allows(entry: &str, uri: &Uri) -> bool {
    let Ok(entry) = entry.replace("*.", "any.").parse::<Uri>() else {
        return false;
    };
    let port = |uri: &Uri| {
        uri.port_u16()
            .or((uri.scheme() == Some(&Scheme::HTTP)).then_some(80))
    };
    let (Some(allowed), Some(host)) = (entry.host(), uri.host()) else {
        return false;
    };
    let is_host = match allowed.strip_prefix("any.") {
        Some(domain) => host
            .split_once('.')
            .is_some_and(|(_, parent)| parent == domain),
        None => host == allowed,
    };
    is_host && entry.scheme() == uri.scheme() && port(&entry) == port(uri)
}

async fn send(spin: Spin, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
    let host = request.uri().host().unwrap_or_default().to_owned();
    if let Some(component) = host.strip_suffix(INTERNAL) {
        let component = component.to_owned();
        if !spin.has(&component) {
            return Err(Error::DestinationNotFound);
        }
        // A task of its own: within the poll of one store no other store may be run.
        let answered = tokio::spawn(async move { spin.handle(&component, request).await });
        return match answered.await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Error::InternalError(Some(format!("{error:#}")))),
            Err(error) => Err(Error::InternalError(Some(error.to_string()))),
        };
    }
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => dial(request).await,
        _ => Err(Error::DestinationIpProhibited),
    }
}

async fn dial(request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
    let authority = request
        .uri()
        .authority()
        .ok_or(Error::HttpRequestUriInvalid)?;
    let stream = TcpStream::connect(authority.as_str())
        .await
        .map_err(Error::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Error::Hyper)?;
    let connection = tokio::spawn(connection);
    let response = sender
        .send_request(request.map(Full::new))
        .await
        .map_err(Error::Hyper)?;
    let (head, body) = response.into_parts();
    let body = collect(body.map_err(Error::Hyper)).await?;
    connection.abort();
    Ok(Response::from_parts(head, body))
}

pub async fn collect(
    body: impl http_body_util::BodyExt<Data = Bytes, Error = Error>,
) -> Result<Bytes, Error> {
    let body = http_body_util::Limited::new(body, MAX_BODY_BYTES);
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => match error.downcast::<Error>() {
            Ok(error) => Err(*error),
            Err(_) => Err(Error::HttpResponseBodySize(Some(MAX_BODY_BYTES as u64))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_covers_its_own_scheme_host_and_port_only() {
        for (entry, address, expect) in [
            ("http://127.0.0.1:7878", "http://127.0.0.1:7878/a", true),
            ("http://127.0.0.1:7878", "http://127.0.0.1:7879/a", false),
            ("http://127.0.0.1:7878", "https://127.0.0.1:7878/a", false),
            (
                "http://*.spin.internal",
                "http://ingest.spin.internal/",
                true,
            ),
            ("http://*.spin.internal", "http://spin.internal/", false),
            (
                "http://*.spin.internal",
                "http://ingest.spin.internal.evil.example/",
                false,
            ),
        ] {
            assert_eq!(
                allows(entry, &address.parse().unwrap()),
                expect,
                "{entry} {address}"
            );
        }
    }
}
