//! The task `evaluate`: walks over the bars that closed since the last run, asks the strategies at each, and stores what
//! was decided.
//!
//! While the risk gate holds, nothing is asked and the walk stands still: when trading is turned on again, it goes on with the bars that
//! closed meanwhile, so that the record has no gap. (Orders are another matter: `execute` has its own switches.)
//!
//! A commit holds the work of at most [`EVALUATIONS_PER_COMMIT`] evaluations together with the state behind them, whether
//! anything was decided or not. A run that ends early leaves whole commits, and the next one goes on behind them: no decision is
//! lost or made twice, and a run that is ended at its deadline has come further than the one before. A strategy that failed
//! [`MAX_FAILURES_PER_RUN`] times is suspended for the rest of the run, so that one that hangs cannot use the run up.

use std::collections::BTreeMap;

use bulkhead_kernel::bar::Columns;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_kernel::money::{Notional, Price};
use bulkhead_kernel::risk_gate;
use bulkhead_kernel::stage::{
    BarsQuery, Configuration, Documents, Key, MarketData, Report, StageError, read_body, required,
};
use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_kernel::trade::{
    SHADOW_TRADES, SIGNAL_STATE, ShadowTrade, SignalState, TradeVerb, series_id,
};
use serde_json::{Value, json};

use crate::fusion::{Answer, fuse};
use crate::ledger::{Batch, Occasion, first_state};
use crate::strategies::{Strategies, StrategyInfo, StrategySignal, Window};

/// The most bars of one series that a run evaluates.
pub const BARS_PER_RUN: u32 = 1_000;
/// The most evaluations whose work one commit stores, but for a bar that takes more by itself. Even if each uses up a
/// strategy's second, the commit comes before the run's deadline of 30. A bar makes at most one decision, so a commit has at
/// most three times as many writes, and those of [`crate::ledger::MAX_OPEN_SHADOW_TRADES`] and of the state.
pub const EVALUATIONS_PER_COMMIT: usize = 16;
/// How often a strategy may fail in one run. After that it counts as failed without being asked, until the next run.
pub const MAX_FAILURES_PER_RUN: usize = 3;
/// The most series of one configuration.
pub const MAX_INSTRUMENTS: usize = 64;
/// The most strategies of one deployment.
pub const MAX_STRATEGIES: usize = 64;
/// The most bars of a lookback, as the contract says.
const MAX_LOOKBACK: u32 = 10_000;

/// The configuration of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The variable `instruments`: names parted by commas.
    pub instruments: Vec<Instrument>,
    /// The variable `timeframe`.
    pub timeframe: Timeframe,
    /// The variable `order_notional_usd`: for how much money a decision trades.
    pub order_notional: Notional,
}

impl Settings {
    /// Reads the configuration.
    ///
    /// # Errors
    /// [`StageError::Internal`] names the variable and what is wrong with it.
    pub fn read(configuration: &impl Configuration) -> Result<Self, StageError> {
        let wrong = |key: &str, why: String| {
            StageError::Internal(format!("read the variable `{key}`: {why}"))
        };
        let names: String = required(configuration, "instruments")?;
        let instruments = Instrument::parse_list(&names)
            .map_err(|error| wrong("instruments", error.to_string()))?;
        if instruments.len() > MAX_INSTRUMENTS {
            let why = format!(
                "{} instruments, expected at most {MAX_INSTRUMENTS}",
                instruments.len()
            );
            return Err(wrong("instruments", why));
        }
        let order_notional: Notional = required(configuration, "order_notional_usd")?;
        if !order_notional.is_positive() {
            return Err(wrong(
                "order_notional_usd",
                format!("{order_notional}, expected above zero"),
            ));
        }
        Ok(Self {
            instruments,
            timeframe: required(configuration, "timeframe")?,
            order_notional,
        })
    }
}

/// What the run has done so far.
#[derive(Debug, Default)]
struct Tally {
    bars: usize,
    evaluations: usize,
    failures: usize,
    /// The failures of each strategy that was asked, by its name.
    failures_by_strategy: BTreeMap<String, usize>,
    signals: usize,
    shadow_trades_opened: usize,
    shadow_trades_closed: usize,
    latest: Option<Value>,
}

