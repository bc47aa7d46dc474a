//! When the markets of stored series are open.

use bulkhead_kernel::calendar::Calendar;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_manifest::StageKind;
use ingest::plan;
use ingest::settings::Settings;

use crate::arguments::Global;
use crate::deployment;

/// As the stage `ingest` of the manifest sees it. Without its settings everything trades around the clock.
pub struct Calendars(Option<Settings>);

impl Calendars {
    /// Those of the manifest, if it can be read and has that stage: bars are looked at without one, too.
    pub fn of(global: &Global) -> Self {
        let app = deployment::manifest(global).ok();
        let stage = app.as_ref().and_then(|app| {
            let mut components = app.components.values();
            components.find(|component| component.role.stage() == Some(StageKind::Ingest))
        });
        let settings = stage.and_then(|stage| {
            let value = |key: &str| Ok(stage.variables.get(key).map(|value| value.value.clone()));
            Settings::read(value).ok()
        });
        Self(settings)
    }

    /// When the market of an instrument is open.
    pub fn calendar(&self, instrument: &str) -> Calendar {
        match (&self.0, instrument.parse::<Instrument>()) {
            (Some(settings), Ok(instrument)) => plan::calendar(&instrument, settings),
            (None, _) | (_, Err(_)) => Calendar::AroundTheClock,
        }
    }
}
