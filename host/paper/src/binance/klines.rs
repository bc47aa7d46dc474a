//! `GET /api/v3/klines`.

use bulkhead_kernel::timeframe::Timeframe;
use bulkhead_venues::binance::klines::MAX_LIMIT;

use super::{Refusal, check_symbol, integer, mandatory, refused, unknown_symbol};
use crate::Replay;
use crate::answer::array;
use crate::fault::Disorder;
use crate::query::Query;
use crate::replay::Selected;
use crate::series::{Api, EVENTS, Series};

/// How many klines are served when the request does not say.
const DEFAULT_LIMIT: usize = 500;
/// The intervals of the REST documentation, but for `1M`: no bar here is as long as a month.
const INTERVALS: [&str; 15] = [
    "1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w",
];
/// The zones that are UTC: the only one that klines are served in.
const UTC: [&str; 5] = ["0", "+0", "0:00", "00:00", "+00:00"];

/// With a start the first klines of the range, without one the last, as Binance answers.
pub(super) fn body(
    replay: &Replay,
    query: &Query,
    disorder: Option<Disorder>,
) -> Result<String, Refusal> {
    let names = [
        "symbol",
        "interval",
        "startTime",
        "endTime",
        "timeZone",
        "limit",
    ];
    let [symbol, interval, start, end, zone, limit] = query.all(names)?;
    let symbol = mandatory("symbol", symbol)?;
    check_symbol(symbol)?;
    if replay.finest(Api::Binance, symbol).is_none() {
        return Err(unknown_symbol());
    }
    let selected = select(replay, symbol, mandatory("interval", interval)?)
        .ok_or_else(|| refused(-1120, "Invalid interval."))?;
    let start = start.map(|text| integer("startTime", text)).transpose()?;
    let end = end.map(|text| integer("endTime", text)).transpose()?;
    if zone.is_some_and(|zone| !UTC.contains(&zone)) {
        return Err(not_valid("timeZone"));
    }
    let limit = match limit {
        None => DEFAULT_LIMIT,
        Some(text) => usize::try_from(integer("limit", text)?)
            .ok()
            .filter(|limit| (1..=usize::from(MAX_LIMIT)).contains(limit))
            .ok_or_else(|| not_valid("limit"))?,
    };
    let mut range = replay.range(&selected, start, end);
    let taken = Disorder::takes(disorder, limit).min(range.len());
    if start.is_some() {
        range.end = range.start + taken;
    } else {
        range.start = range.end - taken;
    }
    if !range.is_empty() {
        replay.count_served(&selected, range.end);
    }
    let rows = range.filter_map(|place| kline(&selected.series, place));
    let mut rows: Vec<String> = rows.collect();
    if let Some(disorder) = disorder {
        disorder.apply(&mut rows, limit);
    }
    Ok(array(&rows))
}

fn not_valid(name: &str) -> Refusal {
    refused(
        -1130,
        format!("Data sent for parameter '{name}' is not valid."),
    )
}

/// The series of an interval: that of a file whatever its length, others as the documentation lists them.
pub(super) fn select(replay: &Replay, symbol: &str, interval: &str) -> Option<Selected> {
    let timeframe: Timeframe = interval.parse().ok()?;
    let selected = replay.select(Api::Binance, symbol, timeframe)?;
    (selected.is_of_a_file() || INTERVALS.contains(&interval)).then_some(selected)
}

/// The twelve elements.
fn kline(series: &Series, place: usize) -> Option<String> {
    let bar = series.bars.get(place)?;
    let candle = series.candle(place, EVENTS)?;
    Some(format!(
        r#"[{},"{}","{}","{}","{}","{}",{},"{}",{},"{}","{}","0"]"#,
        bar.open_time_ms,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        series.timeframe.close_time_ms(bar.open_time_ms) - 1,
        candle.quote_volume,
        candle.trades,
        candle.taker_buy_volume,
        candle.taker_buy_quote_volume,
    ))
}
