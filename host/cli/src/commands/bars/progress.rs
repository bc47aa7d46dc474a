//! A bar on stderr, where that is a terminal. Elsewhere nothing moves.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What moves while bars are read, stored or deleted. It leaves nothing behind.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar for work that counts `words`, such as `rows`.
    pub fn new(words: &str) -> anyhow::Result<Self> {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template(&format!(
            "[{{elapsed_precise}}] {{wide_bar}} {{human_pos}}/{{human_len}} {words}, {{msg}}"
        ))?);
        Ok(Self(bar))
    }

    /// How far the work is, and how far it goes where that is known.
    pub fn at(&self, done: u64, of: Option<u64>) {
        if let Some(of) = of {
            self.0.set_length(of);
        }
        self.0.set_position(done);
    }

    /// What is being done.
    pub fn says(&self, what: impl Into<String>) {
        self.0.set_message(what.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
