use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use bulkhead_store::Series;
use serde::{Deserialize, Serialize};

use crate::Format;

/// The name of the manifest in its root.
pub const MANIFEST_NAME: &str = "manifest.json";
/// The version of the manifest's form that is written and read.
pub const MANIFEST_VERSION: u32 = 1;
/// The largest manifest that is read, in bytes.
pub const MAX_MANIFEST_BYTES: u64 = 128 * 1024 * 1024;
/// The most files of one root: a hundred symbols for five years. They fit [`MAX_MANIFEST_BYTES`].
pub const MAX_FILES: usize = 200_000;

/// What an exported root has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// When it was made, in RFC 3339.
    pub generated_at: String,
    /// The form of all files.
    pub format: Format,
    /// The files; those of a series ascend by open time.
    pub files: Vec<FileEntry>,
    /// The bars of all files.
    pub rows: u64,
    /// The bytes of all files.
    pub bytes: u64,
}

/// One file of a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Where it is, from the root, with `/` between folders.
    pub path: String,
    /// Whose bars it has.
    pub series: Series,
    /// The date on which all of them open, in UTC: `2022-01-01`.
    pub date: String,
    /// How many bars.
    pub rows: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
    /// When the first bar opens, in Unix milliseconds.
    pub first_open_time_ms: i64,
    /// When the last bar opens, in Unix milliseconds.
    pub last_open_time_ms: i64,
    /// Digits after the decimal point of the series' prices.
    pub price_scale: u8,
    /// Digits after the decimal point of the series' volumes.
    pub volume_scale: u8,
}

impl FileEntry {
    /// Its path, which does not leave the root. None: it would, or is no path of plain names.
    pub(crate) fn relative_path(&self) -> Option<&Path> {
        let path = Path::new(&self.path);
        let is_plain = !self.path.contains(['\\', '\0'])
            && self.path.split('/').all(|name| !name.is_empty())
            && path
                .components()
                .all(|component| matches!(component, Component::Normal(_)));
        is_plain.then_some(path)
    }
}

/// A manifest cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not there, or cannot be read.
    #[error("read manifest `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than is read.
    #[error("read manifest `{}`: it is larger than {MAX_MANIFEST_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It has another form.
    #[error("read manifest `{}`", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It has a version that is not known.
    #[error(
        "read manifest `{}`: its version is {version}, expected {MANIFEST_VERSION}",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It cannot be written.
    #[error("write manifest `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The part of a manifest that every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl Manifest {
    /// Reads the manifest of a root. Whether the files are as it says, [`crate::verify`] tells.
    ///
    /// # Errors
    /// It cannot be read, is too large, or has another form or version.
    pub fn read(root: &Path) -> Result<Self, ManifestError> {
        let path = root.join(MANIFEST_NAME);
        let failed = |source| ManifestError::Read {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(failed)?;
        let mut text = Vec::new();
        file.take(MAX_MANIFEST_BYTES + 1)
            .read_to_end(&mut text)
            .map_err(failed)?;
        if text.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { path });
        }
        let malformed = |source| ManifestError::Malformed {
            path: path.clone(),
            source,
        };
        let Versioned { version } = serde_json::from_slice(&text).map_err(malformed)?;
        if version != u64::from(MANIFEST_VERSION) {
            return Err(ManifestError::Version { path, version });
        }
        serde_json::from_slice(&text).map_err(malformed)
    }

    /// Writes it into a root, durably.
    pub(crate) fn write(&self, root: &Path) -> Result<(), ManifestError> {
        let path = root.join(MANIFEST_NAME);
        let write = || {
            let mut text = serde_json::to_vec_pretty(self)?;
            text.push(b'\n');
            let mut file = File::create_new(&path)?;
            file.write_all(&text)?;
            file.sync_all()
        };
        write().map_err(|source| ManifestError::Write {
            path: path.clone(),
            source,
        })
    }
}
