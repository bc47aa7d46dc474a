//! A bar on stderr, where that is a terminal. Elsewhere nothing moves.

use std::cell::Cell;
use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What moves while bars are read, stored or deleted. It leaves nothing behind.
pub struct Progress {
    bar: ProgressBar,
    words: &'static str,
    is_bounded: Cell<bool>,
}

impl Progress {
    /// For work that counts `words`, such as `rows`.
    pub fn new(words: &'static str) -> anyhow::Result<Self> {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let template = format!("[{{elapsed_precise}}] {{human_pos}} {words} {{msg}}");
        bar.set_style(ProgressStyle::with_template(&template)?);
        Ok(Self {
            bar,
            words,
            is_bounded: Cell::new(false),
        })
    }

    /// How far the work is, and how far it goes where that is known.
    pub fn at(&self, done: u64, of: Option<u64>) {
        if let Some(of) = of {
            self.bar.set_length(of);
            if !self.is_bounded.replace(true) {
                self.show_bar();
            }
        }
        self.bar.set_position(done);
    }

    /// What is being done.
    pub fn says(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }

    fn show_bar(&self) {
        let words = self.words;
        let template =
            format!("[{{elapsed_precise}}] {{bar:30}} {{human_pos}}/{{human_len}} {words} {{msg}}");
        // What the counter shows is as good, should it be no template.
        if let Ok(style) = ProgressStyle::with_template(&template) {
            self.bar.set_style(style);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
