//! The built-in strategies for Spin, statically linked.
//!
//! Where `bulkhead up` instantiates each strategy of the manifest in a sandbox of its own, Spin has no component that
//! could be called so: this one answers for all of them, and imports nothing. A strategy that is not built in is
//! added here, or plugged into the composition in this component's place.

#[cfg(target_os = "wasi")]
mod component;

use ema_cross::{Error, Info, Signal, View};

/// A strategy that is linked in.
#[derive(Clone, Copy)]
struct BuiltIn {
    describe: fn() -> Info,
    evaluate: fn(&View<'_>) -> Result<Vec<Signal>, Error>,
}

/// Ascending by name.
const BUILT_IN: &[BuiltIn] = &[BuiltIn {
    describe: ema_cross::describe,
    evaluate: ema_cross::evaluate,
}];

/// What the strategies say about themselves, ascending by name.
pub fn catalogue() -> Vec<Info> {
    BUILT_IN
        .iter()
        .map(|strategy| (strategy.describe)())
        .collect()
}

/// Asks one strategy. None: there is none of that name.
pub fn evaluate(name: &str, view: &View<'_>) -> Option<Result<Vec<Signal>, Error>> {
    let strategy = BUILT_IN
        .iter()
        .find(|strategy| (strategy.describe)().name == name)?;
    Some((strategy.evaluate)(view))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: View<'_> = View {
        instrument: "BTC-USDT",
        timeframe: "1m",
        as_of_ms: 0,
        price_scale: 2,
        volume_scale: 0,
        open_time_ms: &[],
        open: &[],
        high: &[],
        low: &[],
        close: &[],
        volume: &[],
        parameters: "",
    };

    #[test]
    fn the_catalogue_ascends_by_name_without_repeats() {
        let names: Vec<&str> = catalogue().iter().map(|info| info.name).collect();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        assert!(names.contains(&ema_cross::NAME));
    }

    #[test]
    fn every_strategy_of_the_catalogue_answers_as_it_does_alone() {
        for info in catalogue() {
            assert!(evaluate(info.name, &EMPTY).is_some(), "{}", info.name);
        }
        assert_eq!(
            evaluate(ema_cross::NAME, &EMPTY),
            Some(ema_cross::evaluate(&EMPTY))
        );
    }

    #[test]
    fn a_strategy_that_is_not_linked_in_is_unknown() {
        assert_eq!(evaluate("moon-phase", &EMPTY), None);
    }
}
