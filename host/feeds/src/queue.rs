//! What has come and was not handed over yet: bounded in frames and in bytes.
//!
//! When it is full, the oldest quote or open bar that a newer one follows makes room. Nothing else ever does: with none of
//! these, whoever puts in waits, and reads no further meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::frame::{Frame, Kind, Renewed};
use crate::timer::Timer;

/// The most bytes that wait. Frames are small, but a venue that sends large ones must not fill the memory.
pub const MAX_QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// What one batch may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchBounds {
    pub frames: usize,
    pub bytes: usize,
    pub window: Duration,
}

/// How full the queue is, and what happened in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueueCounts {
    /// Frames that wait.
    pub queued: usize,
    /// Frames that were taken out and are not delivered yet.
    pub in_flight: usize,
    /// Quotes that made room for newer ones.
    pub replaced_quotes: u64,
    /// Open bars that made room for newer ones.
    pub replaced_bars: u64,
    /// Times that the socket was not read because there was no room.
    pub backpressure_waits: u64,
}

/// The frames of one feed, put in by one task and taken out by another.
pub(crate) struct FrameQueue {
    bound: usize,
    state: Mutex<State>,
    arrived: Notify,
    room: Notify,
}

#[derive(Default)]
struct State {
    frames: BTreeMap<u64, Frame>,
    next: u64,
    bytes: usize,
    /// The place of the newest quote of each symbol, and of its newest open bar of each length.
    newest: HashMap<Renewed, u64>,
    /// The places of those that a newer one follows.
    superseded: BTreeSet<u64>,
    counts: QueueCounts,
    is_closed: bool,
}

impl FrameQueue {
    pub fn new(bound: usize) -> Self {
        Self {
            bound: bound.max(1),
            state: Mutex::default(),
            arrived: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Puts a frame in, and waits for room where there is none.
    pub async fn push(&self, mut frame: Frame) {
        let mut has_waited = false;
        loop {
            frame = match self.offer(frame, !has_waited) {
                Ok(()) => return,
                Err(frame) => frame,
            };
            has_waited = true;
            self.room.notified().await;
        }
    }

    fn offer(&self, frame: Frame, is_first_try: bool) -> Result<(), Frame> {
        let mut state = self.state();
        while !state.has_room(self.bound, &frame) {
            let Some(oldest) = state.oldest_replaceable(&frame) else {
                state.counts.backpressure_waits += u64::from(is_first_try);
                return Err(frame);
            };
            state.replace(oldest);
        }
        state.insert(frame);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// The next batch: as soon as it is full, or its window has passed since it could be begun. None: the queue is
    /// closed and empty.
    pub async fn next_batch(&self, bounds: BatchBounds, timer: &dyn Timer) -> Option<Vec<Frame>> {
        while self.state().frames.is_empty() {
            if self.state().is_closed {
                return None;
            }
            self.arrived.notified().await;
        }
        let window = timer.sleep(bounds.window);
        tokio::select! {
            biased;
            () = self.filled(bounds) => {}
            () = window => {}
        }
        let batch = self.state().take(bounds);
        self.room.notify_one();
        Some(batch)
    }

    /// Is ready when waiting longer would not make a larger batch.
    async fn filled(&self, bounds: BatchBounds) {
        loop {
            {
                let state = self.state();
                if state.is_closed
                    || state.frames.len() >= bounds.frames.min(self.bound)
                    || state.bytes >= bounds.bytes
                {
                    return;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// The batch that was taken last is delivered.
    pub fn delivered(&self) {
        self.state().counts.in_flight = 0;
    }

    /// Nothing more is put in.
    pub fn close(&self) {
        self.state().is_closed = true;
        self.arrived.notify_one();
    }

    pub fn counts(&self) -> QueueCounts {
        let state = self.state();
        QueueCounts {
            queued: state.frames.len(),
            ..state.counts
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, bound: usize, frame: &Frame) -> bool {
        self.frames.is_empty()
            || (self.frames.len() < bound && self.bytes + frame.json.len() <= MAX_QUEUE_BYTES)
    }

    /// The oldest quote or open bar for which a newer one is there, or comes with this frame.
    fn oldest_replaceable(&self, frame: &Frame) -> Option<u64> {
        let own = frame
            .renewed()
            .and_then(|renewed| self.newest.get(&renewed));
        self.superseded
            .first()
            .into_iter()
            .chain(own)
            .min()
            .copied()
    }

    fn insert(&mut self, frame: Frame) {
        let place = self.next;
        self.next += 1;
        self.bytes += frame.json.len();
        if let Some(renewed) = frame.renewed()
            && let Some(before) = self.newest.insert(renewed, place)
        {
            self.superseded.insert(before);
        }
        self.frames.insert(place, frame);
    }

    /// Takes out what a newer one follows, and counts it.
    fn replace(&mut self, place: u64) {
        let Some(frame) = self.frames.remove(&place) else {
            return;
        };
        self.forget(place, &frame);
        match frame.kind {
            Kind::OpenBar(_) => self.counts.replaced_bars += 1,
            _ => self.counts.replaced_quotes += 1,
        }
    }

    /// Takes a frame that has left out of what is known about the others.
    fn forget(&mut self, place: u64, frame: &Frame) {
        self.bytes -= frame.json.len();
        if let Some(renewed) = frame.renewed()
            && !self.superseded.remove(&place)
            && self.newest.get(&renewed) == Some(&place)
        {
            self.newest.remove(&renewed);
        }
    }

    /// The oldest frames, within the bounds of a batch; at least one.
    fn take(&mut self, bounds: BatchBounds) -> Vec<Frame> {
        let mut batch = Vec::new();
        let mut bytes = 0_usize;
        while batch.len() < bounds.frames
            && let Some((&place, frame)) = self.frames.first_key_value()
        {
            // A comma follows each frame but the last.
            bytes += frame.json.len() + 1;
            if !batch.is_empty() && bytes > bounds.bytes {
                break;
            }
            if let Some(frame) = self.frames.remove(&place) {
                self.forget(place, &frame);
                batch.push(frame);
            }
        }
        self.counts.in_flight = batch.len();
        batch
    }
}

#[cfg(test)]
mod tests;
