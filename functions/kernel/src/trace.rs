//! Digests and trace ids: what a fake-mode pipeline derives from its envelope.
//!
//! The digest is SHA-1 over the UTF-8 bytes of the envelope's [canonical text](crate::literal). Every answer of
//! a fake stage is read off it, so the same envelope always gives the same run, and a deployed pipeline can
//! be checked from outside. It identifies; it protects nothing.

use std::fmt;

use serde_json::Value;
use sha1::{Digest as _, Sha1};

use crate::literal::literal;

/// Hex digits of a trace id.
const TRACE_ID_DIGITS: usize = 16;
/// Hex digits of a fake order id.
const ORDER_ID_DIGITS: usize = 12;

/// What a brain decision, and the trade action that follows it, ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Buy.
    Buy,
    /// Sell.
    Sell,
    /// Do nothing.
    Hold,
}

impl Action {
    /// The actions in the order by which a digest chooses one.
    const ALL: [Self; 3] = [Self::Buy, Self::Sell, Self::Hold];

    /// The action's word: `buy`, `sell` or `hold`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
            Self::Hold => "hold",
        }
    }

    /// The action of a word. None: the word names no action.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The SHA-1 of a canonical text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 20]);

impl Digest {
    /// The digest of an envelope, or of any other value: over its canonical text.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        Self::of_text(&literal(value))
    }

    /// The digest of a text that is canonical already.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self(Sha1::digest(text.as_bytes()).into())
    }

    /// All 40 lower-case hex digits.
    #[must_use]
    pub fn hex(&self) -> String {
        const DIGITS: [char; 16] = [
            '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
        ];
        self.0
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 0xf])
            .map(|digit| DIGITS[usize::from(digit)])
            .collect()
    }

    /// The trace id: the first 16 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.first_digits(TRACE_ID_DIGITS)
    }

    /// The fake order id: the first 12 hex digits.
    #[must_use]
    pub fn order_id(&self) -> String {
        self.first_digits(ORDER_ID_DIGITS)
    }

    /// The action: the first byte, modulo 3, of buy, sell, hold.
    #[must_use]
    pub fn action(&self) -> Action {
        self.choose(&Action::ALL)
    }

    /// The action that the preview stage's own fake gives in a real pipeline: the first byte, modulo 3, of sell, buy, hold.
    #[must_use]
    pub fn stage_preview_action(&self) -> Action {
        self.choose(&[Action::Sell, Action::Buy, Action::Hold])
    }

    /// The brain's confidence, from 0.00 to 0.99: the second byte modulo 100, in hundredths.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        f64::from(self.0[1] % 100) / 100.0
    }

    /// The previewed size, from 0.00 to 99.99: the third and fourth byte modulo 10000, in hundredths.
    #[must_use]
    pub fn preview_size(&self) -> f64 {
        f64::from(u16::from_be_bytes([self.0[2], self.0[3]]) % 10_000) / 100.0
    }

    /// The size that the preview stage's own fake gives in a real pipeline: the first three bytes modulo 10000, in hundredths.
    #[must_use]
    pub fn stage_preview_size(&self) -> f64 {
        f64::from(self.three_bytes(0) % 10_000) / 100.0
    }

    /// The confidence that the preview stage's own fake gives in a real pipeline: bytes three to five modulo 100, in hundredths.
    #[must_use]
    pub fn stage_preview_confidence(&self) -> f64 {
        f64::from(self.three_bytes(3) % 100) / 100.0
    }

    fn choose(&self, actions: &[Action; 3]) -> Action {
        actions[usize::from(self.0[0]) % actions.len()]
    }

    fn three_bytes(&self, from: usize) -> u32 {
        u32::from_be_bytes([0, self.0[from], self.0[from + 1], self.0[from + 2]])
    }

    fn first_digits(&self, count: usize) -> String {
        let mut hex = self.hex();
        hex.truncate(count);
        hex
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// The envelope of a canary with every flag on, and vectors for other envelopes with it.
    fn canary_envelope() -> Value {
        let frame = json!({
            "instrument": "BTC-USD", "timestamp": 1_700_000_000, "features": {"price": 10000.0},
            "raw": {"source": "ingest_canary"},
        });
        let snapshot = json!({
            "instrument": "BTC-USD", "timestamp": 1_700_000_000,
            "features": {"price": 10000.0, "signal_strength": 0.75}, "raw": frame,
        });
        json!({
            "instrument": "BTC-USD", "signals": {"raw": frame, "normalized": snapshot},
            "snapshot": snapshot, "fake_mode": true,
        })
    }

    fn check(envelope: &Value, sha1: &str, action: Action, confidence: f64, size: f64) {
        let digest = Digest::of(envelope);
        assert_eq!(digest.hex(), sha1);
        assert_eq!(digest.trace_id(), sha1[..16]);
        assert_eq!(digest.order_id(), sha1[..12]);
        assert_eq!(
            (digest.action(), digest.confidence(), digest.preview_size()),
            (action, confidence, size)
        );
    }

    #[test]
    fn the_canary_envelope_has_682_characters_of_canonical_text() {
        assert_eq!(literal(&canary_envelope()).chars().count(), 682);
    }

    #[test]
    fn a_digest_gives_the_published_action_confidence_and_size() {
        use Action::{Buy, Hold, Sell};
        check(
            &canary_envelope(),
            "602734a1559a62c1b31db64e93f324a839157508",
            Buy,
            0.39,
            34.73,
        );
        check(
            &json!({"instrument": "ETH-USD", "snapshot": {}, "signals": {}}),
            "682ca722dc7f62740cb6372690bcc5252c26967a",
            Hold,
            0.44,
            27.86,
        );
        check(
            &json!({"instrument": "BTC-USD", "signals": {}, "snapshot": {}}),
            "bbb6f55b2c4bb21b3eca2885840a6c3816d1b25c",
            Sell,
            0.82,
            28.11,
        );
        let odd = json!({
            "instrument": "O'Neil",
            "snapshot": {"a": [1, 2.5, true, null], "tiny": 1e-05, "big": 1e16, "int": 10},
            "signals": {"s": "tab\tq\""},
        });
        check(
            &odd,
            "9fffcad15d619ec3c589816baf5b80d8fcb706f7",
            Buy,
            0.55,
            19.21,
        );
    }

    #[test]
    fn another_key_order_is_another_digest() {
        let one = json!({"instrument": "BTC-USD", "snapshot": {}, "signals": {}});
        let other = json!({"instrument": "BTC-USD", "signals": {}, "snapshot": {}});
        assert_eq!(one, other, "as JSON they are equal");
        assert_ne!(Digest::of(&one), Digest::of(&other));
    }

    #[test]
    fn an_envelope_read_from_json_text_has_the_digest_of_the_one_that_was_written() {
        let text = serde_json::to_string(&canary_envelope()).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(Digest::of(&read), Digest::of(&canary_envelope()));
    }

    #[test]
    fn an_action_is_known_by_its_word_alone() {
        for action in Action::ALL {
            assert_eq!(Action::from_word(action.as_str()), Some(action));
        }
        assert_eq!(Action::from_word("BUY"), None);
        assert_eq!(Action::from_word(""), None);
    }
}
