//! Reads back what [`crate::EventFile`] keeps.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::TopicPrefix;
use crate::cloud_event::MAX_EVENT_BYTES;
use crate::file::numbered;

/// Files put aside that are looked for at most.
const MAX_FILES: u32 = 100;

/// An event of the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct StoredEvent {
    /// Unique among the events of its source.
    pub id: String,
    /// Where it comes from: `/bulkhead/<application>/<component>`.
    pub source: String,
    /// Its topic.
    #[serde(rename = "type")]
    pub topic: String,
    /// What it is about.
    pub subject: Option<String>,
    /// When it happened, RFC 3339.
    pub time: String,
    /// What it says.
    #[serde(default)]
    pub data: Value,
    /// The event as it is kept, on one line.
    #[serde(skip)]
    pub json: String,
}

impl StoredEvent {
    fn parse(line: &[u8]) -> Option<Self> {
        let json = std::str::from_utf8(line).ok()?;
        let mut event: Self = serde_json::from_str(json).ok()?;
        event.json = json.to_owned();
        Some(event)
    }
}

/// The newest events that were kept.
#[derive(Debug)]
pub struct Newest {
    /// The events, the oldest first.
    pub events: Vec<StoredEvent>,
    /// Lines that are no event.
    pub unreadable: u64,
    /// Goes on after the newest.
    pub follower: Follower,
}

/// The newest `limit` events of some topics, from the file and those that were put aside. Where there is no file, there
/// are none.
///
/// # Errors
/// A file that is there cannot be read.
pub fn newest(path: &Path, prefix: &TopicPrefix, limit: usize) -> io::Result<Newest> {
    let mut unreadable = 0;
    let mut follower = Follower::new(path, prefix.clone());
    let mut newest = last_of(&mut follower, limit, &mut unreadable)?;
    // A file that is put aside meanwhile is met a second time.
    let mut seen: BTreeSet<(String, String)> = newest.iter().map(StoredEvent::key).collect();
    for number in 1..MAX_FILES {
        let older = numbered(path, number);
        if newest.len() >= limit || !older.exists() {
            break;
        }
        let mut reader = Follower::new(&older, prefix.clone());
        let events = last_of(&mut reader, limit, &mut unreadable)?;
        for event in events.into_iter().rev() {
            if newest.len() < limit && seen.insert(event.key()) {
                newest.push_front(event);
            }
        }
    }
    Ok(Newest {
        events: newest.into(),
        unreadable,
        follower,
    })
}

impl StoredEvent {
    fn key(&self) -> (String, String) {
        (self.source.clone(), self.id.clone())
    }
}

fn last_of(
    follower: &mut Follower,
    limit: usize,
    unreadable: &mut u64,
) -> io::Result<VecDeque<StoredEvent>> {
    let mut last = VecDeque::new();
    while let Some(event) = follower.next()? {
        last.push_back(event);
        if last.len() > limit {
            last.pop_front();
        }
    }
    *unreadable += follower.unreadable;
    Ok(last)
}

/// Reads the events of a file as they are added, also after it was put aside and begun anew.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    prefix: TopicPrefix,
    lines: Option<Lines>,
    unreadable: u64,
}

impl Follower {
    /// From the first event that the file has now. It need not be there yet.
    pub fn new(path: &Path, prefix: TopicPrefix) -> Self {
        Self {
            path: path.to_owned(),
            prefix,
            lines: None,
            unreadable: 0,
        }
    }

    /// The next event. None: there is none yet.
    ///
    /// # Errors
    /// The file cannot be read.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator's end is its end, and here more may come"
    )]
    pub fn next(&mut self) -> io::Result<Option<StoredEvent>> {
        loop {
            if self.lines.is_none() {
                self.lines = Lines::open(&self.path)?;
            }
            let Some(lines) = &mut self.lines else {
                return Ok(None);
            };
            let Some(line) = lines.next()? else {
                // A full file is put aside, so that the one after it begins shorter.
                let is_new = match std::fs::metadata(&self.path) {
                    Ok(metadata) => metadata.len() < lines.offset,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                    Err(error) => return Err(error),
                };
                if !is_new {
                    return Ok(None);
                }
                // What was added between the last look and its being put aside.
                let Some(line) = lines.next()? else {
                    self.lines = None;
                    continue;
                };
                if let Some(event) = self.event(&line) {
                    return Ok(Some(event));
                }
                continue;
            };
            if let Some(event) = self.event(&line) {
                return Ok(Some(event));
            }
        }
    }

    fn event(&mut self, line: &[u8]) -> Option<StoredEvent> {
        let event = StoredEvent::parse(line);
        if event.is_none() && !line.is_empty() {
            self.unreadable += 1;
        }
        event.filter(|event| self.prefix.covers(&event.topic))
    }
}

/// The whole lines of a file that may still grow.
#[derive(Debug)]
struct Lines {
    file: BufReader<File>,
    /// Bytes read.
    offset: u64,
    line: Vec<u8>,
    /// Whether the line that is being read is too long, and dropped.
    is_too_long: bool,
}

impl Lines {
    /// None: there is no such file.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                file: BufReader::new(file),
                offset: 0,
                line: Vec::new(),
                is_too_long: false,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next line without its end. One that is longer than an event is given as a text that is none. None: no whole
    /// line is there yet.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        const TOO_LONG: &[u8] = b"?";
        loop {
            let room = (MAX_EVENT_BYTES + 1).saturating_sub(self.line.len()) as u64;
            let mut part = (&mut self.file).take(room.max(1));
            let read = part.read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            self.offset += read as u64;
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
                let line = std::mem::take(&mut self.line);
                let is_too_long = std::mem::take(&mut self.is_too_long);
                return Ok(Some(if is_too_long { TOO_LONG.to_vec() } else { line }));
            }
            if self.line.len() > MAX_EVENT_BYTES {
                self.is_too_long = true;
                self.line.clear();
            }
        }
    }
}
