//! Elements: objects with named fields, and arrays whose places have names.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::{Context, Field, FieldFault, Read};

/// Reads an object: `make` gets the fields in the order of `names`.
pub(crate) fn object<'a, D, T, M, const N: usize>(
    source: D,
    context: &Context,
    names: [&'static str; N],
    make: M,
) -> Result<T, D::Error>
where
    D: Deserializer<'a>,
    M: FnOnce([Field<'a>; N]) -> Result<T, FieldFault>,
{
    source
        .deserialize_map(ObjectVisitor {
            context,
            member: None,
            names,
            make: |_: Option<Nothing>, fields| make(fields),
            inner: PhantomData,
        })
        .map_err(|error| at_fault(context, names[0], error))
}

/// Reads an object whose `member` is an element or a list of them: it is read as it comes, not by its text.
pub(crate) fn nested<'a, D, U, T, M, const N: usize>(
    source: D,
    context: &Context,
    member: &'static str,
    names: [&'static str; N],
    make: M,
) -> Result<T, D::Error>
where
    D: Deserializer<'a>,
    U: Read<'a>,
    M: FnOnce(U, [Field<'a>; N]) -> Result<T, FieldFault>,
{
    nested_optional(
        source,
        context,
        member,
        names,
        |inner, fields| match inner {
            Some(inner) => make(inner, fields),
            None => Err(FieldFault {
                field: member,
                detail: "expected a value, found nothing".to_owned(),
            }),
        },
    )
}

/// As [`nested`], of an object that may have no such member.
pub(crate) fn nested_optional<'a, D, U, T, M, const N: usize>(
    source: D,
    context: &Context,
    member: &'static str,
    names: [&'static str; N],
    make: M,
) -> Result<T, D::Error>
where
    D: Deserializer<'a>,
    U: Read<'a>,
    M: FnOnce(Option<U>, [Field<'a>; N]) -> Result<T, FieldFault>,
{
    source
        .deserialize_map(ObjectVisitor {
            context,
            member: Some(member),
            names,
            make,
            inner: PhantomData,
        })
        .map_err(|error| at_fault(context, member, error))
}

/// Reads an array: `make` gets its first elements, which `names` names. Those after them are not looked at.
pub(crate) fn row<'a, D, T, M, const N: usize>(
    source: D,
    context: &Context,
    names: [&'static str; N],
    make: M,
) -> Result<T, D::Error>
where
    D: Deserializer<'a>,
    M: FnOnce([Field<'a>; N]) -> Result<T, FieldFault>,
{
    source
        .deserialize_seq(RowVisitor {
            context,
            names,
            make,
        })
        .map_err(|error| at_fault(context, names[0], error))
}

/// What is no element at all is at fault in its first field.
fn at_fault<E: serde::de::Error>(context: &Context, field: &'static str, error: E) -> E {
    if context.fault.borrow().is_none() {
        let detail = error.to_string();
        let _: E = context.fault(FieldFault { field, detail });
    }
    error
}

/// The member of an object that has none to be read as it comes.
enum Nothing {}

impl<'a> Read<'a> for Nothing {
    fn read<D: Deserializer<'a>>(_: D, _: &Context) -> Result<Self, D::Error> {
        Err(D::Error::custom("nothing is read here"))
    }
}

struct ObjectVisitor<'c, U, M, const N: usize> {
    context: &'c Context,
    member: Option<&'static str>,
    names: [&'static str; N],
    make: M,
    inner: PhantomData<U>,
}

impl<'a, U, T, M, const N: usize> Visitor<'a> for ObjectVisitor<'_, U, M, N>
where
    U: Read<'a>,
    M: FnOnce(Option<U>, [Field<'a>; N]) -> Result<T, FieldFault>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<T, A::Error> {
        let Self {
            context,
            member,
            names,
            make,
            ..
        } = self;
        let twice = |field| {
            context.fault(FieldFault {
                field,
                detail: "given twice".to_owned(),
            })
        };
        let mut texts = [None; N];
        let mut inner = None;
        while let Some(key) = entries.next_key_seed(KeySeed {
            member,
            names: &names,
        })? {
            match key {
                Key::Field(place) => {
                    let raw: &'a RawValue = entries.next_value()?;
                    if texts[place].replace(raw.get()).is_some() {
                        return Err(twice(names[place]));
                    }
                }
                Key::Member(name) => {
                    let value = entries
                        .next_value_seed(context.seed::<U>())
                        .map_err(|error| context.within_member(name, error))?;
                    if inner.replace(value).is_some() {
                        return Err(twice(name));
                    }
                }
                Key::Unknown => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        let fields = std::array::from_fn(|place| Field::new(names[place], texts[place]));
        make(inner, fields).map_err(|fault| context.fault(fault))
    }
}

enum Key {
    Field(usize),
    Member(&'static str),
    Unknown,
}

struct KeySeed<'n, const N: usize> {
    member: Option<&'static str>,
    names: &'n [&'static str; N],
}

impl<'a, const N: usize> DeserializeSeed<'a> for KeySeed<'_, N> {
    type Value = Key;

    fn deserialize<D: Deserializer<'a>>(self, source: D) -> Result<Key, D::Error> {
        source.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for KeySeed<'_, N> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        if let Some(place) = self.names.iter().position(|name| is_same(name, key)) {
            return Ok(Key::Field(place));
        }
        Ok(match self.member {
            Some(member) if member == key => Key::Member(member),
            _ => Key::Unknown,
        })
    }
}

/// Names are short: comparing them byte by byte is quicker than the call that compares long texts.
fn is_same(name: &str, key: &str) -> bool {
    name.len() == key.len() && name.bytes().eq(key.bytes())
}

struct RowVisitor<'c, M, const N: usize> {
    context: &'c Context,
    names: [&'static str; N],
    make: M,
}

impl<'a, T, M, const N: usize> Visitor<'a> for RowVisitor<'_, M, N>
where
    M: FnOnce([Field<'a>; N]) -> Result<T, FieldFault>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<T, A::Error> {
        let mut texts = [None; N];
        for text in &mut texts {
            *text = match items.next_element::<&'a RawValue>()? {
                Some(raw) => Some(raw.get()),
                None => break,
            };
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        let fields = std::array::from_fn(|place| Field::new(self.names[place], texts[place]));
        (self.make)(fields).map_err(|fault| self.context.fault(fault))
    }
}
