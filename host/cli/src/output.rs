//! stdout for data, stderr for talk.

use std::io::{self, IsTerminal, Write as _};

use serde::Serialize;

/// Prints to stdout. A closed pipe is no error: whoever read it has read enough.
pub fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// Prints one line to stdout.
pub fn line(text: impl AsRef<str>) -> anyhow::Result<()> {
    print(&format!("{}\n", text.as_ref()))
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
    eprintln!("{mark}error{plain}: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  caused by: {cause}");
    }
}

/// Says something that is not data.
pub fn talk(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
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
