//! Connections that only read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use rusqlite::Connection;

/// A pool of connections. A read takes microseconds, so a caller that finds all of them busy waits for one.
#[derive(Debug)]
pub(super) struct Readers {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    /// A pool of these connections: at least one.
    pub fn new(connections: Vec<Connection>) -> Self {
        Self {
            connections: connections.into_iter().map(Mutex::new).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// Reads on a connection of the pool.
    pub fn with<T>(&self, read: impl FnOnce(&mut Connection) -> T) -> T {
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let (before, from_first) = self.connections.split_at(first);
        for connection in from_first.iter().chain(before) {
            match connection.try_lock() {
                Ok(mut free) => return read(&mut free),
                // A read that panicked has rolled its transaction back.
                Err(TryLockError::Poisoned(free)) => return read(&mut free.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let mut busy = self.connections[first]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        read(&mut busy)
    }

    /// Closes all connections.
    pub fn close(&mut self) {
        self.connections.clear();
    }
}
