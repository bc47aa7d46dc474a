//! HTTP in front of a stage on Spin: a request becomes an invocation, a report becomes a response.
//!
//! `POST` with a JSON body runs the stage with that input, `{}` where the body is empty; `?fake_mode=1` runs it in fake
//! mode. No other method runs anything. The answer is `200` with `{"run_id","outcome","reason","output","attempts"}`, or a problem of RFC 9457
//! (`application/problem+json`) whose `type` is `urn:bulkhead:problem:` and the stable reason: what `bulkhead up`
//! answers on the same routes. Which route leads here is Spin's business: the path is not looked at.
//!
//! A `POST` of the type [`INVOCATION_TYPE`] is another component's invocation, whole, in fake mode. It is answered with
//! the report or the stage's error, whole ([`REPORT_TYPE`]), where the plain answer would keep the output only.
//!
//! The gateway knows the stage twice, as the composition wires it: once over the real store, once over one that refuses
//! every write. A run in fake mode goes to the second, so that it leaves nothing behind whatever the stage does.

mod answer;
#[cfg(target_os = "wasi")]
mod component;
mod problem;
mod request;

pub use answer::{Answer, answer};
pub use problem::Problem;
pub use request::{Asked, Head, read_head};

/// The type of a request that holds a whole invocation: `bulkhead_stage::Invocation` as JSON.
pub const INVOCATION_TYPE: &str = "application/vnd.bulkhead.invocation+json";

/// The type of the answer to it: `Result<Report, StageError>` of `bulkhead_stage`, as serde writes it in JSON.
pub const REPORT_TYPE: &str = "application/vnd.bulkhead.report+json";

/// Most bytes of a request's body.
pub const MAX_BODY_BYTES: usize = 1 << 20;
