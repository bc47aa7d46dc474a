#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const FAST_2_SLOW_3: &str = r#"{"fast":2,"slow":3}"#;

fn ask(closes: &[i64], parameters: &str) -> Result<Vec<Signal>, Error> {
    let times: Vec<i64> = (0..closes.len() as i64)
        .map(|index| index * 60_000)
        .collect();
    evaluate(&View {
        instrument: "BTC-USDT",
        timeframe: "1m",
        as_of_ms: 0,
        price_scale: 0,
        volume_scale: 0,
        open_time_ms: &times,
        open: closes,
        high: closes,
        low: closes,
        close: closes,
        volume: closes,
        parameters,
    })
}

fn one(closes: &[i64], parameters: &str) -> Signal {
    let mut signals = ask(closes, parameters).unwrap();
    assert_eq!(signals.len(), 1);
    signals.remove(0)
}

#[test]
fn the_average_follows_the_published_ten_day_example() {
    // StockCharts ChartSchool, "Moving Averages - Simple and Exponential": closes and their 10-day EMA.
    let closes = [
        22.27, 22.19, 22.08, 22.17, 22.18, 22.13, 22.23, 22.43, 22.24, 22.29, 22.15, 22.39, 22.38,
        22.61, 23.36, 24.05, 23.75, 23.83, 23.95, 23.63,
    ];
    let published = [
        22.22, 22.21, 22.24, 22.27, 22.33, 22.52, 22.80, 22.97, 23.13, 23.28, 23.34,
    ];
    for (index, pair) in published.windows(2).enumerate() {
        let ema = Ema::last_two(10, closes[..=index + 10].iter().copied()).unwrap();
        assert!((ema.previous - pair[0]).abs() < 0.0051, "{ema:?} {pair:?}");
        assert!((ema.last - pair[1]).abs() < 0.0051, "{ema:?} {pair:?}");
    }
}

#[test]
fn an_average_needs_one_bar_more_than_its_period() {
    assert_eq!(Ema::last_two(3, [1.0, 2.0, 3.0].into_iter()), None);
    assert_eq!(
        Ema::last_two(3, [1.0, 2.0, 3.0, 4.0].into_iter()),
        Some(Ema {
            previous: 2.0,
            last: 3.0
        })
    );
    assert_eq!(Ema::last_two(0, [1.0].into_iter()), None);
}

#[test]
fn a_cross_above_buys() {
    // EMA 2: 9.5 8.5 7.5 10.5; EMA 3: 9 8 10, by hand.
    let signal = one(&[10, 9, 8, 7, 12], FAST_2_SLOW_3);
    assert_eq!(
        (signal.action, signal.strength, signal.confidence),
        (Action::Buy, 1.0, 1.0)
    );
    let metadata: serde_json::Value = serde_json::from_str(&signal.metadata).unwrap();
    assert!((metadata["fast_ema"].as_f64().unwrap() - 10.5).abs() < 1e-9);
    assert!((metadata["slow_ema"].as_f64().unwrap() - 10.0).abs() < 1e-9);
}

#[test]
fn a_cross_below_sells() {
    // EMA 2: 10.5 11.5 12.5 9.5; EMA 3: 11 12 10, by hand.
    let signal = one(&[10, 11, 12, 13, 8], FAST_2_SLOW_3);
    assert_eq!((signal.action, signal.strength), (Action::Sell, -1.0));
}

#[test]
fn confidence_is_the_relative_distance_in_units_of_ten_basis_points() {
    // EMA 2: 999.5 998.5 997.5 1000.5; EMA 3: 999 998 1000: 5 basis points apart.
    let signal = one(&[1000, 999, 998, 997, 1002], FAST_2_SLOW_3);
    assert!(
        (signal.confidence - 0.5).abs() < 1e-9,
        "{}",
        signal.confidence
    );
}

#[test]
fn a_faint_cross_keeps_the_least_confidence() {
    let signal = one(
        &[1_000_000, 999_999, 999_998, 999_997, 1_000_002],
        FAST_2_SLOW_3,
    );
    assert_eq!(
        (signal.action, signal.confidence),
        (Action::Buy, MIN_CONFIDENCE)
    );
}

#[test]
fn a_cross_on_an_earlier_bar_is_over() {
    let signal = one(&[10, 9, 8, 7, 12, 13], FAST_2_SLOW_3);
    assert_eq!((signal.action, signal.confidence), (Action::Hold, 0.0));
}

#[test]
fn a_flat_market_holds() {
    assert_eq!(one(&[100; 60], "").action, Action::Hold);
}

#[test]
fn too_few_bars_hold() {
    for bars in [0, 1, 26] {
        assert_eq!(
            one(&vec![100; bars], "{}").rationale,
            format!("{bars} bars of the 27 needed")
        );
    }
}

#[test]
fn parameters_against_the_schema_are_refused() {
    for parameters in [
        "[]",
        "{",
        r#"{"fast":0}"#,
        r#"{"fast":26}"#,
        r#"{"fast":1.5}"#,
        r#"{"slow":1001}"#,
        r#"{"slow":-1}"#,
        r#"{"medium":5}"#,
    ] {
        assert!(
            matches!(ask(&[1; 30], parameters), Err(Error::InvalidParameters(_))),
            "{parameters}"
        );
    }
    serde_json::from_str::<serde_json::Value>(PARAMETERS_SCHEMA).unwrap();
}

#[test]
fn a_malformed_view_is_refused() {
    assert!(matches!(ask(&[1, 0, 1], ""), Err(Error::InvalidView(_))));
    assert!(matches!(
        ask(&vec![1; MAX_BARS + 1], ""),
        Err(Error::InvalidView(_))
    ));
    let ragged = View {
        instrument: "",
        timeframe: "",
        as_of_ms: 0,
        price_scale: 0,
        volume_scale: 0,
        open_time_ms: &[1],
        open: &[1],
        high: &[1],
        low: &[1],
        close: &[],
        volume: &[1],
        parameters: "",
    };
    assert!(matches!(evaluate(&ragged), Err(Error::InvalidView(_))));
    let wide = View {
        close: &[1],
        price_scale: 13,
        ..ragged
    };
    assert!(matches!(evaluate(&wide), Err(Error::InvalidView(_))));
}
