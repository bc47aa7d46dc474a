//! Compiled code, kept between starts.
//!
//! A component's machine code is stored under the hash of its bytes and of the engine's own compatibility hash
//! (version, target, settings), so that neither a changed component nor a changed engine ever meets old code. What
//! cannot be read, or was cut short, is compiled again.
//!
//! Loading compiled code means trusting it as much as the host's own binary. The folder is therefore made readable
//! and writable by its owner alone, each file carries a hash of its content, and the folder must not be shared.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

/// Where compiled code is kept.
#[derive(Debug, Clone)]
pub struct CodeCache {
    folder: Option<PathBuf>,
}

impl CodeCache {
    /// Keeps nothing: every start compiles.
    pub const fn none() -> Self {
        Self { folder: None }
    }

    /// Keeps code in `folder`, which is made when it is not there.
    pub fn at(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        private_folder(&folder)?;
        Ok(Self {
            folder: Some(folder),
        })
    }

    /// The component in `bytes`, from the cache or compiled.
    pub fn load(&self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
        let Some(folder) = &self.folder else {
            return Component::new(engine, bytes);
        };
        let path = folder.join(format!("{}.cwasm", key(engine, bytes)));
        if let Some(component) = read(engine, &path) {
            return Ok(component);
        }
        let code = engine.precompile_component(bytes)?;
        if let Err(error) = write(folder, &path, &code) {
            tracing::warn!(%error, path = %path.display(), "compiled code could not be kept");
        }
        // SAFETY: the bytes come from `precompile_component` of this very engine.
        unsafe { Component::deserialize(engine, &code) }
    }
}

/// Bytes of the hash in front of the code.
const HASH_BYTES: usize = blake3::OUT_LEN;

fn key(engine: &Engine, bytes: &[u8]) -> String {
    let mut hasher = KeyHasher(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.update(bytes);
    hasher.0.finalize().to_hex().to_string()
}

fn read(engine: &Engine, path: &Path) -> Option<Component> {
    let stored = fs::read(path).ok()?;
    let (hash, code) = stored.split_at_checked(HASH_BYTES)?;
    if blake3::hash(code).as_bytes() != hash {
        tracing::warn!(path = %path.display(), "compiled code is damaged and will be made again");
        return None;
    }
    // SAFETY: the folder belongs to this user alone, and the hash shows that the file holds what this program wrote
    // from `precompile_component`; the name holds the engine's compatibility hash.
    match unsafe { Component::deserialize(engine, code) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "compiled code does not load and will be made again");
            None
        }
    }
}

/// Writes beside and renames, so that no reader ever sees half a file.
fn write(folder: &Path, path: &Path, code: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!(".{}.{}", std::process::id(), file_name(path)));
    let written = (|| {
        let mut file = fs::File::create(&beside)?;
        file.write_all(blake3::hash(code).as_bytes())?;
        file.write_all(code)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        // Nothing to report beyond the error itself: a stray file is overwritten by the next try.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
        builder.mode(0o700);
        builder.create(folder)?;
        let meta = fs::metadata(folder)?;
        let writable_by_others = meta.permissions().mode() & 0o022 != 0;
        let own = fs::metadata("/proc/self").map_or(meta.uid(), |own| own.uid());
        if writable_by_others || meta.uid() != own {
            return Err(io::Error::other(format!(
                "{} holds compiled code and must belong to you and be writable by nobody else: type `chmod go-w {}`",
                folder.display(),
                folder.display(),
            )));
        }
        Ok(())
    }
    #[cfg(not(unix))]
    builder.create(folder)
}

/// Feeds what `Hash` gives into BLAKE3, since a 64-bit hash is too short a name for code.
struct KeyHasher(blake3::Hasher);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        let bytes = *self.0.finalize().as_bytes();
        u64::from_le_bytes([
            bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7],
        ])
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
