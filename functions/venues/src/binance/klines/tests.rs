#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{MAX_LIMIT, Request};
use crate::{HttpResponse, VenueError};
use bulkhead_kernel::bar::Bar;

/// The example of the REST documentation.
const DOCUMENTED: &str = r#"[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100",
    "148976.11427815",1499644799999,"2434.19055334",308,"1756.87402397","28.46694368","17928899.62484339"]]"#;

fn parse(
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    limit: u16,
) -> Result<Vec<Bar>, VenueError> {
    let header = retry_after.map(|value| ("retry-after", value));
    let response = HttpResponse {
        status,
        headers: header.as_slice(),
        body,
    };
    super::parse(&response, limit)
}

fn error(status: u16, body: &str) -> VenueError {
    parse(status, None, body.as_bytes(), MAX_LIMIT).expect_err(body)
}

#[test]
fn a_request_names_symbol_interval_range_and_limit() {
    let mut request = Request {
        symbol: "BTCUSDT".into(),
        interval: "1m".parse().unwrap(),
        start_time_ms: None,
        end_time_ms: None,
        limit: 1000,
    };
    assert_eq!(
        request.to_http().path_and_query,
        "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000"
    );
    request.start_time_ms = Some(5);
    request.end_time_ms = Some(9);
    assert_eq!(request.to_http().method, "GET");
    assert_eq!(
        request.to_http().path_and_query,
        "/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=5&endTime=9&limit=1000"
    );
}

#[test]
fn the_documented_kline_is_read_to_its_last_digit() {
    let bars = parse(200, None, DOCUMENTED.as_bytes(), 1).unwrap();
    assert_eq!(bars.len(), 1);
    assert_eq!(bars[0].open_time_ms, 1_499_040_000_000);
    let digits = [
        bars[0].open,
        bars[0].high,
        bars[0].low,
        bars[0].close,
        bars[0].volume,
    ]
    .map(|d| d.to_string());
    assert_eq!(
        digits,
        [
            "0.01634790",
            "0.80000000",
            "0.01575800",
            "0.01577100",
            "148976.11427815"
        ]
    );
}

#[test]
fn elements_beyond_the_documented_ones_are_tolerated() {
    let body = r#"[[1,"1","2","1","1","5",2,"0",0,"0","0","0",{"new":[1]},null]]"#;
    assert_eq!(parse(200, None, body.as_bytes(), 1).unwrap().len(), 1);
}

#[test]
fn a_missing_or_ill_typed_element_is_named_by_index_and_field() {
    for (row, field) in [
        (r#"[]"#, "open_time"),
        (r#"["1","1","2","1","1","5"]"#, "open_time"),
        (r#"[1.5,"1","2","1","1","5"]"#, "open_time"),
        (r#"[9223372036854775808,"1","2","1","1","5"]"#, "open_time"),
        (r#"[1,1.0,"2","1","1","5"]"#, "open"),
        (r#"[1,"1",null,"1","1","5"]"#, "high"),
        (r#"[1,"1","2","1e5","1","5"]"#, "low"),
        (r#"[1,"1","2","1_0","1","5"]"#, "low"),
        (r#"[1,"1","2","1","NaN","5"]"#, "close"),
        (r#"[1,"1","2","1","","5"]"#, "close"),
        (r#"[1,"1","2","1","1.2.3","5"]"#, "close"),
        (r#"[1,"1","2","1","1",["5"]]"#, "volume"),
        (r#"[1,"1","2","1","1"]"#, "volume"),
        (
            r#"[1,"1","2","1","1","0.12345678901234567890123456789012"]"#,
            "volume",
        ),
        (r#"{"open":1}"#, "open_time"),
        (r#"null"#, "open_time"),
    ] {
        let body = format!(r#"[[1,"1","2","1","1","5"],{row}]"#);
        match error(200, &body) {
            VenueError::Field {
                element,
                field: got,
                ..
            } => assert_eq!((element.as_str(), got), ("1", field), "{row}"),
            other => panic!("{row}: {other}"),
        }
    }
}

#[test]
fn a_body_that_is_no_array_is_an_error_of_the_body() {
    for body in ["", "{}", "[", "[[", "null", "\u{0}", r#"[[1,"1"#] {
        assert!(matches!(error(200, body), VenueError::Body(_)), "{body}");
    }
}

#[test]
fn more_klines_than_asked_for_are_refused() {
    let body = r#"[[1,"1","2","1","1","5"],[2,"1","2","1","1","5"]]"#;
    assert!(matches!(
        parse(200, None, body.as_bytes(), 1),
        Err(VenueError::TooMany { limit: 1 })
    ));
}

#[test]
fn a_rate_limit_tells_when_to_come_back() {
    for (status, header, seconds) in [
        (429, Some("17"), Some(17)),
        (418, Some(" 120 "), Some(120)),
        (429, None, None),
        (429, Some("soon"), None),
    ] {
        match parse(status, header, b"", 1) {
            Err(VenueError::RateLimited {
                status: got,
                retry_after_seconds,
            }) => {
                assert_eq!((got, retry_after_seconds), (status, seconds));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_refusal_carries_the_venues_code_and_text() {
    let refused = error(400, r#"{"code":-1121,"msg":"Invalid symbol."}"#);
    assert_eq!(
        refused.to_string(),
        "refused by the venue (HTTP 400, code -1121): Invalid symbol."
    );
    assert!(!refused.is_transient());
    let page = error(403, "<html>blocked</html>");
    assert_eq!(
        page.to_string(),
        "refused by the venue (HTTP 403, code 0): <html>blocked</html>"
    );
    assert!(error(503, "").is_transient());
    assert!(!error(302, "").is_transient());
}

#[cfg(not(target_arch = "wasm32"))]
mod any_bytes {
    use proptest::prelude::*;

    use super::{MAX_LIMIT, parse};

    /// Texts near the shape of klines, so that the search goes past the first byte.
    fn near_klines() -> impl Strategy<Value = String> {
        let cell = prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            "-?[0-9]{1,30}(\\.[0-9]{0,30})?".prop_map(|text| format!("\"{text}\"")),
            Just("null".to_owned()),
            Just("[1,{\"a\":2}]".to_owned()),
            "[\\[\\]\\{\\}\",:0-9eE.a-z-]{0,8}",
        ];
        let row =
            prop::collection::vec(cell, 0..9).prop_map(|cells| format!("[{}]", cells.join(",")));
        prop::collection::vec(row, 0..4).prop_map(|rows| format!("[{}]", rows.join(",")))
    }

    fn data_or_a_named_error(status: u16, body: &[u8]) {
        match parse(status, None, body, MAX_LIMIT) {
            Ok(bars) => assert!(bars.len() <= usize::from(MAX_LIMIT)),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_data_or_a_named_error(
            status in prop_oneof![Just(200_u16), any::<u16>()],
            body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            data_or_a_named_error(status, &body);
        }

        #[test]
        fn any_text_near_the_shape_gives_data_or_a_named_error(body in near_klines()) {
            data_or_a_named_error(200, body.as_bytes());
        }
    }
}
