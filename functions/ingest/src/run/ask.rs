//! Asks the sources in their order, with recovery at each before the next, and for macro events.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bulkhead_evaluators::dimension::{Dimension, PerDimension, Plan, SliceResult};
use bulkhead_evaluators::failover::{self, Decision};
use bulkhead_evaluators::ingest_health::{self, HealthReport};
use bulkhead_evaluators::ingest_quality;
use bulkhead_evaluators::recovery::{self, Recovery, Step};
use bulkhead_kernel::calendar::Calendar;
use bulkhead_kernel::stage::{BarsQuery, StageError, Write};
use serde_json::json;

use super::{Run, Work};
use crate::assess::{health_policy, is_missing, slice_results};
use crate::join;
use crate::journal::{Found, Hop};
use crate::macro_events;
use crate::pass::{MAX_ASKING_MS, Pass, Progress, Room, SeriesRun, Stop, Target};
use crate::poll::Range;
use crate::ports::{FetchError, Ports};
use crate::series::{MAX_ERROR_BYTES, cut};
use crate::settings::{Backfill, Settings, Source};
use crate::state::{Memory, SourceState};

/// The most series whose gaps one run asks for again.
const MAX_GAP_RECOVERIES: usize = 16;
const DAY_MS: i64 = 86_400_000;

/// What was asked, and what came of it besides bars.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// What is known of each source.
    pub sources: BTreeMap<String, SourceState>,
    /// What is remembered for the next run.
    pub memory: Memory,
    /// What may still be read.
    pub room: Room,
    /// What was asked for again.
    pub recovery: Recovery,
    /// From which source to which.
    pub hops: Vec<Hop>,
    /// No request before this instant, in Unix milliseconds.
    pub not_before_ms: Option<i64>,
    /// Macro events that changed.
    pub events: Option<Write>,
}

impl Asked {
    /// Takes over what earlier runs left.
    pub fn memory_of(&mut self, found: &Found, run: Run<'_>, settings: &Settings) {
        self.sources = found.sources();
        // Those that are configured no more are forgotten.
        let names: Vec<String> = settings.sources.iter().map(ToString::to_string).collect();
        self.sources.retain(|name, _| names.contains(name));
        self.memory = found.memory();
        if run.is_scheduled {
            self.memory.schedule.fired(run.scheduled_at_ms);
        }
    }
}

