//! One decision of the strategies' answers.
//!
//! The signals are fused by the brain ([`crate::pipeline::brain`]); a strategy's kind is the signal's type. A strategy that
//! failed counts as a hold of confidence 0, with its error. A single sure `close-all` (confidence above 0) overrides the
//! fusion: leaving the market is never outvoted. What strategies say in words is bounded ([`crate::record`]).

use bulkhead_kernel::trade::TradeVerb;
use serde_json::{Map, Value, json};

use crate::pipeline::brain;
use crate::record::{self, Share};
use crate::strategies::{StrategyAction, StrategyInfo, StrategySignal};

/// The most signals of one strategy that count.
pub const MAX_SIGNALS_PER_STRATEGY: usize = 16;

/// What one strategy answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<'a> {
    /// Who answered.
    pub strategy: &'a StrategyInfo,
    /// Its signals, or why there are none.
    pub signals: Result<Vec<StrategySignal>, String>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What is to be done. None: hold.
    pub verb: Option<TradeVerb>,
    /// The brain's decision: `action`, `confidence`, `rationale`, `meta`.
    pub brain: Value,
    /// The signals that it was made of, by name.
    pub signals: Value,
}

/// Fuses the answers of all strategies for one instant.
#[must_use]
pub fn fuse(answers: &[Answer<'_>], as_of_ms: i64) -> Decision {
    let share = Share::of(answers.iter().map(entries).sum());
    let mut signals = Map::new();
    let mut close_all: Option<f64> = None;
    for answer in answers {
        let given = match &answer.signals {
            Ok(given) => given.iter().take(MAX_SIGNALS_PER_STRATEGY).collect(),
            Err(error) => {
                signals.insert(
                    answer.strategy.name.clone(),
                    failed(answer.strategy, as_of_ms, error, share),
                );
                vec![]
            }
        };
        for (index, signal) in given.into_iter().enumerate() {
            let name = match index {
                0 => answer.strategy.name.clone(),
                more => format!("{}#{}", answer.strategy.name, more + 1),
            };
            if !signal.strength.is_finite() || !signal.confidence.is_finite() {
                signals.insert(
                    name,
                    failed(
                        answer.strategy,
                        as_of_ms,
                        "strength and confidence must be finite",
                        share,
                    ),
                );
                continue;
            }
            let confidence = signal.confidence.clamp(0.0, 1.0);
            if signal.action == StrategyAction::CloseAll && confidence > 0.0 {
                close_all = Some(close_all.map_or(confidence, |most| most.max(confidence)));
            }
            let entry = entry(answer.strategy, as_of_ms, signal, confidence, share);
            signals.insert(name, entry);
        }
    }
    let signals = Value::Object(signals);
    let mut brain = brain::fuse(&signals);
    let verb = if let Some(confidence) = close_all {
        brain["action"] = TradeVerb::CloseAll.as_str().into();
        brain["confidence"] = confidence.into();
        Some(TradeVerb::CloseAll)
    } else {
        match brain["action"].as_str() {
            Some("buy") => Some(TradeVerb::Buy),
            Some("sell") => Some(TradeVerb::Sell),
            _ => None,
        }
    };
    Decision {
        verb,
        brain,
        signals,
    }
}

/// How many entries an answer makes in the record.
fn entries(answer: &Answer<'_>) -> usize {
    match &answer.signals {
        Ok(signals) => signals.len().min(MAX_SIGNALS_PER_STRATEGY),
        Err(_) => 1,
    }
}

fn entry(
    strategy: &StrategyInfo,
    as_of_ms: i64,
    signal: &StrategySignal,
    confidence: f64,
    share: Share,
) -> Value {
    let strength = match signal.action {
        StrategyAction::Hold | StrategyAction::CloseAll => 0.0,
        StrategyAction::Buy | StrategyAction::Sell => signal.strength.clamp(-1.0, 1.0),
    };
    json!({
        "type": record::kind(&strategy.kind),
        "provider_id": strategy.name,
        "action": signal.action.as_str(),
        "strength": strength,
        "confidence": confidence,
        "rationale": share.rationale(&signal.rationale),
        "timestamp": as_of_ms,
        "metadata": share.metadata(&signal.metadata),
    })
}

fn failed(strategy: &StrategyInfo, as_of_ms: i64, error: &str, share: Share) -> Value {
    json!({
        "type": record::kind(&strategy.kind),
        "provider_id": strategy.name,
        "action": "hold",
        "strength": 0.0,
        "confidence": 0.0,
        "rationale": "the strategy failed",
        "timestamp": as_of_ms,
        "metadata": share.error(error),
    })
}

#[cfg(test)]
mod tests {
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn strategy(name: &str, kind: &str) -> StrategyInfo {
        StrategyInfo {
            name: name.into(),
            kind: kind.into(),
            lookback_bars: 2,
        }
    }

    fn signal(action: StrategyAction, strength: f64, confidence: f64) -> StrategySignal {
        StrategySignal {
            action,
            strength,
            confidence,
            rationale: "because".into(),
            metadata: String::new(),
        }
    }

    #[test]
    fn a_failing_strategy_is_a_hold_of_confidence_zero_with_its_error() {
        let (good, bad) = (strategy("good", "momentum"), strategy("bad", "momentum"));
        let decision = fuse(
            &[
                Answer {
                    strategy: &bad,
                    signals: Err("it trapped".into()),
                },
                Answer {
                    strategy: &good,
                    signals: Ok(vec![signal(StrategyAction::Buy, 1.0, 0.8)]),
                },
            ],
            7,
        );
        assert_eq!(decision.verb, Some(TradeVerb::Buy));
        assert_eq!(decision.signals["bad"]["action"], "hold");
        assert_eq!(decision.signals["bad"]["confidence"], 0.0);
        assert_eq!(decision.signals["bad"]["metadata"]["error"], "it trapped");
        assert_eq!(decision.brain["confidence"], 0.4, "the mean over both");
    }

    #[test]
    fn kinds_weigh_as_in_the_brain() {
        let (news, reversion) = (strategy("n", "news"), strategy("r", "mean_reversion"));
        let decision = fuse(
            &[
                Answer {
                    strategy: &news,
                    signals: Ok(vec![signal(StrategyAction::Sell, -1.0, 1.0)]),
                },
                Answer {
                    strategy: &reversion,
                    signals: Ok(vec![signal(StrategyAction::Buy, 1.0, 1.0)]),
                },
            ],
            7,
        );
        assert_eq!(decision.verb, Some(TradeVerb::Sell));
    }

    #[test]
    fn leaving_the_market_is_never_outvoted() {
        let (a, b) = (strategy("a", "momentum"), strategy("b", "momentum"));
        let decision = fuse(
            &[
                Answer {
                    strategy: &a,
                    signals: Ok(vec![signal(StrategyAction::Buy, 1.0, 1.0)]),
                },
                Answer {
                    strategy: &b,
                    signals: Ok(vec![signal(StrategyAction::CloseAll, 0.0, 0.3)]),
                },
            ],
            7,
        );
        assert_eq!(decision.verb, Some(TradeVerb::CloseAll));
        assert_eq!(
            (&decision.brain["action"], &decision.brain["confidence"]),
            (&json!("close_all"), &json!(0.3))
        );
    }

    #[test]
    fn numbers_that_are_none_or_out_of_range_cannot_sway_the_decision() {
        let a = strategy("a", "momentum");
        let given = vec![
            signal(StrategyAction::Buy, f64::NAN, 1.0),
            signal(StrategyAction::Hold, 1.0, 9.0),
        ];
        let decision = fuse(
            &[Answer {
                strategy: &a,
                signals: Ok(given),
            }],
            7,
        );
        assert_eq!(decision.verb, None);
        assert_eq!(decision.signals["a#2"]["confidence"], 1.0);
    }

    #[test]
    fn a_signal_whose_words_are_too_many_keeps_its_action() {
        let a = strategy("a", &"k".repeat(1_000_000));
        let deep = format!("{}{}", "[".repeat(125), "]".repeat(125));
        for metadata in [deep, "x".repeat(5_000_000)] {
            let signals = vec![StrategySignal {
                rationale: "é".repeat(3_000_000),
                metadata,
                ..signal(StrategyAction::Buy, 1.0, 0.8)
            }];
            let decision = fuse(
                &[Answer {
                    strategy: &a,
                    signals: Ok(signals),
                }],
                7,
            );
            assert_eq!(decision.verb, Some(TradeVerb::Buy));
            let entry = &decision.signals["a"];
            assert_eq!(entry["type"], "other");
            assert!(entry["metadata"]["left_out"].is_string(), "{entry}");
            assert!(entry["rationale"].as_str().unwrap().ends_with("é…"));
            assert!(entry.to_string().len() < 10_000);
            assert!(decision.brain.to_string().len() < 1_000);
        }
    }

    #[test]
    fn no_strategy_at_all_holds() {
        assert_eq!(fuse(&[], 7).verb, None);
    }
}
