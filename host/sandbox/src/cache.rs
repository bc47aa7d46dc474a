//! Compiled code, kept between starts.
//!
//! A component's machine code is stored under the hash of its bytes and of the engine's own compatibility hash
//! (version, target, settings), so that neither a changed component nor a changed engine ever meets old code. What
//! cannot be read, or was cut short, is compiled again.
//!
//! Opening the cache removes the oldest code beyond [`MAX_ENTRIES`] and [`MAX_BYTES`]. What is missing later is compiled.
//!
//! Loading compiled code means trusting it as much as the host's own binary. The folder is therefore made readable
//! and writable by its owner alone, each file carries a hash of its content, and the folder must not be shared.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use wasmtime::Engine;
use wasmtime::component::Component;

/// Compiled components that are kept: those of a few deployments and their versions.
pub const MAX_ENTRIES: usize = 128;

/// Bytes of compiled components that are kept.
pub const MAX_BYTES: u64 = 512 << 20;

/// How the name of a compiled component's file ends, also while it is being written.
const EXTENSION: &str = "cwasm";

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

    /// Keeps code in `folder`, which is made when it is not there, and removes the oldest code that is too much.
    pub fn at(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        private_folder(&folder)?;
        prune(&folder, MAX_ENTRIES, MAX_BYTES)?;
        Ok(Self {
            folder: Some(folder),
        })
    }

    /// The component in `bytes`, from the cache or compiled.
    pub fn load(&self, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
        let Some(folder) = &self.folder else {
            return Component::new(engine, bytes);
        };
        let path = folder.join(format!("{}.{EXTENSION}", key(engine, bytes)));
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

/// Removes the oldest files beyond `max_entries` or `max_bytes`.
fn prune(folder: &Path, max_entries: usize, max_bytes: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // One that is gone by now was renamed or removed by another process.
        let Ok(meta) = fs::metadata(&path) else {
            continue;
        };
        if meta.is_file() && path.extension().is_some_and(|end| end == EXTENSION) {
            files.push((meta.modified()?, meta.len(), path));
        }
    }
    files.sort_by(|(a, ..), (b, ..)| b.cmp(a));
    let mut bytes = 0_u64;
    for (index, (_, len, path)) in files.into_iter().enumerate() {
        bytes = bytes.saturating_add(len);
        if index < max_entries && bytes <= max_bytes {
            continue;
        }
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "old compiled code could not be removed");
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// Files of three bytes, the later the newer.
    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (age, name) in (1..).zip(names) {
            let mut file = fs::File::create(folder.path().join(name)).unwrap();
            file.write_all(b"abc").unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(age))
                .unwrap();
        }
        folder
    }

    fn left(folder: &tempfile::TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| file_name(&entry.unwrap().path()))
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_code_beyond_the_bounds_is_removed_and_nothing_else() {
        let names = ["notes.txt", "a.cwasm", ".7.b.cwasm", "c.cwasm", "d.cwasm"];
        let check = |max_entries, max_bytes, expect: &[&str]| {
            let folder = folder(&names);
            prune(folder.path(), max_entries, max_bytes).unwrap();
            assert_eq!(left(&folder), expect);
        };
        check(2, 100, &["c.cwasm", "d.cwasm", "notes.txt"]);
        check(100, 7, &["c.cwasm", "d.cwasm", "notes.txt"]);
        check(
            4,
            12,
            &[".7.b.cwasm", "a.cwasm", "c.cwasm", "d.cwasm", "notes.txt"],
        );
    }

    /// The smallest component, and one with the smallest module in it.
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const ANOTHER: &[u8] = b"\0asm\x0d\0\x01\0\x01\x08\0asm\x01\0\0\0";

    /// The one file in the folder.
    fn kept(folder: &tempfile::TempDir) -> PathBuf {
        let names = left(folder);
        assert_eq!(names.len(), 1, "{names:?}");
        folder.path().join(&names[0])
    }

    /// Puts `content` in place of what is kept of [`COMPONENT`], loads that, and tells whether it was compiled anew.
    fn is_made_again(folder: &tempfile::TempDir, engine: &Engine, content: &[u8]) -> bool {
        let path = kept(folder);
        fs::write(&path, content).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
        let cache = CodeCache::at(folder.path()).unwrap();
        cache.load(engine, COMPONENT).unwrap();
        fs::metadata(kept(folder)).unwrap().modified().unwrap() != UNIX_EPOCH
    }

    #[test]
    fn code_that_is_damaged_or_cut_short_is_compiled_anew() {
        let engine = Engine::default();
        let folder = tempfile::tempdir().unwrap();
        let cache = CodeCache::at(folder.path()).unwrap();
        cache.load(&engine, COMPONENT).unwrap();
        let whole = fs::read(kept(&folder)).unwrap();
        assert!(!is_made_again(&folder, &engine, &whole));

        let code = engine.precompile_component(ANOTHER).unwrap();
        let other_code = [&whole[..HASH_BYTES], &code].concat();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [
            &whole[..whole.len() - 1],
            &whole[..HASH_BYTES],
            &whole[..3],
            &[],
            &flipped,
            &other_code,
        ] {
            assert!(is_made_again(&folder, &engine, damaged));
            assert_eq!(fs::read(kept(&folder)).unwrap(), whole);
        }
    }

    #[test]
    fn another_component_and_another_engine_have_entries_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CodeCache::at(folder.path()).unwrap();
        let engine = Engine::default();
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let other_engine = Engine::new(&config).unwrap();
        for (engine, component, entries) in [
            (&engine, COMPONENT, 1),
            (&engine, ANOTHER, 2),
            (&other_engine, COMPONENT, 3),
            (&engine, COMPONENT, 3),
        ] {
            cache.load(engine, component).unwrap();
            assert_eq!(left(&folder).len(), entries);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_write_is_refused_and_a_new_one_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("code");
        CodeCache::at(&folder).unwrap();
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        for (mode, refused) in [
            (0o720, true),
            (0o702, true),
            (0o777, true),
            (0o755, false),
            (0o700, false),
        ] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
            let opened = CodeCache::at(&folder);
            assert_eq!(opened.is_err(), refused, "{mode:o}: {opened:?}");
        }
    }

    #[test]
    fn opening_the_cache_removes_what_is_too_much() {
        let names: Vec<String> = (0..MAX_ENTRIES + 3).map(|n| format!("{n}.cwasm")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let folder = folder(&names);
        CodeCache::at(folder.path()).unwrap();
        assert_eq!(left(&folder).len(), MAX_ENTRIES);
        assert!(!folder.path().join("2.cwasm").exists());
        assert!(folder.path().join("3.cwasm").exists());
    }
}