impl<P: Ports> Work<'_, P> {
    /// Asks for everything that is due.
    ///
    /// # Errors
    /// The store. What a source does wrong is noted with the series.
    pub(super) async fn ask(&mut self) -> Result<(), StageError> {
        self.look().await?;
        self.ask_sources().await?;
        self.ask_macro_events().await
    }

    async fn ask_sources(&mut self) -> Result<(), StageError> {
        let settings = self.settings;
        for (place, source) in settings.sources.iter().enumerate() {
            let targets = self.targets(place == 0, source);
            if targets.is_empty() {
                break;
            }
            self.ask_source(source, targets).await?;
            if self.targets(false, source).is_empty() {
                break;
            }
            let decision = self.decide();
            if !decision.should_failover {
                break;
            }
            let reasons = [self.first_error(), decision.reason];
            let reasons: Vec<String> = reasons.into_iter().flatten().collect();
            self.asked.hops.push(Hop {
                from: source.to_string(),
                to: settings.sources.get(place + 1).map(ToString::to_string),
                reason: reasons.join("; "),
            });
        }
        Ok(())
    }

    /// What the source that was asked last did wrong first.
    fn first_error(&self) -> Option<String> {
        let mut series = self.series.iter();
        series.find_map(|series| match &series.borrow().progress {
            Progress::Failed(error) => Some(cut(error.detail(), MAX_ERROR_BYTES)),
            _ => None,
        })
    }

    /// What is to be asked of the first source, or of one after it.
    fn targets(&self, is_first: bool, source: &Source) -> Vec<Target> {
        let limits = self.health_policy();
        let now_ms = self.now_ms();
        let mut targets = vec![];
        for (index, series) in self.series.iter().enumerate() {
            let series = series.borrow();
            let limit = limits.limits.of(series.dimension).freshness_limit_seconds;
            let is_wanted = match series.progress {
                Progress::Wanted => is_first,
                Progress::Failed(_) | Progress::RateLimited => {
                    !is_first && is_missing(&series, limit, now_ms)
                }
                _ => false,
            };
            if is_wanted {
                targets.push((index, self.range(&series, source)));
            }
        }
        targets
    }

    /// From the bar on up to which polling brought the series in. That one is asked for again, in case the venue corrected it,
    /// but of no other source: it would put its own values in their place. Before any poll, from where the backfill begins, or
    /// from the newest stored bar, whichever is earlier.
    fn range(&self, series: &SeriesRun, source: &Source) -> Range {
        let known = &series.known;
        let newest = known.newest_open_time_ms;
        let begin_ms = match self.settings.backfill {
            Backfill::Earliest => 0,
            Backfill::Latest => series.shape.window_start_ms(self.now_ms()).max(0),
            Backfill::From(millis) => millis,
        };
        let start_ms = match known.filled_to_ms {
            Some(filled_ms) => {
                let of_another = known.is_of_another(&source.to_string());
                filled_ms.saturating_add(i64::from(of_another))
            }
            None => newest.map_or(begin_ms, |newest| newest.min(begin_ms)),
        };
        Range {
            start_time_ms: Some(start_ms),
            end_time_ms: None,
            reference: known.close.filter(|_| Some(start_ms) >= newest),
        }
    }

    /// Looks up the stored close before each range that has none to measure its first bar by.
    async fn referenced(&self, targets: Vec<Target>) -> Result<Vec<Target>, StageError> {
        let targets: Vec<RefCell<Target>> = targets.into_iter().map(RefCell::new).collect();
        join::each(&targets, |target| async move {
            let (index, range) = *target.borrow();
            let query = {
                let series = self.series[index].borrow();
                let has_bars = series.known.newest_open_time_ms.is_some();
                if range.reference.is_some() || !has_bars {
                    return Ok::<(), StageError>(());
                }
                BarsQuery {
                    instrument: series.instrument.to_string(),
                    timeframe: series.shape.timeframe.to_string(),
                    start_ms: None,
                    end_ms: range.start_time_ms,
                    limit: 1,
                    last: true,
                }
            };
            let before = self.ports.read_bars(query).await?;
            target.borrow_mut().1.reference = before.bar(0).map(|bar| bar.close);
            Ok(())
        })
        .await?;
        Ok(targets.into_iter().map(RefCell::into_inner).collect())
    }

    async fn ask_source(
        &mut self,
        source: &Source,
        targets: Vec<Target>,
    ) -> Result<(), StageError> {
        let name = source.to_string();
        let state = self.asked.sources.remove(&name);
        let mut state = state.unwrap_or_else(|| SourceState::new(source.venue.budget()));
        let resting = state.is_resting(self.ports.now_ms()).map(str::to_owned);
        let asked = match resting {
            Some(why) => {
                for (index, _) in targets {
                    let error = StageError::Unavailable(why.clone());
                    self.series[index].borrow_mut().progress = Progress::Failed(error);
                }
                Ok(())
            }
            None => self.ask_and_recover(source, &mut state, targets).await,
        };
        self.asked.sources.insert(name, state);
        asked
    }

    async fn ask_and_recover(
        &mut self,
        source: &Source,
        state: &mut SourceState,
        targets: Vec<Target>,
    ) -> Result<(), StageError> {
        let indices: Vec<usize> = targets.iter().map(|(index, _)| *index).collect();
        let made_before = self.asked.recovery.attempts();
        self.pass(source, state, targets).await?;
        for &index in &indices {
            if self.series[index].borrow().has_older_bars {
                self.look_at(&self.series[index], true).await?;
            }
        }
        let is_limited =
            |index: &usize| self.series[*index].borrow().progress == Progress::RateLimited;
        if indices.iter().any(is_limited) {
            return Ok(());
        }
        let Some((step, again)) = self.recovery_step(&indices, source, made_before) else {
            return Ok(());
        };
        self.asked.recovery.steps.push(step);
        let gaps: Vec<usize> = again
            .iter()
            .map(|(index, _)| *index)
            .filter(|index| self.series[*index].borrow().progress == Progress::Done)
            .collect();
        self.pass(source, state, again).await?;
        for index in gaps {
            let series = &self.series[index];
            {
                let mut series = series.borrow_mut();
                series.known.recovered_at_ms = Some(self.now_ms());
                // The series itself came; its gap stays for the next time.
                series.progress = Progress::Done;
            }
            self.look_at(series, true).await?;
        }
        Ok(())
    }

    async fn pass(
        &mut self,
        source: &Source,
        state: &mut SourceState,
        targets: Vec<Target>,
    ) -> Result<(), StageError> {
        let targets = self.referenced(targets).await?;
        let budget = state.budget.clone();
        let (budget, stop) = Pass::carry_out(
            (self.ports, self.settings, source),
            &self.series,
            targets,
            (&self.asked.room, budget),
            self.now_ms(),
        )
        .await;
        state.budget = budget;
        match stop {
            None => state.answered(),
            Some(Stop::Store(error)) => return Err(error),
            Some(Stop::RateLimited(not_before_ms)) => {
                self.asked.not_before_ms = Some(not_before_ms);
            }
            // What the grants refuse never left the host: there is nobody to be left alone.
            Some(Stop::Source(StageError::Denied(_))) => {}
            Some(Stop::Source(error)) => state.failed(error.detail(), self.ports.now_ms()),
        }
        Ok(())
    }

    /// What is asked for again at the same source: series that failed, and gaps.
    fn recovery_step(
        &self,
        indices: &[usize],
        source: &Source,
        made_before: u32,
    ) -> Option<(Step, Vec<Target>)> {
        let now_ms = self.now_ms();
        let mut missing = vec![];
        let mut gaps = vec![];
        for &index in indices {
            let series = self.series[index].borrow();
            match series.progress {
                Progress::Failed(_) => missing.push(index),
                Progress::Done if series.known.wants_recovery(now_ms) => gaps.push(index),
                _ => {}
            }
        }
        gaps.truncate(MAX_GAP_RECOVERIES);
        missing.extend(gaps);
        if missing.is_empty() {
            return None;
        }
        let names: Vec<(Dimension, String)> = missing
            .iter()
            .map(|index| {
                let series = self.series[*index].borrow();
                (series.dimension, series.instrument.to_string())
            })
            .collect();
        let asks_again = |series: &SeriesRun| {
            let name = series.instrument.as_str();
            names
                .iter()
                .any(|(dimension, known)| *dimension == series.dimension && known == name)
        };
        let plan = self.evaluated_plan();
        let health = self.health(&plan, &self.results(asks_again));
        let policy = recovery::Policy {
            enabled: true,
            ..recovery::Policy::default()
        };
        let inputs = recovery::Inputs {
            plan: &plan,
            health: &health,
            // Each source has its own attempts.
            attempts_made: self.asked.recovery.attempts().saturating_sub(made_before),
        };
        let step = recovery::next_step(&inputs, &policy)?;
        let targets = missing
            .into_iter()
            .filter_map(|index| Some((index, self.recovery_range(index, &step.plan, source)?)))
            .collect::<Vec<Target>>();
        (!targets.is_empty()).then_some((step, targets))
    }

    /// What of a series a recovery asks for. None: nothing.
    fn recovery_range(&self, index: usize, plan: &Plan, source: &Source) -> Option<Range> {
        let series = self.series[index].borrow();
        let is_in = |symbols: &[String]| {
            symbols
                .iter()
                .any(|name| name == series.instrument.as_str())
        };
        let lookback_days = match series.dimension {
            Dimension::DailyBars => {
                let slice = plan
                    .daily_bars
                    .as_ref()
                    .filter(|slice| is_in(&slice.symbols))?;
                slice.lookback_days
            }
            Dimension::IntradayTrades => {
                let slice = plan
                    .intraday_trades
                    .as_ref()
                    .filter(|slice| is_in(&slice.symbols))?;
                slice.lookback_days
            }
            Dimension::MacroEvents => return None,
        };
        let lookback_ms = i64::from(lookback_days).saturating_mul(DAY_MS);
        let anchor_ms = series.known.newest_open_time_ms.unwrap_or(self.now_ms());
        let floor_ms = anchor_ms.saturating_sub(lookback_ms).max(0);
        if series.progress == Progress::Done {
            let range = series.known.gap_range()?;
            return Some(Range {
                start_time_ms: range.start_time_ms.max(Some(floor_ms)),
                ..range
            });
        }
        Some(self.range(&series, source))
    }

    /// Whether what came in is enough.
    pub(super) fn decide(&self) -> Decision {
        let plan = self.evaluated_plan();
        let health = self.health(&plan, &self.missing_results());
        failover::assess(
            &failover::Inputs {
                plan: &plan,
                health: &health,
            },
            &failover::Policy::default(),
        )
    }

    /// The plan in the evaluators' words.
    pub(super) fn evaluated_plan(&self) -> Plan {
        self.plan.for_evaluators(self.settings, self.now_ms())
    }

    /// What came of each dimension, without the symbols that no source gave.
    pub(super) fn missing_results(&self) -> Vec<SliceResult> {
        let policy = self.health_policy();
        let now_ms = self.now_ms();
        self.results(|series| {
            let limits = policy.limits.of(series.dimension);
            is_missing(series, limits.freshness_limit_seconds, now_ms)
        })
    }

    fn results(&self, is_missing: impl Fn(&SeriesRun) -> bool) -> Vec<SliceResult> {
        let borrowed: Vec<_> = self.series.iter().map(|series| series.borrow()).collect();
        let macro_events = self
            .plan
            .macro_events
            .then_some(&self.asked.memory.macro_events);
        let series: Vec<&SeriesRun> = borrowed.iter().map(|series| &**series).collect();
        slice_results(
            &series,
            macro_events,
            self.ports.elapsed_ms() / 1_000.0,
            is_missing,
            self.now_ms(),
        )
    }

    /// The health of results.
    pub(super) fn health(&self, plan: &Plan, results: &[SliceResult]) -> HealthReport {
        let inputs = ingest_health::Inputs { plan, results };
        ingest_health::assess(&inputs, &self.health_policy(), self.now_ms())
    }

    /// How health is graded.
    pub(super) fn health_policy(&self) -> ingest_health::Policy {
        health_policy(
            self.plan
                .intraday_trades
                .as_ref()
                .map(|bars| bars.timeframe),
        )
    }

    /// The defaults, with the same ages as health; a day has 24 hours where something trades around the clock.
    pub(super) fn quality_policy(&self) -> ingest_quality::Policy {
        let limits = self.health_policy().limits;
        let mut policy = ingest_quality::Policy {
            freshness_limit_seconds: PerDimension {
                daily_bars: limits.daily_bars.freshness_limit_seconds,
                intraday_trades: limits.intraday_trades.freshness_limit_seconds,
                macro_events: limits.macro_events.freshness_limit_seconds,
            },
            ..ingest_quality::Policy::default()
        };
        let is_stock = |calendar| calendar == Calendar::UsEquities;
        let mut calendars = self
            .series
            .iter()
            .map(|series| series.borrow().shape.calendar);
        if !calendars.all(is_stock) {
            (policy.session_minutes, policy.session_hours) = (24 * 60, 24);
        }
        policy
    }

    async fn ask_macro_events(&mut self) -> Result<(), StageError> {
        let now_ms = self.now_ms();
        let known = &self.asked.memory.macro_events;
        let Some(origin) = self.settings.macro_events.as_ref() else {
            return Ok(());
        };
        let is_due = macro_events::is_due(known.asked_at_ms, known.error.is_some(), now_ms);
        // The next run has the time.
        let is_late = self.ports.elapsed_ms() >= MAX_ASKING_MS;
        if !self.plan.macro_events || !is_due || is_late {
            return Ok(());
        }
        let fetched = self
            .ports
            .fetch(
                origin,
                &macro_events::request(),
                macro_events::MAX_RESPONSE_BYTES,
            )
            .await;
        let place = format!("GET {origin}{}", macro_events::PATH);
        let events = match fetched {
            Ok(fetched) if fetched.status == 200 => macro_events::parse(&fetched.body),
            Ok(fetched) => Err(format!("HTTP {}", fetched.status)),
            Err(FetchError::Denied(why) | FetchError::Unavailable(why)) => Err(why),
            Err(FetchError::TooLarge(limit)) => {
                Err(format!("the answer is longer than {limit} bytes"))
            }
        };
        self.asked.memory.macro_events.asked_at_ms = Some(now_ms);
        match events {
            Err(why) => {
                self.asked.memory.macro_events.error = Some(format!("{place}: {why}"));
                Ok(())
            }
            Ok(events) => {
                let known = &mut self.asked.memory.macro_events;
                known.answered_at_ms = Some(now_ms);
                known.error = None;
                known.events = events.len() as u64;
                let source = origin.to_string();
                self.note_events(macro_events::Calendar { source, events })
                    .await
            }
        }
    }

    /// Events that are stored already are not stored again.
    async fn note_events(&mut self, calendar: macro_events::Calendar) -> Result<(), StageError> {
        let stored = self.ports.get(macro_events::key()).await?;
        let known = stored.as_ref().and_then(|document| {
            serde_json::from_str::<macro_events::Calendar>(&document.body).ok()
        });
        if known.as_ref() != Some(&calendar) {
            let revision = stored.map(|document| document.revision);
            self.asked.events = Some(Write::over(revision, macro_events::key(), json!(calendar)));
        }
        Ok(())
    }
}
