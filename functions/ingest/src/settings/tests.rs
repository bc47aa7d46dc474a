#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use bulkhead_kernel::instrument::Instrument;

use super::{Backfill, MAX_SYMBOLS, Settings};

pub(crate) fn read(changes: &[(&str, Option<&str>)]) -> Result<Settings, String> {
    let defaults = [
        ("market_data_url", Some("http://127.0.0.1:7878")),
        ("instruments", Some("BTC-USDT, ETH-USDT")),
        ("timeframe", Some("1m")),
    ];
    Settings::read(|key| {
        let entry = changes
            .iter()
            .chain(&defaults)
            .find(|(name, _)| *name == key);
        Ok(entry.and_then(|(_, value)| value.map(str::to_owned)))
    })
}

#[test]
fn settings_are_read_from_the_configuration() {
    let settings = read(&[]).unwrap();
    let sources: Vec<String> = settings.sources.iter().map(ToString::to_string).collect();
    assert_eq!(sources, ["primary binance http://127.0.0.1:7878"]);
    assert_eq!(settings.instruments[1].as_str(), "ETH-USDT");
    assert_eq!(settings.backfill, Backfill::Latest);
    assert_eq!(settings.max_bar_jump.unwrap().to_string(), "0.5");
    assert!(settings.daily_bars.is_empty() && settings.macro_events.is_none());
    let settings = read(&[
        ("market_data_url", Some("https://api.binance.com/mirror/")),
        ("backfill_start", Some("1700000000000")),
        ("max_bar_jump", Some("0")),
    ])
    .unwrap();
    assert_eq!(
        settings.sources[0].origin.to_string(),
        "https://api.binance.com/mirror"
    );
    assert_eq!(settings.backfill, Backfill::From(1_700_000_000_000));
    assert_eq!(settings.max_bar_jump, None);
}

#[test]
fn sources_stand_in_the_order_primary_second_venue_bar_file() {
    let settings = read(&[
        ("market_data_venue", Some("alpaca")),
        ("market_data_url", Some("https://data.alpaca.markets")),
        ("bar_file_enabled", Some("1")),
        ("bar_file_url", Some("http://127.0.0.1:7879")),
        ("fallback_market_data_venue", Some("binance")),
        ("fallback_market_data_url", Some("https://api.binance.com")),
    ])
    .unwrap();
    let sources: Vec<String> = settings.sources.iter().map(ToString::to_string).collect();
    assert_eq!(
        sources,
        [
            "primary alpaca https://data.alpaca.markets",
            "secondary binance https://api.binance.com",
            "bar_file binance http://127.0.0.1:7879",
        ]
    );
    assert!(settings.knows_stocks());
}

#[test]
fn instruments_are_the_list_that_the_signal_stage_reads() {
    for list in [
        "btc-usdt,ETH-usdt",
        " BTC-USDT ,, eth-usdt",
        "btc-usdt,BTC-USDT",
    ] {
        let settings = read(&[("instruments", Some(list))]).unwrap();
        assert_eq!(
            settings.instruments,
            Instrument::parse_list(list).unwrap(),
            "{list}"
        );
    }
}

#[test]
fn a_dimension_has_a_bounded_number_of_symbols() {
    let list = |count| {
        let names: Vec<String> = (0..count).map(|index| format!("A{index}-USDT")).collect();
        names.join(",")
    };
    for key in ["instruments", "daily_bars"] {
        assert!(read(&[(key, Some(&list(MAX_SYMBOLS)))]).is_ok());
        let error = read(&[(key, Some(&list(MAX_SYMBOLS + 1)))]).unwrap_err();
        assert_eq!(error, format!("`{key}` names more than 512"));
    }
}

#[test]
fn a_setting_that_is_absent_or_malformed_is_named() {
    for (key, value, text) in [
        ("market_data_url", None, "`market_data_url`"),
        ("market_data_url", Some("ftp://x"), "http://"),
        ("market_data_url", Some("http://"), "host"),
        ("market_data_url", Some("http://user@host"), "host"),
        ("market_data_url", Some("http://h\r\nX: y"), "host"),
        ("market_data_url", Some("http://h/?x=1"), "path"),
        ("market_data_venue", Some("kraken"), "`market_data_venue`"),
        (
            "fallback_market_data_venue",
            Some("x"),
            "`fallback_market_data_venue`",
        ),
        (
            "fallback_market_data_venue",
            Some("alpaca"),
            "`fallback_market_data_url`",
        ),
        ("bar_file_enabled", Some("1"), "`bar_file_url`"),
        ("bar_file_enabled", Some("maybe"), "`bar_file_enabled`"),
        ("macro_events_enabled", Some("1"), "`macro_events_url`"),
        ("alpaca_feed", Some("otc"), "`alpaca_feed`"),
        ("alpaca_adjustment", Some("some"), "`alpaca_adjustment`"),
        ("max_bar_jump", Some("-1"), "`max_bar_jump`"),
        ("max_bar_jump", Some("half"), "`max_bar_jump`"),
        ("instruments", Some(" , "), "names none"),
        ("instruments", Some("A B"), "`A B`"),
        ("daily_bars", Some("A B"), "`daily_bars`"),
        ("timeframe", Some("1 minute"), "`timeframe`"),
        ("backfill_start", Some("yesterday"), "`backfill_start`"),
        ("backfill_start", Some("-1"), "`backfill_start`"),
    ] {
        let error = read(&[(key, value)]).unwrap_err();
        assert!(error.contains(text), "{key}={value:?}: {error}");
    }
}
