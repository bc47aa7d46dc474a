//! Hostile guest programs: one component that misbehaves in the way its input names.
//!
//! The input is `{"program": NAME, …}`, NAME one of [`PROGRAMS`]. Each program has a test on the host's side; a
//! program without one fails the build of the tests.

/// The programs, in the order of the list in `programs.rs`.
pub const PROGRAMS: &[&str] = &[
    "well-behaved",
    "endless-loop",
    "endless-recursion",
    "memory-bomb",
    "gigabyte-of-log",
    "ten-million-host-calls",
    "answer-too-large",
    "trap-half-way",
    "panic",
    "handle-leak",
    "endless-body",
    "endless-headers",
    "fetch",
    "write-then-fail",
];

#[cfg(target_os = "wasi")]
#[allow(
    missing_docs,
    unsafe_op_in_unsafe_fn,
    clippy::unwrap_used,
    reason = "bindings are generated, and these programs are meant to fail"
)]
mod component;
