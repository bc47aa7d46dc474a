#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::unix_nanos;

#[test]
fn a_time_is_read_to_the_nanosecond() {
    for (text, expect) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2022-01-03T09:00:00Z", 1_641_200_400_000_000_000),
        ("2022-08-17T09:50:43.361102308Z", 1_660_729_843_361_102_308),
        ("2022-05-26T11:47:18.44347136Z", 1_653_565_638_443_471_360),
        ("2022-01-03T04:00:00-05:00", 1_641_200_400_000_000_000),
        ("2000-02-29t00:00:00z", 951_782_400_000_000_000),
        ("1969-12-31T23:59:59.999Z", -1_000_000),
    ] {
        assert_eq!(unix_nanos(text), Some(expect), "{text}");
    }
}

#[test]
fn what_is_no_time_gives_nothing() {
    for text in [
        "",
        "2022-01-03",
        "2022-01-03T09:00:00",
        "2022-01-03 09:00:00Z",
        "2022-13-03T09:00:00Z",
        "2023-02-29T09:00:00Z",
        "1900-02-29T09:00:00Z",
        "2022-01-00T09:00:00Z",
        "2022-01-03T24:00:00Z",
        "2022-01-03T09:60:00Z",
        "2022-01-03T09:00:60Z",
        "2022-01-03T09:00:00.Z",
        "2022-01-03T09:00:00.0123456789Z",
        "2022-01-03T09:00:00ZZ",
        "2022-01-03T09:00:00+5:00",
        "2022-01-03T09:00:00+24:00",
        "2O22-01-03T09:00:00Z",
        "9999-01-03T09:00:00Z",
        "éééééééééééééééééééé",
    ] {
        assert_eq!(unix_nanos(text), None, "{text}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod any_time {
    use chrono::{DateTime, SecondsFormat};
    use proptest::prelude::*;

    use super::unix_nanos;

    proptest! {
        #[test]
        fn every_nanosecond_reads_as_the_calendar_library_writes_it(nanos: i64) {
            let text = DateTime::from_timestamp_nanos(nanos).to_rfc3339_opts(SecondsFormat::Nanos, true);
            prop_assert_eq!(unix_nanos(&text), Some(nanos));
        }

        #[test]
        fn any_text_gives_a_time_or_nothing(text in "[0-9TZ:.+-]{0,40}|.{0,30}") {
            let _ = unix_nanos(&text);
        }
    }
}
