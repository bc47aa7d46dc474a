//! A file that is replayed, and what it holds.

use std::path::PathBuf;
use std::str::FromStr;

use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;

/// `FILE`, `INSTRUMENT=FILE` or `INSTRUMENT:TIMEFRAME=FILE`. What stands before the first `=` and names no instrument is part of
/// the file's name, as in `./a=b.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedFile {
    /// Whose bars it holds. None: those of the one instrument of the deployment.
    pub instrument: Option<Instrument>,
    /// Their length. None: the deployment's.
    pub timeframe: Option<Timeframe>,
    /// Where it is.
    pub path: PathBuf,
}

impl FromStr for ReplayedFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unnamed = Self {
            instrument: None,
            timeframe: None,
            path: text.into(),
        };
        let Some((name, path)) = text.split_once('=') else {
            return Ok(unnamed);
        };
        let (name, timeframe) = match name.split_once(':') {
            Some((name, timeframe)) => (name, Some(timeframe)),
            None => (name, None),
        };
        let Ok(instrument) = name.parse() else {
            return Ok(unnamed);
        };
        if path.is_empty() {
            return Err("expected a file after the `=`".into());
        }
        Ok(Self {
            instrument: Some(instrument),
            timeframe: timeframe
                .map(|text| text.parse().map_err(|error| format!("{error}")))
                .transpose()?,
            path: path.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_alone_or_behind_whose_bars_it_holds() {
        for (text, name, timeframe, path) in [
            ("bars.csv", None, None, "bars.csv"),
            ("eth-usdt=a.csv", Some("ETH-USDT"), None, "a.csv"),
            ("SPY:1d=a=b.csv", Some("SPY"), Some("1d"), "a=b.csv"),
            ("./a=b.csv", None, None, "./a=b.csv"),
            ("/data/x:1m=b.csv", None, None, "/data/x:1m=b.csv"),
        ] {
            let file: ReplayedFile = text.parse().unwrap();
            let instrument = file.instrument.map(|instrument| instrument.to_string());
            let length = file.timeframe.map(|timeframe| timeframe.to_string());
            assert_eq!(instrument.as_deref(), name, "{text}");
            assert_eq!(length.as_deref(), timeframe, "{text}");
            assert_eq!(file.path, PathBuf::from(path), "{text}");
        }
        for text in ["SPY=", "SPY:never=a.csv"] {
            assert!(text.parse::<ReplayedFile>().is_err(), "{text}");
        }
    }
}
