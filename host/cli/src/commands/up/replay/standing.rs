//! Where a replay goes on.

use bulkhead_kernel::bar::Bar;

use crate::output;

/// How a file stands to the bars that are stored already. `ingest` asks for what follows the newest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// None of the file's bars is stored.
    New,
    /// The replay goes on at this bar, which opens at so many Unix milliseconds.
    GoesOn(i64),
    /// The last bar is stored.
    Replayed,
    /// The newest stored bar, which opens at so many Unix milliseconds, is later than the file's last.
    Behind(i64),
}

impl Standing {
    /// `bars` ascend.
    pub fn of(bars: &[Bar], newest_stored_ms: Option<i64>) -> Self {
        let (Some(newest_ms), Some(first), Some(last)) =
            (newest_stored_ms, bars.first(), bars.last())
        else {
            return Self::New;
        };
        if newest_ms < first.open_time_ms {
            Self::New
        } else if newest_ms < last.open_time_ms {
            Self::GoesOn(newest_ms)
        } else if newest_ms == last.open_time_ms {
            Self::Replayed
        } else {
            Self::Behind(newest_ms)
        }
    }

    /// What a paced clock shows at the start, in Unix milliseconds.
    pub fn starts_at_ms(self, bars: &[Bar]) -> i64 {
        let open_time_ms = |bar: Option<&Bar>| bar.map_or(0, |bar| bar.open_time_ms);
        match self {
            Self::New => open_time_ms(bars.first()),
            Self::GoesOn(newest_ms) => newest_ms,
            Self::Replayed | Self::Behind(_) => open_time_ms(bars.last()),
        }
    }

    /// Whether a bar is left that is to be stored.
    pub const fn has_news(self) -> bool {
        matches!(self, Self::New | Self::GoesOn(_))
    }

    /// What is said of it beside what is replayed. None: nothing, it begins at the beginning.
    pub fn words(self) -> Option<String> {
        const ANEW: &str = "`bulkhead --data-dir ANOTHER up` begins anew";
        match self {
            Self::New => None,
            Self::GoesOn(newest_ms) => Some(format!(
                "goes on after {}, the newest that is stored",
                output::instant(newest_ms)
            )),
            Self::Replayed => Some(format!(
                "all are stored already, so nothing new comes: {ANEW}"
            )),
            Self::Behind(newest_ms) => Some(format!(
                "they end before {}, the newest that is stored, so nothing new comes: {ANEW}",
                output::instant(newest_ms)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_paper::{BarFile, demo};

    use super::*;

    #[test]
    fn a_replay_goes_on_where_the_stored_bars_end() {
        let bars = BarFile::parse(demo::FILE.as_bytes()).unwrap().bars;
        let (first_ms, last_ms) = (bars[0].open_time_ms, bars[bars.len() - 1].open_time_ms);
        for (newest_stored_ms, standing, starts_at_ms) in [
            (None, Standing::New, first_ms),
            (Some(first_ms - 1), Standing::New, first_ms),
            (Some(first_ms), Standing::GoesOn(first_ms), first_ms),
            (
                Some(last_ms - 60_000),
                Standing::GoesOn(last_ms - 60_000),
                last_ms - 60_000,
            ),
            (Some(last_ms), Standing::Replayed, last_ms),
            (Some(last_ms + 1), Standing::Behind(last_ms + 1), last_ms),
        ] {
            let found = Standing::of(&bars, newest_stored_ms);
            assert_eq!(found, standing, "{newest_stored_ms:?}");
            assert_eq!(
                found.starts_at_ms(&bars),
                starts_at_ms,
                "{newest_stored_ms:?}"
            );
        }
    }
}
