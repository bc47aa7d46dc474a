//! What is wrong with a manifest, and where.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// No manifest yields more problems than this; what is beyond is counted, not described.
pub const MAX_PROBLEMS: usize = 1_000;
/// The longest piece of a source line shown under a problem, in characters.
const MAX_EXCERPT_CHARS: usize = 160;
/// How much of a long line is shown before the column at fault, in characters.
const EXCERPT_LEAD_CHARS: usize = 60;
/// The longest piece of the manifest's own text quoted in a message, in characters.
const MAX_QUOTED_CHARS: usize = 80;

/// One mistake in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The manifest's name, as it was given to the reader.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters (Unicode scalar values).
    pub column: usize,
    /// What is wrong, on one line.
    pub message: String,
    /// What would put it right, if that is known.
    pub hint: Option<String>,
    #[serde(skip)]
    excerpt: Excerpt,
}

/// The piece of the source line that is shown, and what is underlined in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    text: String,
    caret_chars: Range<usize>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
            hint,
            excerpt,
        } = self;
        writeln!(f, "{file}:{line}:{column}: {message}")?;
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let indent: String = excerpt
            .text
            .chars()
            .take(excerpt.caret_chars.start)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let carets = "^".repeat(excerpt.caret_chars.len().max(1));
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{}", format!("{number} | {}", excerpt.text).trim_end())?;
        write!(f, "{gutter} | {indent}{carets}")?;
        match hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// All the mistakes of a manifest, in the order in which they stand in it. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems {
    list: Vec<Problem>,
    #[serde(skip)]
    omitted: usize,
}

impl Problems {
    /// The problems, ascending by line, then by column.
    pub fn as_slice(&self) -> &[Problem] {
        &self.list
    }

    /// How many more there are than [`MAX_PROBLEMS`].
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{problem}")?;
        }
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, "\n\nand {omitted} more problems"),
        }
    }
}

/// Where in the manifest's text something stands: a range of bytes.
pub(crate) type Span = Range<usize>;

/// The manifest's text, and where its lines begin.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    file: String,
    text: String,
    line_starts: Vec<usize>,
}

impl Source {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let line_starts = std::iter::once(0).chain(
            text.bytes()
                .enumerate()
                .filter(|(_, b)| *b == b'\n')
                .map(|(at, _)| at + 1),
        );
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            line_starts: line_starts.collect(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The line, from 1, in which a byte stands.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    fn problem(&self, span: &Span, message: String, hint: Option<String>) -> Problem {
        let at = floor_char_boundary(&self.text, span.start);
        let line = self.line(at);
        let line_start = self.line_starts.get(line - 1).copied().unwrap_or(0);
        let line_end = self
            .line_starts
            .get(line)
            .copied()
            .unwrap_or(self.text.len());
        let line_text = self
            .text
            .get(line_start..line_end)
            .unwrap_or("")
            .trim_end_matches(['\n', '\r']);
        let before = self.text.get(line_start..at).unwrap_or("").chars().count();
        let end = floor_char_boundary(&self.text, span.end).clamp(at, line_end);
        let width = self
            .text
            .get(at..end)
            .unwrap_or("")
            .trim_end()
            .chars()
            .count();

        let skipped = if line_text.chars().count() > MAX_EXCERPT_CHARS {
            before.saturating_sub(EXCERPT_LEAD_CHARS)
        } else {
            0
        };
        let shown = line_text.chars().skip(skipped).take(MAX_EXCERPT_CHARS);
        let text: String = shown
            .map(|c| {
                if c.is_control() && c != '\t' {
                    '\u{fffd}'
                } else {
                    c
                }
            })
            .collect();
        let caret_start = before - skipped;
        let caret_end = (caret_start + width).min(text.chars().count().max(caret_start));
        let excerpt = Excerpt {
            text,
            caret_chars: caret_start..caret_end,
        };
        Problem {
            file: self.file.clone(),
            line,
            column: before + 1,
            message,
            hint,
            excerpt,
        }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The problems found so far.
#[derive(Debug)]
pub(crate) struct Findings<'s> {
    pub(crate) source: &'s Source,
    list: Vec<Problem>,
    omitted: usize,
}

impl<'s> Findings<'s> {
    pub(crate) fn new(source: &'s Source) -> Self {
        Self {
            source,
            list: Vec::new(),
            omitted: 0,
        }
    }

    pub(crate) fn add(&mut self, span: &Span, message: impl Into<String>) {
        self.push(span, message.into(), None);
    }

    pub(crate) fn add_with_hint(
        &mut self,
        span: &Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(span, message.into(), Some(hint.into()));
    }

    pub(crate) fn push(&mut self, span: &Span, message: String, hint: Option<String>) {
        if self.list.len() == MAX_PROBLEMS {
            self.omitted += 1;
        } else {
            self.list.push(self.source.problem(span, message, hint));
        }
    }

    /// The line, from 1, in which a span begins.
    pub(crate) fn line(&self, span: &Span) -> usize {
        self.source.line(span.start)
    }

    /// Gives the value if nothing was found, or else all that was found, sorted and each of them once.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Problems> {
        let mut list = self.list;
        if list.is_empty() {
            return Ok(value);
        }
        list.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
        list.dedup();
        Err(Problems {
            list,
            omitted: self.omitted,
        })
    }
}

/// Text of the manifest for a message: in backticks, bounded, and with no control character.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown = String::from("`");
    for (index, c) in text.chars().enumerate() {
        if index == MAX_QUOTED_CHARS {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.push('`');
    shown
}
