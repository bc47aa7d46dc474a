//! stdout for data, stderr for talk.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What was typed, or set in the environment, cannot be meant.
#[derive(Debug)]
pub struct WrongUsage(pub String);

impl WrongUsage {
    /// As clap ends the process when it cannot read what was typed.
    pub const EXIT_STATUS: u8 = 2;
}

impl std::fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}

/// Prints to stdout. A closed pipe is no error: whoever read it has read enough.
pub fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Prints one line to stdout.
pub fn line(text: impl AsRef<str>) -> anyhow::Result<()> {
    print(&format!("{}\n", harmless(text.as_ref())))
}

/// Text for a terminal that it cannot be steered by: part of it may come from a guest or a venue.
pub fn harmless(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// Prints a value as JSON to stdout, indented.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(serde_json::to_string_pretty(value)?)
}

/// Says what went wrong, and why, cause by cause.
pub fn complain(error: &anyhow::Error) {
    let (mark, plain) = if wants_colour(&io::stderr()) {
        ("\u{1b}[1;31m", "\u{1b}[0m")
    } else {
        ("", "")
    };
    eprintln!("{mark}error{plain}: {}", harmless(&error.to_string()));
    for cause in error.chain().skip(1) {
        eprintln!("  caused by: {}", harmless(&cause.to_string()));
    }
}

/// Says something that is not data.
pub fn talk(text: impl AsRef<str>) {
    eprintln!("{}", harmless(text.as_ref()));
}

/// Writes a file as a whole: whoever reads it finds what was there before or all of `content`. What is no regular
/// file, such as a pipe, is written as it stands.
pub fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let path = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => fs::canonicalize(path)?,
        Ok(_) => return fs::write(path, content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let beside = beside(&path);
    let written = File::create(&beside)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // It may never have been made; the error that is told is the first one.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Where the next content of `path` is written: in the same folder, so that it can take the file's place in one step.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Whether a stream is a terminal whose user has not asked for plain text (`NO_COLOR`).
pub fn wants_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// An instant as RFC 3339 in UTC.
pub fn instant(unix_ms: i64) -> String {
    chrono::DateTime::from_timestamp_millis(unix_ms).map_or_else(
        || format!("{unix_ms} ms"),
        |instant| instant.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("artifact.json");
        write_file(&path, b"a longer text").unwrap();
        let old = File::open(&path).unwrap();
        write_file(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(
            io::read_to_string(old).unwrap(),
            "a longer text",
            "whoever has the old one open goes on reading it"
        );
        assert_eq!(names(folder.path()), ["artifact.json"]);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write_file(&folder.path().join("nowhere/artifact.json"), b"x").is_err());
        assert!(write_file(folder.path(), b"x").is_err());
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_to_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write_file(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
