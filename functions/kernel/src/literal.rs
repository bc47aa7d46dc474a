//! Values written as Python literals: the canonical text of a trace.
//!
//! A trace id is a digest over an envelope, and the digest needs one text for each value. That text is the
//! value's Python `repr`, keys in insertion order: `{'instrument': 'BTC-USD', 'price': 10000.0}`.
//!
//! Integers and floats stay distinct (`1` and `1.0` are different texts), as `serde_json` keeps them apart.
//! An integer beyond 64 bits is read as a float by `serde_json`, and so written as one.

use std::fmt::Write as _;

use serde_json::Value;

/// The decimal exponents that Python's `repr` writes without an `e`: 1e-04 up to, and not including, 1e16.
const FIXED_POINT_EXPONENTS: std::ops::Range<i32> = -4..16;

/// Writes a value as a Python literal.
#[must_use]
pub fn literal(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("None"),
        Value::Bool(true) => text.push_str("True"),
        Value::Bool(false) => text.push_str("False"),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => text.push_str(&float_literal(float)),
            None => text.push_str(&number.to_string()),
        },
        Value::String(string) => write_string(text, string),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                write_value(text, item);
            }
            text.push(']');
        }
        Value::Object(entries) => {
            text.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                write_string(text, key);
                text.push_str(": ");
                write_value(text, item);
            }
            text.push('}');
        }
    }
}

/// Writes a float as Python's `repr` does: the shortest digits that read back to the same float, and at least
/// one decimal; exponent form from 1e16 up and below 1e-4, the exponent signed and of two digits or more.
#[must_use]
pub fn float_literal(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or_default();
    if FIXED_POINT_EXPONENTS.contains(&exponent) {
        let mut fixed = float.to_string();
        if !fixed.contains('.') {
            fixed.push_str(".0");
        }
        return fixed;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

fn write_string(text: &mut String, string: &str) {
    let quote = if string.contains('\'') && !string.contains('"') {
        '"'
    } else {
        '\''
    };
    text.push(quote);
    for character in string.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            _ if character == quote => {
                text.push('\\');
                text.push(quote);
            }
            _ if is_printable(character) => text.push(character),
            _ => write_code_point(text, u32::from(character)),
        }
    }
    text.push(quote);
}

fn write_code_point(text: &mut String, code_point: u32) {
    // Writing to a `String` cannot fail.
    let _ = match code_point {
        0..=0xff => write!(text, "\\x{code_point:02x}"),
        0x100..=0xffff => write!(text, "\\u{code_point:04x}"),
        _ => write!(text, "\\U{code_point:08x}"),
    };
}

/// Python's rule and Rust's `escape_debug` agree: the Unicode categories "other" and "separator" are not
/// printable, the space is. The letter in front keeps Rust from escaping a combining mark, which Python does not.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    let mut preceded = [b'a'; 5];
    let end = 1 + character.encode_utf8(&mut preceded[1..]).len();
    std::str::from_utf8(&preceded[..end]).is_ok_and(|text| text.escape_debug().count() == 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn check(json: &str, expect: &str) {
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(literal(&value), expect, "of {json}");
    }

    #[test]
    fn mappings_and_lists_are_separated_by_a_comma_and_a_blank_and_keep_their_order() {
        check(
            r#"{"b":1,"a":[1,2.5,true,false,null]}"#,
            "{'b': 1, 'a': [1, 2.5, True, False, None]}",
        );
        check(r#"{"e":{},"l":[]}"#, "{'e': {}, 'l': []}");
    }

    #[test]
    fn integers_have_no_point_and_floats_have_one() {
        check("1700000000", "1700000000");
        check("10000.0", "10000.0");
        check("-3", "-3");
        check("18446744073709551615", "18446744073709551615");
        check("-0.0", "-0.0");
        check("1e5", "100000.0");
    }

    #[test]
    fn floats_take_exponent_form_where_python_gives_it() {
        check("1e16", "1e+16");
        check("9999999999999998.0", "9999999999999998.0");
        check("1.5e17", "1.5e+17");
        check("123456789012345680.0", "1.2345678901234568e+17");
        check("0.0001", "0.0001");
        check("0.00001", "1e-05");
        check("0.000012", "1.2e-05");
        check("5e-324", "5e-324");
        check("1.7976931348623157e308", "1.7976931348623157e+308");
        check("1e100", "1e+100");
        check("-2.5e-7", "-2.5e-07");
        check("0.1", "0.1");
        check("0.30000000000000004", "0.30000000000000004");
        assert_eq!(float_literal(f64::NAN), "nan");
        assert_eq!(float_literal(f64::NEG_INFINITY), "-inf");
        assert_eq!(float_literal(f64::INFINITY), "inf");
    }

    #[test]
    fn a_text_takes_double_quotes_only_if_it_holds_a_single_one_and_no_double_one() {
        check(r#""plain""#, "'plain'");
        check(r#""O'Neil""#, "\"O'Neil\"");
        check(r#""say \"it\"""#, "'say \"it\"'");
        check(r#""'\"""#, "'\\'\"'");
    }

    #[test]
    fn a_text_escapes_the_backslash_and_control_characters() {
        check(r#""a\\b""#, r"'a\\b'");
        check(r#""tab\tnl\ncr\r""#, r"'tab\tnl\ncr\r'");
        check(r#""\u0000\u001b\u007f""#, r"'\x00\x1b\x7f'");
    }

    #[test]
    fn only_printable_non_ascii_is_left_unchanged() {
        check(r#""é 日本 🚀 e\u0301""#, "'é 日本 🚀 e\u{301}'");
        check(
            r#""\u00a0\u0085\u200b\u2028\ufeff""#,
            r"'\xa0\x85\u200b\u2028\ufeff'",
        );
        check(r#""\udb40\udc01""#, r"'\U000e0001'");
    }

    #[test]
    fn keys_are_written_by_the_rules_of_texts() {
        let value = json!({"it's": 1});
        assert_eq!(literal(&value), "{\"it's\": 1}");
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            #[test]
            fn a_float_reads_back_to_itself(bits in any::<u64>()) {
                let float = f64::from_bits(bits);
                prop_assume!(float.is_finite());
                let text = float_literal(float);
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), float.to_bits());
                prop_assert!(text.contains('.') || text.contains('e'), "{} reads as an integer", text);
            }

            #[test]
            fn a_text_stays_on_one_line_between_its_quotes(string in any::<String>()) {
                let text = literal(&Value::String(string));
                let quote = text.chars().next().unwrap();
                prop_assert!(quote == '\'' || quote == '"');
                prop_assert!(text.ends_with(quote));
                prop_assert!(!text.chars().any(char::is_control));
            }
        }
    }
}
