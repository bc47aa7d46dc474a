//! `GET /api/v3/exchangeInfo`.

use bulkhead_venues::binance::Symbols;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{Refusal, named, selected};
use crate::query::Query;
use crate::series::{Series, VENUE_DECIMAL_PLACES};
use crate::venue::Venue;

/// How far a price may lie from the smallest step, in steps.
const PRICE_STEPS: u64 = 100_000_000_000;
/// The same of a quantity.
const SIZE_STEPS: u64 = 1_000_000_000_000;

/// The rules of the symbols. A paper venue trades all day, by the steps of its files.
pub(super) fn body(venue: &Venue, query: &Query) -> Result<String, Refusal> {
    let [symbol, symbols, permissions] = query.all(["symbol", "symbols", "permissions"])?;
    let asked = named(symbol, symbols)?;
    if permissions.is_some() && asked != Symbols::All {
        return Err(super::refused(
            -1128,
            "Combination of optional parameters invalid. Recommendation: 'permissions' cannot be used with 'symbol' or 'symbols'.",
        ));
    }
    let is_spot = permissions.is_none_or(|permissions| permissions.contains("SPOT"));
    let mut rules = Vec::new();
    for (name, one) in selected(&venue.replay, &asked)? {
        if let (true, Some((base, quote))) = (is_spot, one.series.assets()) {
            rules.push(rules_of(&name, base, quote, &one.series));
        }
    }
    Ok(json!({
        "timezone": "UTC",
        "serverTime": venue.replay.now_ms(),
        "rateLimits": [{
            "rateLimitType": "REQUEST_WEIGHT",
            "interval": "MINUTE",
            "intervalNum": 1,
            "limit": venue.budgets().binance_weight,
        }],
        "exchangeFilters": [],
        "symbols": rules,
    })
    .to_string())
}

fn rules_of(name: &str, base: &str, quote: &str, series: &Series) -> Value {
    json!({
        "symbol": name,
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": VENUE_DECIMAL_PLACES,
        "quoteAsset": quote,
        "quotePrecision": VENUE_DECIMAL_PLACES,
        "quoteAssetPrecision": VENUE_DECIMAL_PLACES,
        "baseCommissionPrecision": VENUE_DECIMAL_PLACES,
        "quoteCommissionPrecision": VENUE_DECIMAL_PLACES,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": true,
        "ocoAllowed": true,
        "quoteOrderQtyMarketAllowed": true,
        "allowTrailingStop": true,
        "cancelReplaceAllowed": true,
        "isSpotTradingAllowed": true,
        "isMarginTradingAllowed": false,
        "filters": filters(series),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    })
}

fn filters(series: &Series) -> Value {
    let text = |value: Decimal| value.to_string();
    let (tick, step) = (series.price_step, series.size_step);
    let most_price = tick.saturating_mul(Decimal::from(PRICE_STEPS));
    let most_size = step.saturating_mul(Decimal::from(SIZE_STEPS));
    json!([
        {"filterType": "PRICE_FILTER", "minPrice": text(tick), "maxPrice": text(most_price), "tickSize": text(tick)},
        {"filterType": "LOT_SIZE", "minQty": text(step), "maxQty": text(most_size), "stepSize": text(step)},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0", "maxQty": text(most_size), "stepSize": "0"},
        {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000, "minTrailingBelowDelta": 10, "maxTrailingBelowDelta": 2000},
        {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2", "askMultiplierUp": "5", "askMultiplierDown": "0.2", "avgPriceMins": 5},
        {"filterType": "NOTIONAL", "minNotional": "5", "applyMinToMarket": true, "maxNotional": "9000000", "applyMaxToMarket": false, "avgPriceMins": 5},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ])
}
