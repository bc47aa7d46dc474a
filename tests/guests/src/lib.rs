//! Hostile guest programs: one component that misbehaves in the way its input names.
//!
//! The input is `{"program": NAME, …}`, NAME one of [`Program::ALL`]. That list, the component's dispatcher and the tests on
//! the host's side all go by the enum [`Program`], so that a program without a body, or without a test, does not compile.

/// Declares the programs and their names.
macro_rules! programs {
    ($($(#[doc = $doc:literal])+ $program:ident = $name:literal;)+) => {
        /// A way to behave, mostly badly.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Program {
            $($(#[doc = $doc])+ $program,)+
        }

        impl Program {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$program),+];

            /// The word in the input.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$program => $name,)+
                }
            }
        }
    };
}

programs! {
    /// Answers `echo`.
    WellBehaved = "well-behaved";
    /// Computes without end.
    EndlessLoop = "endless-loop";
    /// Calls itself without end.
    EndlessRecursion = "endless-recursion";
    /// Allocates without end.
    MemoryBomb = "memory-bomb";
    /// Writes a gigabyte to its log.
    GigabyteOfLog = "gigabyte-of-log";
    /// Reads the clock ten million times.
    TenMillionHostCalls = "ten-million-host-calls";
    /// Answers with `bytes` bytes, as one text or (`where` is `metrics`) as many small values.
    AnswerTooLarge = "answer-too-large";
    /// Writes a document, then traps.
    TrapHalfWay = "trap-half-way";
    /// Panics with `why`.
    Panic = "panic";
    /// Keeps every handle that it makes.
    HandleLeak = "handle-leak";
    /// Keeps both ends of every future that it makes.
    FutureLeak = "future-leak";
    /// Reads a response that has no end.
    EndlessBody = "endless-body";
    /// Waits for headers that have no end.
    EndlessHeaders = "endless-headers";
    /// Reads a response that comes a byte at a time.
    TricklingBody = "trickling-body";
    /// Sends a request that has no end.
    EndlessRequestBody = "endless-request-body";
    /// Sends `count` requests before it waits for any.
    ManyRequestsAtOnce = "many-requests-at-once";
    /// Writes `count` documents, each in a commit of its own, before it waits for any.
    ManyCommitsAtOnce = "many-commits-at-once";
    /// Starts `count` timers of an hour before it waits for any.
    ManyTimersAtOnce = "many-timers-at-once";
    /// Sends the same request `count` times, one after the other.
    ManyRequestsInTurn = "many-requests-in-turn";
    /// Sends the request that the input describes.
    Fetch = "fetch";
    /// Commits one good write and one bad one.
    WriteThenFail = "write-then-fail";
    /// Stores one bar.
    AppendBar = "append-bar";
    /// Asks for the newest bar.
    NewestBar = "newest-bar";
    /// Answers how many runs its instance has had before.
    CountRuns = "count-runs";
    /// Answers a hash whose seed is that of hash maps.
    HashSeed = "hash-seed";
}

impl Program {
    /// The program of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|program| program.name() == name)
    }
}

#[cfg(target_os = "wasi")]
#[allow(
    missing_docs,
    unsafe_op_in_unsafe_fn,
    clippy::unwrap_used,
    reason = "bindings are generated, and these programs are meant to fail"
)]
mod component;
