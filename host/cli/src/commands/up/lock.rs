//! One `up` for each data folder: two would run the same schedules twice.
//!
//! The lock is the operating system's on an open file, so that it ends with the process, however that ends; the file
//! stays. What it holds is only told to whoever comes second.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, bail};

/// The lock's file in the data folder.
const FILE_NAME: &str = "up.lock";

/// Most bytes that are read of what the holder says about itself.
const MAX_HOLDER_BYTES: u64 = 256;

/// The right to run the schedules of a data folder, until dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of `data_dir`, which exists.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be used.
    pub fn take(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(FILE_NAME);
        let failed = || format!("locking {} failed", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).with_context(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another `bulkhead up` runs on the data folder {}: {}\n\nhint: end that one, or name another folder with --data-dir",
                data_dir.display(),
                holder(&file)
            ),
            Err(TryLockError::Error(error)) => return Err(error).with_context(failed),
        }
        file.set_len(0).with_context(failed)?;
        write!(file, "process {}", std::process::id()).with_context(failed)?;
        Ok(Self { file })
    }

    /// Adds where HTTP is served to what whoever comes second is told.
    pub fn tell(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        write!(self.file, ", http://{address}").context("writing into the lock's file failed")
    }
}

/// What the holder says about itself.
fn holder(file: &File) -> String {
    let mut text = Vec::new();
    match file.take(MAX_HOLDER_BYTES).read_to_end(&mut text) {
        Ok(_) if !text.is_empty() => String::from_utf8_lossy(&text).into_owned(),
        // It has only just taken the lock, or the system keeps its content locked too.
        _ => "an unknown process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_the_lock_and_gets_it_once_the_first_has_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Lock::take(folder.path()).unwrap();
        first.tell("127.0.0.1:3000".parse().unwrap()).unwrap();
        let error = Lock::take(folder.path()).unwrap_err().to_string();
        let holder = format!("process {}, http://127.0.0.1:3000", std::process::id());
        assert!(error.contains(&holder), "{error}");
        assert!(error.contains("--data-dir"), "{error}");
        drop(first);
        Lock::take(folder.path()).unwrap();
    }
}
