//! Events in a file, one a line, the newest last. A file that is full becomes `NAME.1`, that one `NAME.2`, and so on.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bus::{Handler, HandlerError};
use crate::cloud_event::{CloudEvent, MAX_EVENT_BYTES};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileBounds {
    /// Bytes of one file. At least the longest event.
    pub file_bytes: u64,
    /// Files, the one that is written included. At least 1.
    pub files: u32,
}

/// 80 MiB in all: days of a deployment that assesses itself each minute.
impl Default for FileBounds {
    fn default() -> Self {
        Self {
            file_bytes: 16 << 20,
            files: 5,
        }
    }
}

/// One variant for each operation that can fail.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file was not opened.
    #[error("open the event file `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A full file was not put aside.
    #[error("put the full event file `{}` aside", path.display())]
    Rotate {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Events were not written.
    #[error("write to the event file `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The handler that keeps events in a file. Only one may be open for a path at a time.
///
/// Lines are whole when the process ends; that they are on the disk is left to the system.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    bounds: FileBounds,
    file: File,
    bytes: u64,
    /// Whether the file ends within a line, which then stays for itself.
    is_torn: bool,
}

impl EventFile {
    /// Opens a file to append to it; a new one is readable by its owner alone.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, bounds: FileBounds) -> Result<Self, FileError> {
        let opened = open(path).and_then(|mut file| {
            let bytes = file.metadata()?.len();
            let mut last = [b'\n'];
            if bytes > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            Ok((file, bytes, last != [b'\n']))
        });
        let (file, bytes, is_torn) = opened.map_err(|source| FileError::Open {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            bounds: FileBounds {
                file_bytes: bounds.file_bytes.max(MAX_EVENT_BYTES as u64 + 2),
                files: bounds.files.max(1),
            },
            file,
            bytes,
            is_torn,
        })
    }

    fn append(&mut self, lines: &mut Vec<u8>) -> Result<(), FileError> {
        if lines.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(lines);
        let length = lines.len() as u64;
        lines.clear();
        match written {
            Ok(()) => {
                self.bytes += length;
                self.is_torn = false;
                Ok(())
            }
            Err(source) => {
                // A part may be there.
                self.is_torn = true;
                self.bytes = self.file.metadata().map_or(self.bytes, |it| it.len());
                Err(FileError::Write {
                    path: self.path.clone(),
                    source,
                })
            }
        }
    }

    /// Puts the file aside and begins a new one. After an error nothing is added to the full one, and however often this
    /// is tried again, no other is put aside for it.
    fn rotate(&mut self) -> Result<(), FileError> {
        self.file = self.begin_anew().map_err(|source| FileError::Rotate {
            path: self.path.clone(),
            source,
        })?;
        self.bytes = 0;
        self.is_torn = false;
        Ok(())
    }

    /// The new file is there before an old one moves, so that nothing moves for one that cannot be opened.
    fn begin_anew(&self) -> io::Result<File> {
        let mut unnamed = self.path.as_os_str().to_owned();
        unnamed.push(".new");
        let unnamed = PathBuf::from(unnamed);
        let file = open(&unnamed)?;
        // One that a process left behind as it ended.
        file.set_len(0)?;
        // Up to the first name that is free: those beyond it have moved already, at an attempt that failed.
        let mut last = 0;
        while last + 1 < self.bounds.files && numbered(&self.path, last).try_exists()? {
            last += 1;
        }
        for number in (1..=last).rev() {
            std::fs::rename(
                numbered(&self.path, number - 1),
                numbered(&self.path, number),
            )?;
        }
        std::fs::rename(&unnamed, &self.path)?;
        Ok(file)
    }
}

impl Handler for EventFile {
    fn handle(&mut self, events: &[Arc<CloudEvent>]) -> Result<(), HandlerError> {
        let mut lines = Vec::new();
        for event in events {
            let line = event.as_json();
            let after = self.bytes + lines.len() as u64 + line.len() as u64 + 2;
            if after > self.bounds.file_bytes {
                self.append(&mut lines)?;
                self.rotate()?;
            }
            if self.is_torn && lines.is_empty() {
                lines.push(b'\n');
            }
            lines.extend_from_slice(line.as_bytes());
            lines.push(b'\n');
        }
        Ok(self.append(&mut lines)?)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Where the file is that was put aside `number` times; 0: the one that is written.
pub(crate) fn numbered(path: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}
