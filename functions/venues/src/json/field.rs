//! One field as its JSON text, and the types that venues put into fields.

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::{Read, read_text};
use crate::error::cut;
use crate::{decimal, time};

/// The longest text that a field may hold, in bytes: symbols, ids, tokens and messages are shorter.
const MAX_TEXT_BYTES: usize = 4_096;

/// A field of an element.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    name: &'static str,
    /// Its JSON text. None: the element has no such field.
    text: Option<&'a str>,
}

/// What is wrong with which field.
#[derive(Debug)]
pub(crate) struct FieldFault {
    pub(super) field: &'static str,
    pub(super) detail: String,
}

impl<'a> Field<'a> {
    pub(super) const fn new(name: &'static str, text: Option<&'a str>) -> Self {
        Self { name, text }
    }

    pub(crate) fn fault(&self, detail: impl Into<String>) -> FieldFault {
        FieldFault {
            field: self.name,
            detail: detail.into(),
        }
    }

    fn expected(&self, what: &str) -> FieldFault {
        let found = match self.text.and_then(|text| text.bytes().next()) {
            None => "nothing",
            Some(b'"') => "a text",
            Some(b'[') => "an array",
            Some(b'{') => "an object",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            Some(_) => "a number",
        };
        self.fault(format!("expected {what}, found {found}"))
    }

    fn unreadable(&self, what: &str) -> FieldFault {
        let text = cut(self.text.unwrap_or_default());
        self.fault(format!("{text} is no {what}"))
    }

    /// None: the field is missing or null.
    pub(crate) fn optional(self) -> Option<Self> {
        self.text.filter(|text| *text != "null").map(|_| self)
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the element has no such field.
    pub(crate) const fn is_missing(&self) -> bool {
        self.text.is_none()
    }

    /// Whether the field is there and holds null.
    pub(crate) fn is_null(&self) -> bool {
        self.text == Some("null")
    }

    /// The JSON text of a number.
    fn number(&self) -> Option<&'a str> {
        self.text
            .filter(|text| matches!(text.as_bytes(), [b'-' | b'0'..=b'9', ..]))
    }

    /// A whole number of 64 bits.
    pub(crate) fn integer(&self) -> Result<i64, FieldFault> {
        let number = self.number().ok_or_else(|| self.expected("an integer"))?;
        number
            .parse()
            .map_err(|_| self.unreadable("integer of 64 bits"))
    }

    /// A whole number, not below zero.
    pub(crate) fn count(&self) -> Result<u32, FieldFault> {
        let integer = self.integer()?;
        u32::try_from(integer).map_err(|_| self.unreadable("count"))
    }

    /// A decimal as Binance writes it: a text in plain notation.
    pub(crate) fn text_decimal(&self) -> Result<Decimal, FieldFault> {
        decimal::plain(self.quoted()?).ok_or_else(|| self.unreadable("exact decimal"))
    }

    /// A decimal as Alpaca writes it: a JSON number, read from its text.
    pub(crate) fn number_decimal(&self) -> Result<Decimal, FieldFault> {
        let number = self.number().ok_or_else(|| self.expected("a number"))?;
        decimal::number(number).ok_or_else(|| self.unreadable("exact decimal"))
    }

    /// A text.
    pub(crate) fn text(&self) -> Result<Cow<'a, str>, FieldFault> {
        let quoted = self.quoted()?;
        if quoted.len() > MAX_TEXT_BYTES {
            return Err(self.fault(format!(
                "{} bytes of text, at most {MAX_TEXT_BYTES} are read",
                quoted.len()
            )));
        }
        if quoted.contains('\\') {
            let text = serde_json::from_str(self.text.unwrap_or_default());
            return text.map(Cow::Owned).map_err(|_| self.unreadable("text"));
        }
        Ok(Cow::Borrowed(quoted))
    }

    /// What stands between the quotation marks, escapes as they are: neither a decimal nor a time has any.
    fn quoted(&self) -> Result<&'a str, FieldFault> {
        self.text
            .and_then(|text| text.strip_prefix('"')?.strip_suffix('"'))
            .ok_or_else(|| self.expected("a text"))
    }

    /// A text that is kept.
    pub(crate) fn string(&self) -> Result<String, FieldFault> {
        self.text().map(Cow::into_owned)
    }

    /// An identifier: a whole number, or a text, as its digits or characters.
    pub(crate) fn id(&self) -> Result<String, FieldFault> {
        match self.number() {
            Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(number.to_owned())
            }
            Some(_) => Err(self.unreadable("id")),
            None => self.string(),
        }
    }

    /// A boolean.
    pub(crate) fn boolean(&self) -> Result<bool, FieldFault> {
        match self.text {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(self.expected("a boolean")),
        }
    }

    /// An RFC 3339 time, in Unix nanoseconds.
    pub(crate) fn time_ns(&self) -> Result<i64, FieldFault> {
        time::unix_nanos(self.quoted()?).ok_or_else(|| self.unreadable("RFC 3339 time"))
    }

    /// An RFC 3339 time without parts of a millisecond, in Unix milliseconds.
    pub(crate) fn time_ms(&self) -> Result<i64, FieldFault> {
        let nanos = self.time_ns()?;
        if nanos % time::NANOS_PER_MILLI != 0 {
            return Err(self.unreadable("time in whole milliseconds"));
        }
        Ok(nanos / time::NANOS_PER_MILLI)
    }

    /// Unix milliseconds, in Unix nanoseconds.
    pub(crate) fn millis_as_ns(&self) -> Result<i64, FieldFault> {
        self.integer()?
            .checked_mul(time::NANOS_PER_MILLI)
            .ok_or_else(|| self.unreadable("time in Unix milliseconds"))
    }

    /// What stands in the field, with at most `limit` elements.
    pub(crate) fn read<T: Read<'a>>(&self, limit: usize) -> Result<T, FieldFault> {
        let text = self.text.ok_or_else(|| self.expected("a value"))?;
        read_text(text, limit).map_err(|error| self.fault(error.to_string()))
    }
}

/// A list of texts.
pub(crate) struct Text(pub(crate) String);

impl<'a> Read<'a> for Text {
    fn read<D: serde::Deserializer<'a>>(source: D, _: &super::Context) -> Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(source).map(Self)
    }
}
