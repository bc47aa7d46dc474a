//! JSON read into domain values so that what is missing or ill-typed is named: by the element it stands in and by its
//! field. Unknown fields are passed over, nothing is copied, and a value that is read goes through no type in between.

mod field;
mod object;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::Deserialize as _;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::VenueError;
use crate::error::cut;
pub(crate) use field::{Field, FieldFault, Text};
pub(crate) use object::{nested, nested_optional, object, row};

/// What can be read from JSON under a [`Context`].
pub(crate) trait Read<'a>: Sized {
    /// Reads one value, or leaves in `context` why not.
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error>;
}

/// Reads a whole text. Lists in it hold at most `limit` elements, all of them together.
pub(crate) fn read<'a, T: Read<'a>>(body: &'a [u8], limit: usize) -> Result<T, VenueError> {
    let text = std::str::from_utf8(body).map_err(VenueError::Utf8)?;
    read_text(text, limit)
}

/// As [`read`], from a text that is known to be UTF-8.
pub(crate) fn read_text<'a, T: Read<'a>>(text: &'a str, limit: usize) -> Result<T, VenueError> {
    let context = Context::new(limit);
    context.read(text).map_err(|error| context.explain(error))
}

/// The elements of an array, unread, so that one that is at fault leaves the others readable by [`element`].
pub(crate) fn elements(body: &[u8], limit: usize) -> Result<Vec<&str>, VenueError> {
    let elements: Vec<Raw<'_>> = read(body, limit)?;
    Ok(elements.into_iter().map(|Raw(text)| text).collect())
}

/// Reads the element at `place` of [`elements`].
pub(crate) fn element<'a, T: Read<'a>>(text: &'a str, place: usize) -> Result<T, VenueError> {
    let context = Context::new(0);
    context
        .read(text)
        .map_err(|error| context.explain(context.within(place, error)))
}

/// What a reading keeps beside the values: how many elements there were, and what was wrong with which.
pub(crate) struct Context {
    limit: usize,
    taken: Cell<usize>,
    fault: RefCell<Option<Fault>>,
    /// Where the fault is, the innermost first.
    trail: RefCell<Vec<String>>,
}

enum Fault {
    Field(FieldFault),
    TooMany,
}

impl Context {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: Cell::new(0),
            fault: RefCell::new(None),
            trail: RefCell::new(Vec::new()),
        }
    }

    fn read<'a, T: Read<'a>>(&self, text: &'a str) -> Result<T, serde_json::Error> {
        let mut source = serde_json::Deserializer::from_str(text);
        let value = T::read(&mut source, self)?;
        source.end().map(|()| value)
    }

    fn seed<T>(&self) -> Seed<'_, T> {
        Seed {
            context: self,
            value: PhantomData,
        }
    }

    /// Counts one more element.
    fn take<E: de::Error>(&self) -> Result<(), E> {
        self.taken.set(self.taken.get() + 1);
        if self.taken.get() > self.limit {
            *self.fault.borrow_mut() = Some(Fault::TooMany);
            return Err(E::custom("too many elements"));
        }
        Ok(())
    }

    /// Says what is wrong with a field.
    fn fault<E: de::Error>(&self, fault: FieldFault) -> E {
        let error = E::custom(&fault.detail);
        self.fault.borrow_mut().get_or_insert(Fault::Field(fault));
        error
    }

    /// Says where the fault is: further out than was known.
    fn within<E>(&self, segment: impl Display, error: E) -> E {
        self.trail.borrow_mut().push(segment.to_string());
        error
    }

    /// As [`within`](Self::within) the member `name`; where nothing was said yet, that member is at fault itself.
    fn within_member<E: de::Error>(&self, name: &'static str, error: E) -> E {
        if self.fault.borrow().is_some() {
            return self.within(name, error);
        }
        let detail = error.to_string();
        self.fault(FieldFault {
            field: name,
            detail,
        })
    }

    fn explain(&self, error: serde_json::Error) -> VenueError {
        match self.fault.take() {
            Some(Fault::TooMany) => VenueError::TooMany { limit: self.limit },
            // Where the text stopped being JSON, no field is to blame.
            Some(Fault::Field(FieldFault { field, detail })) if error.is_data() => {
                let mut trail = self.trail.take();
                trail.reverse();
                let element = match trail.is_empty() {
                    true => "answer".to_owned(),
                    false => cut(&trail.join(".")),
                };
                VenueError::Field {
                    element,
                    field,
                    detail: cut(&detail),
                }
            }
            _ => VenueError::Body(error),
        }
    }
}

struct Seed<'c, T> {
    context: &'c Context,
    value: PhantomData<T>,
}

impl<'a, T: Read<'a>> DeserializeSeed<'a> for Seed<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'a>>(self, source: D) -> Result<T, D::Error> {
        T::read(source, self.context)
    }
}

/// A value, unread.
struct Raw<'a>(&'a str);

impl<'a> Read<'a> for Raw<'a> {
    fn read<D: Deserializer<'a>>(source: D, _: &Context) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(source).map(|raw| Self(raw.get()))
    }
}

/// A list.
impl<'a, T: Read<'a>> Read<'a> for Vec<T> {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        source.deserialize_seq(context.seed::<Self>())
    }
}

impl<'a, T: Read<'a>> Visitor<'a> for Seed<'_, Vec<T>> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        loop {
            match items.next_element_seed(self.context.seed::<T>()) {
                Ok(Some(item)) => {
                    self.context.take()?;
                    list.push(item);
                }
                Ok(None) => return Ok(list),
                Err(error) => return Err(self.context.within(list.len(), error)),
            }
        }
    }
}

/// Values by name: symbols, as a rule. No name may come twice.
impl<'a, T: Read<'a>> Read<'a> for BTreeMap<String, T> {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        source.deserialize_map(context.seed::<Self>())
    }
}

impl<'a, T: Read<'a>> Visitor<'a> for Seed<'_, BTreeMap<String, T>> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some(name) = entries.next_key::<String>()? {
            // A name costs as much as an element, even when nothing stands under it.
            self.context.take()?;
            let value = entries
                .next_value_seed(self.context.seed::<T>())
                .map_err(|error| self.context.within(&name, error))?;
            if values.contains_key(&name) {
                return Err(de::Error::custom(format!(
                    "`{}` is given twice",
                    cut(&name)
                )));
            }
            values.insert(name, value);
        }
        Ok(values)
    }
}

/// A value or null.
impl<'a, T: Read<'a>> Read<'a> for Option<T> {
    fn read<D: Deserializer<'a>>(source: D, context: &Context) -> Result<Self, D::Error> {
        source.deserialize_option(context.seed::<Self>())
    }
}

impl<'a, T: Read<'a>> Visitor<'a> for Seed<'_, Option<T>> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'a>>(self, source: D) -> Result<Self::Value, D::Error> {
        T::read(source, self.context).map(Some)
    }
}

#[cfg(test)]
mod tests;
