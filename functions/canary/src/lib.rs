//! The canary stage: the deployed pipeline is run in fake mode and its evidence checked.
//!
//! [`run::run`] is the whole canary as a function over [`stages::Stages`], the way to the deployed stages. It
//! normalises a fixed frame (`ingest`), decides (`generate-trading-signal`), routes and previews (`execute`), and
//! gives back the pipeline's response together with what [`checks`] found in it. In fake mode every value is a
//! function of the flags alone but for the duration of the ingest span.

pub mod artifact;
pub mod checks;
pub mod frames;
pub mod mock_feed;
pub mod pipeline;
pub mod promotion;
pub mod run;
pub mod schema;
pub mod settings;
pub mod stages;
pub mod telemetry;

#[cfg(target_os = "wasi")]
mod component;
