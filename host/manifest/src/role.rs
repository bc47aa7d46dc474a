//! What a component is, and what its WIT world can use. A grant for what the world does not import is a mistake.

use std::fmt;

use serde::Serialize;

use crate::egress::EgressClass;
use crate::names::{check_kebab_id, did_you_mean};
use crate::problem::{Findings, quoted};
use crate::section::Section;

/// Which of the pipeline's stages a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageKind {
    /// Pulls or receives raw frames and stores bars.
    Ingest,
    /// Asks the strategies and fuses their answers.
    GenerateTradingSignal,
    /// Turns trade actions into order intents; the only stage that may send order entry.
    Execute,
    /// Marks shadow trades, keeps the risk flags.
    Pulse,
    /// Runs the deployed pipeline in fake mode and checks its evidence.
    Canary,
}

impl StageKind {
    /// Every stage, in the pipeline's order.
    pub const ALL: [Self; 5] = [
        Self::Ingest,
        Self::GenerateTradingSignal,
        Self::Execute,
        Self::Pulse,
        Self::Canary,
    ];

    /// The name in the manifest, which is the name of the stage's WIT world.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::GenerateTradingSignal => "generate-trading-signal",
            Self::Execute => "execute",
            Self::Pulse => "pulse",
            Self::Canary => "canary",
        }
    }

    /// The stage in a sentence, for example "an `ingest` stage".
    pub(crate) fn in_words(self) -> String {
        let article = if matches!(self, Self::Ingest | Self::Execute) {
            "an"
        } else {
            "a"
        };
        format!("{article} `{self}` stage")
    }

    /// The classes of egress that the stage may hold. None: its world imports no HTTP client.
    pub fn egress_classes(self) -> &'static [EgressClass] {
        match self {
            Self::Ingest => &[EgressClass::MarketData],
            Self::Pulse => &[EgressClass::MarketData, EgressClass::Account],
            Self::Execute => &EgressClass::ALL,
            Self::GenerateTradingSignal | Self::Canary => &[],
        }
    }

    /// Whether the stage's world imports `market-data`.
    pub fn imports_market_data(self) -> bool {
        matches!(
            self,
            Self::Ingest | Self::GenerateTradingSignal | Self::Pulse
        )
    }
}

impl fmt::Display for StageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a component is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A stage: `stage = "…"`.
    Stage(StageKind),
    /// A strategy, which has no authority at all: `strategy = "…"`.
    Strategy {
        /// The name under which stages ask it.
        name: String,
    },
}

impl Role {
    /// The stage, if it is one.
    pub fn stage(&self) -> Option<StageKind> {
        match self {
            Self::Stage(kind) => Some(*kind),
            Self::Strategy { .. } => None,
        }
    }

    pub(crate) fn read(found: &mut Findings<'_>, table: &Section<'_>) -> Option<Self> {
        let stage = table.text(found, "stage");
        let strategy = table.text(found, "strategy");
        match (stage, strategy) {
            (Some(_), Some(strategy)) => {
                found.add(
                    &strategy.span,
                    format!(
                        "{} has both a `stage` and a `strategy`: it is one or the other",
                        table.name
                    ),
                );
                None
            }
            (Some(stage), None) => {
                let kind = StageKind::ALL
                    .into_iter()
                    .find(|kind| kind.as_str() == stage.value);
                if kind.is_none() {
                    let hint = did_you_mean(stage.value, StageKind::ALL.map(StageKind::as_str));
                    found.push(
                        &stage.span,
                        format!("{} is not a stage", quoted(stage.value)),
                        hint,
                    );
                }
                kind.map(Self::Stage)
            }
            (None, Some(strategy)) => match check_kebab_id(strategy.value) {
                Ok(()) => Some(Self::Strategy {
                    name: strategy.value.to_owned(),
                }),
                Err(message) => {
                    found.add(&strategy.span, format!("the strategy {message}"));
                    None
                }
            },
            (None, None) => {
                if table.get("stage").is_none() && table.get("strategy").is_none() {
                    let message = format!(
                        "{} says neither which `stage` it is nor which `strategy`",
                        table.name
                    );
                    found.add_with_hint(
                        &table.span,
                        message,
                        "add for example `stage = \"ingest\"`",
                    );
                }
                None
            }
        }
    }
}
