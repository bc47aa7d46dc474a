//! The words of the trading domain: pure, without I/O, importing no other crate of the project.

pub mod assessment;
pub mod bar;
pub mod bar_row;
pub mod calendar;
mod component;
pub mod flag;
pub mod instant;
pub mod instrument;
pub mod intent;
pub mod literal;
pub mod memory;
pub mod money;
pub mod risk_gate;
pub mod scaled;
pub mod stage;
pub mod timeframe;
pub mod trace;
pub mod trade;
