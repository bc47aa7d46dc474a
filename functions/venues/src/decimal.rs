//! Decimals from their text, exactly or not at all: never by way of a binary float.

use rust_decimal::Decimal;

/// How many digits any integer of 64 bits can have.
const CHUNK_DIGITS: usize = 19;
/// Ten to the power of 0 to [`CHUNK_DIGITS`].
const POWERS_OF_TEN: [u128; CHUNK_DIGITS + 1] = {
    let mut powers = [1; CHUNK_DIGITS + 1];
    let mut power = 1;
    while power < powers.len() {
        powers[power] = powers[power - 1] * 10;
        power += 1;
    }
    powers
};
/// The most digits of an exponent; more would not fit a decimal's scale anyhow.
const MAX_EXPONENT_DIGITS: usize = 4;
/// A decimal's integer is shorter than this.
const MANTISSA_END: u128 = 1 << 96;

/// Reads plain notation: `-12.340`. The zeros at the end are kept.
pub(crate) fn plain(text: &str) -> Option<Decimal> {
    let (negative, mantissa, places, rest) = digits(text.as_bytes())?;
    if rest.is_empty() {
        exact(negative, mantissa, places)
    } else {
        None
    }
}

/// Reads the notation of JSON numbers, which is the plain one with or without an exponent: `1.5e-7`.
pub(crate) fn number(text: &str) -> Option<Decimal> {
    let (negative, mantissa, places, rest) = digits(text.as_bytes())?;
    match rest {
        [] => exact(negative, mantissa, places),
        [b'e' | b'E', power @ ..] => {
            exact(negative, mantissa, places.checked_sub(exponent(power)?)?)
        }
        _ => None,
    }
}

/// The sign, all digits as one integer, how many of them stand behind the point, and what follows them.
fn digits(text: &[u8]) -> Option<(bool, u128, i32, &[u8])> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (mut mantissa, whole, rest) = run(0, unsigned)?;
    let mut places = 0;
    let mut after = rest;
    if let [b'.', fraction @ ..] = rest {
        (mantissa, places, after) = run(mantissa, fraction)?;
    }
    let is_written = whole > 0 && (places > 0 || after.len() == rest.len());
    is_written.then_some((negative, mantissa, places, after))
}

/// Takes the digits at the start of `text` behind those of `mantissa`: the integer, how many they were, what follows.
fn run(mut mantissa: u128, text: &[u8]) -> Option<(u128, i32, &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(count);
    // As many at a time as 64 bits hold: wider integers are slow.
    for digits in digits.chunks(CHUNK_DIGITS) {
        let chunk = digits
            .iter()
            .fold(0, |chunk, byte| chunk * 10 + u64::from(byte - b'0'));
        mantissa = mantissa
            .checked_mul(POWERS_OF_TEN[digits.len()])?
            .checked_add(u128::from(chunk))
            .filter(|mantissa| *mantissa < MANTISSA_END)?;
    }
    Some((mantissa, i32::try_from(count).ok()?, rest))
}

fn exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > MAX_EXPONENT_DIGITS {
        return None;
    }
    let mut power = 0;
    for byte in digits {
        power = power * 10 + i32::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    Some(if negative { -power } else { power })
}

/// `mantissa` times ten to the power of minus `places`, if a decimal can hold just that.
fn exact(negative: bool, mut mantissa: u128, mut places: i32) -> Option<Decimal> {
    while places < 0 {
        mantissa = mantissa
            .checked_mul(10)
            .filter(|&next| next < MANTISSA_END)?;
        places += 1;
    }
    let mut scale = places.unsigned_abs();
    while scale > Decimal::MAX_SCALE {
        if !mantissa.is_multiple_of(10) {
            return None;
        }
        mantissa /= 10;
        scale -= 1;
    }
    let part = |shift: u32| (mantissa >> shift) as u32;
    Some(Decimal::from_parts(
        part(0),
        part(32),
        part(64),
        negative,
        scale,
    ))
}

#[cfg(test)]
mod tests;
