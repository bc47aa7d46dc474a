//! Sends a permitted request to the very address that was checked.
//!
//! One connection a request, HTTP/1.1, closed afterwards. Nothing is resolved here and no redirect is followed: a 3xx is
//! an answer like any other. The response is bounded in time, in headers and in bytes ([`Limits`]).

mod body;
mod connector;
mod error;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response};
use http_body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::egress::{Permit, Scheme, TargetHost};

pub use body::ResponseBody;
pub use connector::{Connector, TcpConnector};
pub use error::{BoxError, SendError};
pub use stream::Stream;

/// The smallest `head_bytes` that the HTTP client can work with; a smaller limit counts as this one.
pub const MIN_HEAD_BYTES: usize = 8 * 1024;

/// What one exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the TCP connection and the TLS handshake together.
    pub connect_timeout: Duration,
    /// From the request's first byte to the whole head of the response; so it bounds the sending of the request's body.
    pub first_byte_timeout: Duration,
    /// For each wait for the next part of the response's body.
    pub between_bytes_timeout: Duration,
    /// The most bytes of the response's body.
    pub response_bytes: u64,
    /// The most headers of the response.
    pub response_headers: usize,
    /// The most bytes of the response's head, at least [`MIN_HEAD_BYTES`]; also the size of one read of the body.
    pub head_bytes: usize,
}

/// Enough for a venue's answer of 1000 bars, and little enough to hold 64 of them.
impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(10),
            between_bytes_timeout: Duration::from_secs(5),
            response_bytes: 16 * 1024 * 1024,
            response_headers: 100,
            head_bytes: 64 * 1024,
        }
    }
}

/// Sends permitted requests. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    connector: Arc<dyn Connector>,
    tls: Arc<ClientConfig>,
}

impl Dialer {
    /// A dialer over TCP that trusts Mozilla's root certificates.
    ///
    /// # Errors
    /// The TLS configuration was refused.
    pub fn new() -> Result<Self, SendError> {
        let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        Self::with(Arc::new(TcpConnector), roots)
    }

    /// A dialer over any connector that trusts the given certificates only.
    ///
    /// # Errors
    /// The TLS configuration was refused.
    pub fn with(connector: Arc<dyn Connector>, roots: RootCertStore) -> Result<Self, SendError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| SendError::TlsConfiguration { source })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            connector,
            tls: Arc::new(tls),
        })
    }

    /// Sends a request under a permit.
    ///
    /// Method and path must be the permitted ones; the query may have gained a signature since. Scheme, authority, `Host` and
    /// the headers of the rule that permits it are the permit's, whatever the request says.
    ///
    /// # Errors
    /// The request is not the permitted one, or an operation failed or took longer than its limit.
    pub async fn send<B>(
        &self,
        permit: &Permit,
        request: Request<B>,
        limits: &Limits,
    ) -> Result<Response<ResponseBody>, SendError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let request = as_permitted(permit, request)?;
        let stream = self.connect(permit, limits.connect_timeout).await?;
        exchange(stream, request, limits).await
    }

    /// Opens the connection of a permit and leaves the exchange to the caller: what a websocket begins with. TLS has been
    /// spoken where the permit's scheme asks for it.
    ///
    /// # Errors
    /// Nobody answers at the checked address, the TLS handshake failed, or both together took longer than `limit`.
    pub async fn connect(&self, permit: &Permit, limit: Duration) -> Result<Stream, SendError> {
        let address = permit.address();
        let connecting = async {
            let stream = self.connector.connect(address).await;
            let stream = stream.map_err(|source| SendError::Connect { address, source })?;
            stream
                .set_nodelay(true)
                .map_err(|source| SendError::Connect { address, source })?;
            match permit.target().scheme {
                Scheme::Http => Ok(Stream::Plain(stream)),
                Scheme::Https => {
                    let name = server_name(&permit.target().host)?;
                    let tls = TlsConnector::from(Arc::clone(&self.tls))
                        .connect(name, stream)
                        .await;
                    Ok(Stream::Tls(Box::new(
                        tls.map_err(|source| SendError::Tls { address, source })?,
                    )))
                }
            }
        };
        timeout(limit, connecting)
            .await
            .map_err(|_| SendError::ConnectTimeout { address, limit })?
    }
}

async fn exchange<B>(
    stream: Stream,
    request: Request<B>,
    limits: &Limits,
) -> Result<Response<ResponseBody>, SendError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(limits.response_headers)
        .max_buf_size(limits.head_bytes.max(MIN_HEAD_BYTES))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|source| SendError::Exchange { source })?;
    // The connection lives as long as the response's body: dropping the guard ends it. What goes wrong on it also comes
    // out of the response or its body, so that its own result says nothing new.
    let connection = body::Connection::spawn(connection);
    let response = timeout(limits.first_byte_timeout, sender.send_request(request))
        .await
        .map_err(|_| SendError::FirstByteTimeout {
            limit: limits.first_byte_timeout,
        })?
        .map_err(|source| {
            if source.is_parse_too_large() {
                SendError::HeadTooLarge {
                    limit: limits.head_bytes,
                    headers: limits.response_headers,
                    source: Some(source),
                }
            } else {
                SendError::Exchange { source }
            }
        })?;
    let (parts, incoming) = response.into_parts();
    // The client's buffer may take in up to one read more than its size before it complains.
    let header_bytes = parts
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum::<usize>();
    if header_bytes > limits.head_bytes.max(MIN_HEAD_BYTES) {
        return Err(SendError::HeadTooLarge {
            limit: limits.head_bytes,
            headers: limits.response_headers,
            source: None,
        });
    }
    if incoming.size_hint().lower() > limits.response_bytes {
        return Err(SendError::ResponseTooLarge {
            limit: limits.response_bytes,
        });
    }
    Ok(Response::from_parts(
        parts,
        ResponseBody::new(incoming, connection, limits),
    ))
}

/// The request as it goes out: origin form, the rule's headers, the permit's `Host`, and the connection closed afterwards.
fn as_permitted<B>(permit: &Permit, request: Request<B>) -> Result<Request<B>, SendError> {
    let (mut parts, body) = request.into_parts();
    let path_and_query = parts
        .uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    if parts.method != *permit.method() || path_and_query.path() != permit.path() {
        return Err(SendError::NotPermitted {
            permitted: format!("{} {}", permit.method(), permit.path()),
            asked: format!("{} {}", parts.method, path_and_query.path()),
        });
    }
    let host = HeaderValue::try_from(permit.target().authority())
        .map_err(|source| SendError::Host { source })?;
    permit.headers().set(&mut parts.headers);
    parts.headers.insert(HOST, host);
    parts
        .headers
        .insert(CONNECTION, HeaderValue::from_static("close"));
    parts.uri = Uri::from(path_and_query);
    parts.version = http::Version::HTTP_11;
    Ok(Request::from_parts(parts, body))
}

/// What TLS asks the server to prove that it is.
fn server_name(host: &TargetHost) -> Result<ServerName<'static>, SendError> {
    match host {
        TargetHost::Ip(ip) => Ok(ServerName::IpAddress((*ip).into())),
        TargetHost::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|source| SendError::ServerName {
                name: name.clone(),
                source,
            })
        }
    }
}
