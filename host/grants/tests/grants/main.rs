//! What a run may do, tested from outside: the vectors of the egress gate, sending, switches, documents, patterns.

#[cfg(test)]
mod dial;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod patterns;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod switches;
#[cfg(test)]
mod vectors;
