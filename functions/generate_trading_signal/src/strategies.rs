//! What the stage needs of strategies, as the interface `strategies` gives it.

use bulkhead_kernel::bar::Columns;
use bulkhead_kernel::stage::StageError;

/// What a strategy says about itself, as far as the stage needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrategyInfo {
    /// Its name.
    pub name: String,
    /// What kind of signal it gives, which decides its weight.
    pub kind: String,
    /// How many bars it wants to see.
    pub lookback_bars: u32,
}

/// What a strategy is shown: a stretch of the bars that were read.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// The instrument.
    pub instrument: &'a str,
    /// The bars' length.
    pub timeframe: &'a str,
    /// The instant of the decision, in Unix milliseconds.
    pub as_of_ms: i64,
    /// All bars that were read.
    pub columns: &'a Columns,
    /// The first bar that is shown.
    pub first: usize,
    /// The bar behind the last that is shown. `first <= end <= columns.len()`.
    pub end: usize,
}

/// What a strategy would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategyAction {
    /// Go long.
    Buy,
    /// Go short.
    Sell,
    /// Stay as it is.
    Hold,
    /// Leave all positions.
    CloseAll,
}

impl StrategyAction {
    /// `buy`, `sell`, `hold` or `close_all`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
            Self::Hold => "hold",
            Self::CloseAll => "close_all",
        }
    }
}

/// A strategy's opinion.
#[derive(Debug, Clone, PartialEq)]
pub struct StrategySignal {
    /// What to do.
    pub action: StrategyAction,
    /// How strongly, from -1 (sell) to 1 (buy).
    pub strength: f64,
    /// How sure, from 0 to 1.
    pub confidence: f64,
    /// Why, in words.
    pub rationale: String,
    /// JSON object of further values. Empty text means `{}`.
    pub metadata: String,
}

/// The interface `strategies`.
#[allow(
    async_fn_in_trait,
    reason = "a component runs on one thread: its futures need not be Send"
)]
pub trait Strategies {
    /// The deployed strategies, ascending by name.
    async fn catalogue(&self) -> Result<Vec<StrategyInfo>, StageError>;
    /// Asks one strategy. The error says why it gave no signal; it is recorded, and the others are asked all the same.
    async fn evaluate(&self, name: &str, window: Window<'_>)
    -> Result<Vec<StrategySignal>, String>;
}
