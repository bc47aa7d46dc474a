//! Opening a TCP connection.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::egress::BoxFuture;

/// Opens the connections of a [`super::Dialer`]; a test's connector counts them.
pub trait Connector: Send + Sync {
    /// Connects to this address.
    ///
    /// # Errors
    /// Nobody answers there.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>>;
}

/// Connects to the address it is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpConnector;

impl Connector for TcpConnector {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }
}
