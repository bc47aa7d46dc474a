//! One file a subcommand.

pub mod bars;
pub mod canary;
pub mod check;
pub mod completions;
pub mod doctor;
pub mod drill;
pub mod events;
pub mod invoke;
pub mod kill;
pub mod runs;
pub mod status;
pub mod up;
