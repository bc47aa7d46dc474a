use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::export::hexadecimal;
use crate::{FileEntry, FileError, Format, Manifest, ManifestError};

/// Problems that are listed; more are only counted.
pub const MAX_PROBLEMS_LISTED: usize = 1_000;

/// A root is not what its manifest says.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Some of its files are not as it says.
    #[error("verify the export: {0}")]
    Problems(Problems),
}

/// All that is wrong with a root.
#[derive(Debug, Default)]
pub struct Problems {
    /// The first [`MAX_PROBLEMS_LISTED`].
    pub listed: Vec<Problem>,
    /// How many there are.
    pub count: u64,
}

impl Problems {
    fn add(&mut self, problem: Problem) {
        self.count += 1;
        if self.listed.len() < MAX_PROBLEMS_LISTED {
            self.listed.push(problem);
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem(s)", self.count)?;
        for problem in &self.listed {
            write!(f, "\n  {problem}")?;
        }
        let unlisted = self.count - self.listed.len() as u64;
        if unlisted > 0 {
            write!(f, "\n  and {unlisted} more")?;
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A path could lead out of the root.
    #[error("`{path}`: the path must stay in the root, with plain names between `/`")]
    UnsafePath {
        /// The path.
        path: String,
    },
    /// A file is named twice.
    #[error("`{path}`: the file is listed twice")]
    ListedTwice {
        /// The path.
        path: String,
    },
    /// A series has a name that no series has.
    #[error("`{path}`: {detail}")]
    Series {
        /// The path.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// A file is missing, cannot be read, or is a link.
    #[error("`{path}`: the file cannot be read: {source}")]
    Unreadable {
        /// The path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file has other bytes.
    #[error("`{path}`: its {what} is {actual}, the manifest says {expected}")]
    Differs {
        /// The path.
        path: String,
        /// In what.
        what: &'static str,
        /// What the file has.
        actual: String,
        /// What the manifest says.
        expected: String,
    },
    /// A file's rows cannot be read.
    #[error("`{path}`: its bars cannot be read: {detail}")]
    Rows {
        /// The path.
        path: String,
        /// Why.
        detail: String,
    },
    /// The sums of the manifest are not those of its files.
    #[error("manifest: `{what}` is {actual}, its files have {expected}")]
    Total {
        /// Which sum.
        what: &'static str,
        /// What the manifest says.
        actual: u64,
        /// What its files say.
        expected: u64,
    },
}

/// Reads every file of a root, and checks that it is there, with the bytes, the checksum, the rows and the open times
/// that the manifest says. Gives the manifest.
///
/// # Errors
/// The manifest cannot be read, or all that is wrong at once.
pub fn verify(root: &Path) -> Result<Manifest, VerifyError> {
    let manifest = Manifest::read(root)?;
    let mut problems = Problems::default();
    let mut paths = BTreeSet::new();
    for entry in &manifest.files {
        if !paths.insert(entry.path.as_str()) {
            problems.add(Problem::ListedTwice {
                path: entry.path.clone(),
            });
            continue;
        }
        if let Err(problem) = check_file(root, entry, manifest.format) {
            problems.add(problem);
        }
    }
    let total = |of: fn(&FileEntry) -> u64| {
        let sum = |sum: u64, entry| sum.saturating_add(of(entry));
        manifest.files.iter().fold(0, sum)
    };
    for (what, actual, expected) in [
        ("rows", manifest.rows, total(|entry| entry.rows)),
        ("bytes", manifest.bytes, total(|entry| entry.bytes)),
    ] {
        if actual != expected {
            problems.add(Problem::Total {
                what,
                actual,
                expected,
            });
        }
    }
    if problems.count > 0 {
        return Err(VerifyError::Problems(problems));
    }
    Ok(manifest)
}

fn check_file(root: &Path, entry: &FileEntry, format: Format) -> Result<(), Problem> {
    let path = || entry.path.clone();
    let Some(relative) = entry.relative_path() else {
        return Err(Problem::UnsafePath { path: path() });
    };
    entry.series.validate().map_err(|error| Problem::Series {
        path: path(),
        detail: error.to_string(),
    })?;
    let unreadable = |source| Problem::Unreadable {
        path: path(),
        source,
    };
    let file = open_within(root, relative).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    check_same(entry, "size in bytes", bytes, entry.bytes)?;
    let mut sha256 = Sha256::new();
    io::copy(&mut &file, &mut sha256).map_err(unreadable)?;
    let sha256_expected = entry.sha256.to_ascii_lowercase();
    check_same(entry, "sha256", hexadecimal(sha256), sha256_expected)?;
    check_rows(root, entry, format)
}

/// Opens a file of the root: no folder above it and not itself a link that leads elsewhere.
fn open_within(root: &Path, relative: &Path) -> io::Result<File> {
    let root = root.canonicalize()?;
    let expected = root.join(relative);
    let found = expected.canonicalize()?;
    if found != expected || !found.metadata()?.is_file() {
        let why = "it is no plain file in a plain folder of the root";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    File::open(found)
}

fn check_same<T: PartialEq + fmt::Display>(
    entry: &FileEntry,
    what: &'static str,
    actual: T,
    expected: T,
) -> Result<(), Problem> {
    if actual == expected {
        return Ok(());
    }
    Err(Problem::Differs {
        path: entry.path.clone(),
        what,
        actual: actual.to_string(),
        expected: expected.to_string(),
    })
}

fn check_rows(root: &Path, entry: &FileEntry, format: Format) -> Result<(), Problem> {
    let found = read_rows(&root.join(&entry.path), format).map_err(|detail| Problem::Rows {
        path: entry.path.clone(),
        detail,
    })?;
    check_same(entry, "number of bars", found.count, entry.rows)?;
    let (first, last) = (entry.first_open_time_ms, entry.last_open_time_ms);
    check_same(entry, "first open time", found.first_ms, first)?;
    check_same(entry, "last open time", found.last_ms, last)
}

/// The rows of a file.
#[derive(Default)]
struct Rows {
    count: u64,
    first_ms: i64,
    last_ms: i64,
}

fn read_rows(path: &Path, format: Format) -> Result<Rows, String> {
    let failed = |error: FileError| error.to_string();
    let mut reader = crate::open(path, format, None).map_err(failed)?;
    let mut found = Rows::default();
    let mut rows = Vec::new();
    loop {
        reader.read(&mut rows).map_err(failed)?;
        if rows.is_empty() {
            return Ok(found);
        }
        for row in rows.drain(..) {
            let bar = row.row.map_err(|error| format!("{}, {error}", row.place))?;
            if found.count == 0 {
                found.first_ms = bar.open_time_ms;
            }
            found.last_ms = bar.open_time_ms;
            found.count += 1;
        }
    }
}
