#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{number, plain};

fn written(decimal: Option<rust_decimal::Decimal>) -> Option<String> {
    decimal.map(|decimal| decimal.to_string())
}

#[test]
fn plain_notation_keeps_every_digit() {
    for text in [
        "0",
        "0.01634790",
        "-12.340",
        "100000.00000000",
        "79228162514264337593543950335",
        "-7.9228162514264337593543950335",
    ] {
        assert_eq!(written(plain(text)).as_deref(), Some(text));
        assert_eq!(written(number(text)).as_deref(), Some(text));
    }
    assert_eq!(written(plain("007.50")).as_deref(), Some("7.50"));
}

#[test]
fn an_exponent_moves_the_point_exactly() {
    for (text, expect) in [
        ("1e-7", "0.0000001"),
        ("6.0E-5", "0.000060"),
        ("1.25e2", "125"),
        ("1.25e+1", "12.5"),
        ("1e3", "1000"),
        ("-3e0", "-3"),
        ("10e-29", "0.0000000000000000000000000001"),
        ("0e28", "0"),
    ] {
        assert_eq!(written(number(text)).as_deref(), Some(expect), "{text}");
    }
}

#[test]
fn what_is_no_exact_decimal_gives_nothing() {
    for text in [
        "",
        "-",
        "+1",
        ".5",
        "5.",
        "1.2.3",
        "1_0",
        " 1",
        "NaN",
        "0x1",
        "1e",
        "1e-",
        "1e99999",
        "1e29",
        "1e-29",
        "79228162514264337593543950336",
        "0.12345678901234567890123456789012",
        "100000000000000000000000000000",
    ] {
        assert_eq!(number(text), None, "{text}");
        assert_eq!(plain(text), None, "{text}");
    }
    assert_eq!(plain("1e2"), None);
}

#[cfg(not(target_arch = "wasm32"))]
mod any_text {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::{number, plain};

    proptest! {
        #[test]
        fn a_decimal_reads_back_from_its_own_text(mantissa: i64, scale in 0_u32..=28) {
            let decimal = Decimal::new(mantissa, scale);
            prop_assert_eq!(plain(&decimal.to_string()), Some(decimal));
        }

        #[test]
        fn an_exponent_and_a_point_say_the_same(mantissa: i32, power in -15_i32..=15) {
            let decimal = number(&format!("{mantissa}e{power}"));
            let expect = if power < 0 {
                Decimal::new(i64::from(mantissa), power.unsigned_abs())
            } else {
                Decimal::from(i128::from(mantissa) * 10_i128.pow(power.unsigned_abs()))
            };
            prop_assert_eq!(decimal, Some(expect));
        }

        #[test]
        fn what_is_read_is_what_the_library_reads(text in "-?[0-9]{1,20}(\\.[0-9]{1,12})?") {
            prop_assert_eq!(plain(&text), Decimal::from_str_exact(&text).ok());
        }

        #[test]
        fn any_text_gives_a_decimal_or_nothing(text in ".{0,40}") {
            let _ = (plain(&text), number(&text));
        }
    }
}
