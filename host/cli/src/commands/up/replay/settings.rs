//! What the built-in market-data server is to serve, as the command line and the manifest say.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow, bail};
use bulkhead_bars::Format;
use bulkhead_kernel::flag;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_manifest::{Component, ResolvedApp, StageKind};
use bulkhead_paper::{BarFile, Calendar, Faults, demo};

use crate::arguments::{ReplayedFile, Speed, Up};
use crate::output::WrongUsage;

/// What the server is to serve.
pub struct Settings {
    pub address: SocketAddr,
    /// One at least.
    pub files: Vec<Replayed>,
    pub speed: Speed,
    pub faults: Faults,
    /// None: no dated events.
    pub calendar: Option<Calendar>,
}

/// A file that is replayed.
pub struct Replayed {
    pub file: BarFile,
    /// What it is called.
    pub name: String,
    pub instrument: Instrument,
    pub timeframe: Timeframe,
}

/// What `ingest` is set to ask for.
struct Asked<'a> {
    ingest: Option<&'a Component>,
    instruments: Vec<Instrument>,
    daily_bars: Vec<Instrument>,
    timeframe: Timeframe,
}

impl Settings {
    /// Reads the files. None: the deployment polls another venue.
    ///
    /// # Errors
    /// [`WrongUsage`] where an option is for this server and the deployment polls another, or has no use for it.
    pub fn read(app: &ResolvedApp, command: &Up) -> anyhow::Result<Option<Self>> {
        let ingest = app
            .components
            .values()
            .find(|component| component.role.stage() == Some(StageKind::Ingest));
        let url = variable(ingest, "market_data_url");
        if url != format!("http://{}", command.paper) {
            refuse_options_of_another_server(command, url)?;
            return Ok(None);
        }
        let asked = Asked::read(ingest)?;
        let files = asked.named(&command.bars)?;
        if command.exit_when_replayed {
            asked.refuse_what_is_never_asked_for(&files)?;
        }
        let files = files
            .into_iter()
            .map(|(path, instrument, timeframe)| {
                let (file, name) = match path {
                    Some(path) => {
                        let path = &path.path;
                        let file = match Format::of(path) {
                            Some(Format::Parquet) => super::parquet::read(path),
                            Some(Format::Csv) | None => BarFile::read(path).map_err(Into::into),
                        };
                        let name = path.display().to_string();
                        (
                            file.with_context(|| format!("replaying {name} failed"))?,
                            name,
                        )
                    }
                    None => (BarFile::parse(demo::FILE.as_bytes())?, "the demo".into()),
                };
                Ok(Replayed {
                    file,
                    name,
                    instrument,
                    timeframe,
                })
            })
            .collect::<anyhow::Result<Vec<Replayed>>>()?;
        Ok(Some(Self {
            address: command.paper,
            files,
            speed: command.speed,
            faults: Faults::joined(command.fault.iter().cloned())?,
            calendar: calendar(ingest, command)?,
        }))
    }
}

/// A variable of the component. Blank: it has none of this name.
fn variable<'a>(ingest: Option<&'a Component>, name: &str) -> &'a str {
    ingest
        .and_then(|ingest| ingest.variables.get(name))
        .map(|value| value.value.as_str())
        .unwrap_or_default()
}

fn refuse_options_of_another_server(command: &Up, url: &str) -> Result<(), WrongUsage> {
    let options = [
        ("--bars", !command.bars.is_empty()),
        ("--fault", !command.fault.is_empty()),
        ("--macro-events", command.macro_events.is_some()),
        ("--exit-when-replayed", command.exit_when_replayed),
    ];
    match options.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((option, _)) => Err(WrongUsage(format!(
            "{option} is for the built-in market-data server, and the variable `market_data_url` names another: `{url}`\n\nhint: leave it out, or set `market_data_url` to http://{}",
            command.paper
        ))),
    }
}

fn calendar(ingest: Option<&Component>, command: &Up) -> anyhow::Result<Option<Calendar>> {
    let Some(path) = &command.macro_events else {
        return Ok(None);
    };
    let here = format!("http://{}", command.paper);
    let url = variable(ingest, "macro_events_url");
    if !flag::is_true(variable(ingest, "macro_events_enabled")) || url != here {
        return Err(WrongUsage(format!(
            "--macro-events is served by the built-in market-data server, and nothing asks it for them\n\nhint: add --variable macro_events_enabled=1 --variable macro_events_url={here}"
        ))
        .into());
    }
    let calendar = Calendar::read(path)
        .with_context(|| format!("serving the events of {} failed", path.display()))?;
    Ok(Some(calendar))
}

/// A file (none: the demo), and what it holds.
type Named<'a> = (Option<&'a ReplayedFile>, Instrument, Timeframe);

impl<'a> Asked<'a> {
    fn read(ingest: Option<&'a Component>) -> anyhow::Result<Self> {
        let list = |name: &str| {
            Instrument::parse_list(variable(ingest, name))
                .map_err(|error| anyhow!("the variable `{name}`: {error}"))
        };
        Ok(Self {
            ingest,
            instruments: list("instruments")?,
            daily_bars: list("daily_bars")?,
            timeframe: variable(ingest, "timeframe")
                .parse()
                .map_err(|error| anyhow!("the variable `timeframe`: {error}"))?,
        })
    }

    /// Says of each file what it holds.
    fn named<'f>(&self, files: &'f [ReplayedFile]) -> anyhow::Result<Vec<Named<'f>>> {
        let listed = variable(self.ingest, "instruments");
        let the_one = match self.instruments.as_slice() {
            [one] => Some(one),
            _ => None,
        };
        if files.is_empty() {
            let Some(one) = the_one else {
                bail!(
                    "the demo is of one instrument; the variable `instruments` names {listed:?}\n\nhint: replay files, with --bars INSTRUMENT=FILE for each of them"
                );
            };
            return Ok(vec![(None, one.clone(), self.timeframe)]);
        }
        let mut named = Vec::with_capacity(files.len());
        for file in files {
            let Some(instrument) = file.instrument.as_ref().or(the_one) else {
                bail!(
                    "--bars {} does not say whose bars they are; the variable `instruments` names {listed:?}\n\nhint: write --bars INSTRUMENT={}",
                    file.path.display(),
                    file.path.display()
                );
            };
            let timeframe = file.timeframe.unwrap_or(self.timeframe);
            named.push((Some(file), instrument.clone(), timeframe));
        }
        for instrument in &self.instruments {
            if !named.iter().any(|(_, held, _)| held == instrument) {
                bail!(
                    "no --bars for {instrument}, which the variable `instruments` names\n\nhint: add --bars {instrument}=FILE, or set --variable instruments=… to what is replayed"
                );
            }
        }
        Ok(named)
    }

    /// A series that nobody asks for is never served, so that its replay would not end.
    fn refuse_what_is_never_asked_for(&self, files: &[Named<'_>]) -> Result<(), WrongUsage> {
        for (_, instrument, timeframe) in files {
            let is_asked_for = self.instruments.contains(instrument)
                && *timeframe == self.timeframe
                || self.daily_bars.contains(instrument) && *timeframe == Timeframe::DAY;
            if !is_asked_for {
                return Err(WrongUsage(format!(
                    "--exit-when-replayed would wait for ever: nothing asks for bars of {instrument} {timeframe}\n\nhint: name it in --variable instruments=… with --variable timeframe={timeframe}, or leave the option out"
                )));
            }
        }
        Ok(())
    }
}
