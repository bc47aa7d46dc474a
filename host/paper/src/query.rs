//! The parameters of a request.

use url::form_urlencoded;

/// The most parameters of one request.
const MAX_PARAMETERS: usize = 32;

/// The parameters, percent-decoded, in their order.
pub(crate) struct Query(Vec<(String, String)>);

/// Why the parameters are not those that are known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum QueryFault {
    /// One that nothing reads, or more than are read of any request.
    Unknown(String),
    /// One that comes more than once.
    Twice(String),
}

impl Query {
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
        Self(pairs.take(MAX_PARAMETERS + 1).collect())
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// The values of the `known` parameters, in that order, and no others.
    pub(crate) fn all<const N: usize>(
        &self,
        known: [&str; N],
    ) -> Result<[Option<&str>; N], QueryFault> {
        let mut values = [None; N];
        for (count, (name, value)) in self.0.iter().enumerate() {
            let place = known.iter().position(|known| known == name);
            let Some(place) = place.filter(|_| count < MAX_PARAMETERS) else {
                return Err(QueryFault::Unknown(name.clone()));
            };
            if values[place].replace(value.as_str()).is_some() {
                return Err(QueryFault::Twice(name.clone()));
            }
        }
        Ok(values)
    }
}
