//! The host's side of the contract's imports, one file an interface.

mod config;
mod documents;
mod market_data;
mod pipeline;
mod strategies;