/// Runs the task.
///
/// # Errors
/// The configuration, the store, the bars or the catalogue of strategies; what was stored before stays.
pub async fn evaluate(
    ports: &(impl Documents + MarketData + Strategies + Configuration),
    now_ms: i64,
) -> Result<Report, StageError> {
    let settings = Settings::read(ports)?;
    let mut tally = Tally::default();
    if let Some(halt) = risk_gate::check(ports).await {
        return Ok(Report::hold(halt.reason(), tally.output()));
    }
    let strategies = ports.catalogue().await?;
    if strategies.len() > MAX_STRATEGIES {
        let why = format!(
            "{} strategies are deployed, expected at most {MAX_STRATEGIES}",
            strategies.len()
        );
        return Err(StageError::Internal(why));
    }
    if strategies.is_empty() {
        return Ok(Report::hold("no_strategies", tally.output()));
    }
    for instrument in &settings.instruments {
        let walk = Walk {
            ports,
            settings: &settings,
            strategies: &strategies,
            instrument,
            now_ms,
        };
        walk.series(&mut tally).await?;
    }
    let report = match tally.bars {
        0 => Report::skipped("no_new_bars", tally.output()),
        _ => Report::success(tally.output()),
    };
    Ok(report
        .counted("signal_bars_total", tally.bars)
        .counted("signal_strategy_failures_total", tally.failures)
        .counted("signals_total", tally.signals)
        .counted("shadow_trades_opened_total", tally.shadow_trades_opened)
        .counted("shadow_trades_closed_total", tally.shadow_trades_closed))
}

impl Tally {
    fn output(&self) -> Value {
        json!({
            "bars_evaluated": self.bars,
            "strategies_evaluated": self.evaluations,
            "strategy_failures": self.failures,
            "signals": self.signals,
            "shadow_trades_opened": self.shadow_trades_opened,
            "shadow_trades_closed": self.shadow_trades_closed,
            "latest_decision": self.latest,
        })
    }
}

/// One series of one run.
struct Walk<'a, P> {
    ports: &'a P,
    settings: &'a Settings,
    strategies: &'a [StrategyInfo],
    instrument: &'a Instrument,
    now_ms: i64,
}

