//! What a guest writes to its standard error: kept up to `limits.log_bytes`, and the run ends beyond it.

use std::sync::{Arc, Mutex, PoisonError};

use bulkhead_stage::Limit;
use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::bounds::LimitBroken;

/// The log of one run. Clones share it.
#[derive(Debug, Clone)]
pub struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit_bytes: usize,
    text: Mutex<Vec<u8>>,
}

/// Most bytes that a guest may write in one call.
const CHUNK_BYTES: usize = 64 << 10;

impl Log {
    /// An empty log that holds `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self(Arc::new(Shared {
            limit_bytes,
            text: Mutex::new(Vec::new()),
        }))
    }

    /// What was written, invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        let text = self.0.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// How much was written.
    pub fn len(&self) -> usize {
        self.0
            .text
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Log {
    async fn ready(&mut self) {}
}

impl OutputStream for Log {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let limit = self.0.limit_bytes;
        let mut text = self.0.text.lock().unwrap_or_else(PoisonError::into_inner);
        let room = limit.saturating_sub(text.len());
        text.extend_from_slice(bytes.get(..room).unwrap_or(&bytes));
        if bytes.len() <= room {
            return Ok(());
        }
        Err(StreamError::Trap(
            LimitBroken {
                limit: Limit::LogBytes,
                detail: format!("more than {limit} bytes logged (`limits.log_bytes`)"),
            }
            .into(),
        ))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK_BYTES)
    }
}
