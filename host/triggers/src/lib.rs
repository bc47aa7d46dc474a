//! What starts runs: cron and HTTP.
//!
//! A trigger turns something that happens (an instant is reached, a request comes in) into a
//! [`bulkhead_supervisor::RunRequest`], and leaves everything else about the run to the supervisor.

pub mod cron;
pub mod http;
