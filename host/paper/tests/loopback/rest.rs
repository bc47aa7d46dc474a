use bulkhead_paper::{Budgets, Calendar, Keys, Venue, VirtualClock};
use bulkhead_venues::alpaca::{self, Adjustment, Feed, Market, latest};
use bulkhead_venues::binance::{self, Symbols, avg_price, exchange_info, klines, ticker};
use bulkhead_venues::rate_limit::Budget;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{Client, MINUTE_MS, START_MS, bars, replay, start};

const KLINES: &str = "/api/v3/klines?symbol=BTCUSDT&interval=1m";

fn many(names: &[&str]) -> Symbols {
    Symbols::Many(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test]
async fn all_that_binance_answers_is_read_by_the_venues_parsers() {
    let replay = replay(
        &["BTC-USDT", "ETH-USDT", "SPY"],
        3_000,
        VirtualClock::immediate(),
    );
    let venue = start(replay).await;
    let mut client = Client::connect(venue.address).await;
    let end_ms = START_MS + 3_000 * MINUTE_MS;
    let time = client.get(&binance::time::to_http().path_and_query).await;
    assert_eq!(time.read(binance::time::parse).unwrap(), end_ms);
    let bars = [bars(1, 3_000), bars(2, 3_000)];
    let asked = [
        (Symbols::One("ETHUSDT".to_owned()), &["ETHUSDT"][..]),
        (many(&["ETHUSDT", "BTCUSDT"]), &["ETHUSDT", "BTCUSDT"]),
        (Symbols::All, &["BTCUSDT", "ETHUSDT"]),
    ];
    for (symbols, names) in asked {
        let ask = |kind| ticker::Request {
            kind,
            symbols: symbols.clone(),
        };
        let [day, price, book] = [ticker::Kind::Day, ticker::Kind::Price, ticker::Kind::Book]
            .map(|kind| ask(kind).to_http().path_and_query);
        let days = client.get(&day).await;
        let days = days
            .read(|reply| ticker::parse_day(reply, &symbols))
            .unwrap();
        let prices = client.get(&price).await;
        let prices = prices.read(|reply| ticker::parse_price(reply, &symbols));
        let prices = prices.unwrap();
        let books = client.get(&book).await;
        let books = books.read(|reply| ticker::parse_book(reply, &symbols));
        let books = books.unwrap();
        for (place, name) in names.iter().enumerate() {
            let last = bars[usize::from(*name == "ETHUSDT")].last().unwrap().close;
            assert_eq!((&*days[place].symbol, days[place].bar.close), (*name, last));
            days[place].bar.validate().unwrap();
            assert_eq!(prices[place].price, last);
            let quote = books[place].quote;
            assert_eq!(
                (quote.bid_price + quote.ask_price) / rust_decimal::Decimal::TWO,
                last
            );
            assert!(quote.bid_price < quote.ask_price && quote.bid_size > 0.into());
        }
        let info = client
            .get(&exchange_info::to_http(&symbols).path_and_query)
            .await;
        let info = info
            .read(|reply| exchange_info::parse(reply, &symbols))
            .unwrap();
        assert_eq!(info.symbols.len(), names.len());
    }
    let symbols = Symbols::One("BTCUSDT".to_owned());
    let info = client
        .get(&exchange_info::to_http(&symbols).path_and_query)
        .await;
    let info = info
        .read(|reply| exchange_info::parse(reply, &symbols))
        .unwrap();
    let mut budget = Budget::binance();
    budget.set_limits(&info.rate_limits);
    assert_eq!(info.rate_limits[0].limit, 6_000);
    let filters = &info.symbols[0].filters;
    assert_eq!(filters.price.unwrap().tick_size.to_string(), "0.01");
    assert_eq!(filters.lot_size.unwrap().step_size.to_string(), "0.0001");
    assert!(filters.notional.is_some() && filters.percent_price.is_some());
    assert!(filters.market_lot_size.is_some() && filters.iceberg_parts.is_some());
    let average = client
        .get(&avg_price::to_http("BTCUSDT").path_and_query)
        .await;
    let average = average.read(avg_price::parse).unwrap();
    let last_five = &bars[0][2_995..];
    assert!(last_five.iter().any(|bar| bar.high >= average.price));
    assert!(last_five.iter().any(|bar| bar.low <= average.price));
    assert_eq!(average.close_time_ms, end_ms - 15_000);
}

#[tokio::test]
async fn all_that_alpaca_answers_is_read_by_the_venues_parsers() {
    let venue = start(replay(&["SPY", "BTC-USD"], 100, VirtualClock::immediate())).await;
    let mut client = Client::connect(venue.address).await;
    let markets = [
        (Market::Stocks(Feed::Iex), "SPY", 1),
        (Market::Crypto, "BTC/USD", 2),
    ];
    for (market, symbol, seed) in markets {
        let bars = bars(seed, 100);
        let mut request = alpaca::bars::Request {
            market,
            symbols: vec![symbol.to_owned()],
            timeframe: "1m".parse().unwrap(),
            adjustment: Adjustment::All,
            start_ms: Some(START_MS),
            end_ms: None,
            limit: 30,
            page_token: None,
        };
        let mut received = Vec::new();
        loop {
            let reply = client.get(&request.to_http().unwrap().path_and_query).await;
            let page = reply
                .read(|reply| alpaca::bars::parse(reply, request.limit))
                .unwrap();
            received.extend(page.bars[symbol].iter().copied());
            request.page_token = page.next_page_token;
            if request.page_token.is_none() {
                break;
            }
        }
        assert_eq!(received, bars);
        if let Ok(single) = request.to_http_single() {
            let reply = client.get(&single.path_and_query).await;
            let page = reply
                .read(|reply| alpaca::bars::parse_single(reply, 30))
                .unwrap();
            assert_eq!(page.bars, bars[..30]);
        }
        let ask = |kind| {
            let symbols = vec![symbol.to_owned()];
            let request = latest::Request {
                market,
                kind,
                symbols,
            };
            request.to_http().unwrap().path_and_query
        };
        let last = bars[99];
        let reply = client.get(&ask(latest::Kind::Bars)).await;
        assert_eq!(reply.read(latest::parse_bars).unwrap()[symbol], last);
        let reply = client.get(&ask(latest::Kind::Quotes)).await;
        let quote = reply.read(latest::parse_quotes).unwrap()[symbol];
        assert!(quote.bid_price < last.close && last.close < quote.ask_price);
        let reply = client.get(&ask(latest::Kind::Trades)).await;
        let trade = reply
            .read(latest::parse_trades)
            .unwrap()
            .remove(symbol)
            .unwrap();
        assert_eq!(trade.price, last.close);
        assert_eq!(trade.taker_side.is_some(), market == Market::Crypto);
    }
}

#[tokio::test]
async fn alpaca_asks_for_keys_where_there_are_some() {
    let replay = replay(&["SPY"], 10, VirtualClock::immediate());
    let keys = Keys {
        id: "me".into(),
        secret: "s3".into(),
    };
    let venue = start(Venue::new(replay).with_keys(keys)).await;
    let mut client = Client::connect(venue.address).await;
    let path = "/v2/stocks/quotes/latest?symbols=SPY";
    assert_eq!(client.get(path).await.status, 401);
    client.headers = vec![("APCA-API-KEY-ID", "me")];
    assert_eq!(client.get(path).await.status, 401);
    client.headers = vec![("APCA-API-KEY-ID", "me"), ("APCA-API-SECRET-KEY", "s4")];
    assert_eq!(client.get(path).await.status, 403);
    client.headers = vec![("APCA-API-KEY-ID", "me"), ("APCA-API-SECRET-KEY", "s3")];
    assert_eq!(client.get(path).await.status, 200);
    client.headers.clear();
    assert_eq!(client.get("/api/v3/ping").await.status, 200);
}

#[tokio::test]
async fn a_spent_budget_is_429_until_the_next_minute_of_the_venues_clock() {
    let (clock, stepper) = VirtualClock::stepped(START_MS + 15_000);
    let budgets = Budgets {
        binance_weight: 5,
        alpaca_requests: 2,
    };
    let replay = replay(&["BTC-USDT", "SPY"], 10, clock);
    let venue = start(Venue::new(replay).with_budgets(budgets)).await;
    let mut client = Client::connect(venue.address).await;
    let stocks = "/v2/stocks/bars/latest?symbols=SPY";
    for used in ["2", "4"] {
        let reply = client.get(KLINES).await;
        assert_eq!(reply.header("X-MBX-USED-WEIGHT-1M").as_deref(), Some(used));
    }
    for remaining in ["1", "0"] {
        let reply = client.get(stocks).await;
        assert_eq!(
            reply.header("X-RateLimit-Remaining").as_deref(),
            Some(remaining)
        );
    }
    for path in [KLINES, stocks] {
        let reply = client.get(path).await;
        assert_eq!(reply.status, 429);
        assert_eq!(reply.header("Retry-After").as_deref(), Some("45"));
        let error = reply.read(|reply| klines::parse(reply, 500)).unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
    stepper.advance(45_000);
    for path in [KLINES, stocks] {
        assert_eq!(client.get(path).await.status, 200);
    }
}

#[tokio::test]
async fn dated_events_are_served_as_json() {
    let text = "time,name,country,importance\n2024-01-31T19:00:00Z,FOMC,US,high\n2024-01-11T13:30:00Z,CPI,US,medium\n";
    let calendar = Calendar::parse(text).unwrap();
    let replay = replay(&["SPY"], 10, VirtualClock::immediate());
    let venue = start(Venue::new(replay).with_calendar(calendar)).await;
    let mut client = Client::connect(venue.address).await;
    let reply = client.get("/macro_events").await;
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    let event = |time: &str, name: &str, importance: &str| json!({"time": time, "name": name, "country": "US", "importance": importance});
    let cpi = event("2024-01-11T13:30:00.000Z", "CPI", "medium");
    let fomc = event("2024-01-31T19:00:00.000Z", "FOMC", "high");
    assert_eq!(body, json!({ "events": [cpi, fomc] }));
    let reply = client.get("/macro_events?start=2024-01-12T00:00:00Z").await;
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body, json!({ "events": [fomc] }));
    for query in ["start=soon", "limit=3", "start=soon&start=soon"] {
        let reply = client.get(&format!("/macro_events?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_refusal_reads_as_the_venues_refusal() {
    let venue = start(replay(&["BTC-USDT"], 10, VirtualClock::immediate())).await;
    let mut client = Client::connect(venue.address).await;
    let reply = client.get("/api/v3/klines?symbol=NONE&interval=1m").await;
    let error = reply.read(|reply| klines::parse(reply, 1_000)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused by the venue (HTTP 400, code -1121): Invalid symbol."
    );
    assert_eq!(client.get("/elsewhere").await.status, 404);
    assert_eq!(client.get("/ws/btcusdt@trade").await.status, 400);
}

#[tokio::test]
async fn a_request_with_too_many_headers_is_refused() {
    let venue = start(replay(&["BTC-USDT"], 10, VirtualClock::immediate())).await;
    let mut client = Client::connect(venue.address).await;
    client.headers = vec![("x-many", "1"); 40];
    let status = client.get("/api/v3/ping").await.status;
    assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn a_stopped_venue_ends_idle_connections_and_accepts_no_more() {
    let venue = start(replay(&["BTC-USDT"], 10, VirtualClock::immediate())).await;
    let mut idle = Client::connect(venue.address).await;
    assert_eq!(idle.get("/api/v3/ping").await.status, 200);
    venue.stop.send(()).unwrap();
    venue.task.await.unwrap();
    idle.connection.await.unwrap();
    assert!(TcpStream::connect(venue.address).await.is_err());
}