impl<P: Documents + MarketData + Strategies> Walk<'_, P> {
    async fn series(&self, tally: &mut Tally) -> Result<(), StageError> {
        let timeframe = self.settings.timeframe;
        let key = Key::new(SIGNAL_STATE, series_id(self.instrument, timeframe));
        let (state, revision) = match self.ports.get(key).await? {
            Some(document) => (
                read_body::<SignalState>(&document)?,
                Some(document.revision),
            ),
            None => (first_state(self.instrument, timeframe), None),
        };
        let (columns, first_new) = self.bars(&state).await?;
        let mut batch = Batch::new(state, revision);
        let mut uncommitted_bars = 0;
        for index in first_new..columns.len() {
            let open_time_ms = columns.open_time_ms[index];
            let as_of_ms = timeframe.close_time_ms(open_time_ms);
            if as_of_ms > self.now_ms {
                break;
            }
            batch.state.last_evaluated_ms = open_time_ms;
            self.bar(&columns, index, as_of_ms, &mut batch, tally)
                .await?;
            uncommitted_bars += 1;
            if uncommitted_bars == self.bars_per_commit() {
                self.ports.commit(batch.writes()?).await?;
                batch = batch.stored();
                uncommitted_bars = 0;
            }
        }
        if uncommitted_bars > 0 {
            self.ports.commit(batch.writes()?).await?;
        }
        Ok(())
    }

    /// How many bars are evaluated between two commits.
    fn bars_per_commit(&self) -> usize {
        (EVALUATIONS_PER_COMMIT / self.strategies.len().max(1)).max(1)
    }

    /// The new bars behind as many older ones as the longest lookback needs, and where the new ones begin.
    async fn bars(&self, state: &SignalState) -> Result<(Columns, usize), StageError> {
        let query = |start_ms, end_ms, limit, last| BarsQuery {
            instrument: self.instrument.to_string(),
            timeframe: self.settings.timeframe.to_string(),
            start_ms,
            end_ms,
            limit,
            last,
        };
        let start_ms = (state.last_evaluated_ms != i64::MIN)
            .then(|| state.last_evaluated_ms.saturating_add(1));
        let new = self
            .ports
            .read_bars(query(start_ms, None, BARS_PER_RUN, false))
            .await?;
        let Some(first_new_ms) = new.open_time_ms.first().copied() else {
            return Ok((new, 0));
        };
        let longest = self.strategies.iter().map(lookback).max().unwrap_or(1);
        if start_ms.is_none() || longest == 1 {
            return Ok((new, 0));
        }
        let mut columns = self
            .ports
            .read_bars(query(None, Some(first_new_ms), longest - 1, true))
            .await?;
        let first_new = columns.len();
        columns
            .append(new)
            .map_err(|error| StageError::Internal(error.to_string()))?;
        Ok((columns, first_new))
    }

    /// Evaluates one bar, and records what is decided.
    async fn bar(
        &self,
        columns: &Columns,
        index: usize,
        as_of_ms: i64,
        batch: &mut Batch,
        tally: &mut Tally,
    ) -> Result<(), StageError> {
        let timeframe = self.settings.timeframe.to_string();
        let mut answers = Vec::with_capacity(self.strategies.len());
        for strategy in self.strategies {
            let end = index + 1;
            let window = Window {
                instrument: self.instrument.as_str(),
                timeframe: &timeframe,
                as_of_ms,
                columns,
                first: end.saturating_sub(lookback(strategy) as usize),
                end,
            };
            let signals = self.ask(strategy, window, tally).await;
            tally.failures += usize::from(signals.is_err());
            answers.push(Answer { strategy, signals });
        }
        tally.bars += 1;
        let decision = fuse(&answers, as_of_ms);
        let recorded = match decision.verb {
            None => None,
            Some(verb) => {
                let bar = columns
                    .bar(index)
                    .ok_or_else(|| StageError::Internal("a bar went missing".to_owned()))?;
                let occasion = Occasion {
                    decision: &decision,
                    as_of_ms,
                    price: Price::new(bar.close),
                    notional: self.settings.order_notional,
                    now_ms: self.now_ms,
                };
                Some(self.record(verb, occasion, batch, tally).await?)
            }
        };
        tally.latest = Some(json!({
            "instrument": self.instrument,
            "as_of_ms": as_of_ms,
            "brain_decision": decision.brain,
            "trade_action_id": recorded,
        }));
        Ok(())
    }

    /// Asks one strategy, unless it failed too often in this run.
    async fn ask(
        &self,
        strategy: &StrategyInfo,
        window: Window<'_>,
        tally: &mut Tally,
    ) -> Result<Vec<StrategySignal>, String> {
        let failures = tally.failures_by_strategy.get(&strategy.name);
        if failures.is_some_and(|failures| *failures >= MAX_FAILURES_PER_RUN) {
            return Err(format!(
                "suspended for this run after {MAX_FAILURES_PER_RUN} failures"
            ));
        }
        tally.evaluations += 1;
        let signals = self.ports.evaluate(&strategy.name, window).await;
        if signals.is_err() {
            let name = strategy.name.clone();
            *tally.failures_by_strategy.entry(name).or_default() += 1;
        }
        signals
    }

    async fn record(
        &self,
        verb: TradeVerb,
        occasion: Occasion<'_>,
        batch: &mut Batch,
        tally: &mut Tally,
    ) -> Result<String, StageError> {
        for id in batch.missing_trades() {
            let Some(document) = self.ports.get(Key::new(SHADOW_TRADES, &id)).await? else {
                return Err(StageError::Internal(format!(
                    "the open shadow trade `{id}` does not exist"
                )));
            };
            batch.hold_trade(document.revision, read_body::<ShadowTrade>(&document)?);
        }
        let open_before = batch.state.open_shadow_trades.clone();
        let action = batch.record(verb, occasion)?;
        let still_open = &batch.state.open_shadow_trades;
        tally.signals += 1;
        tally.shadow_trades_closed += open_before
            .iter()
            .filter(|id| !still_open.contains(id))
            .count();
        tally.shadow_trades_opened += still_open
            .iter()
            .filter(|id| !open_before.contains(id))
            .count();
        Ok(action.trade_action_id)
    }
}

fn lookback(strategy: &StrategyInfo) -> u32 {
    strategy.lookback_bars.clamp(1, MAX_LOOKBACK)
}
