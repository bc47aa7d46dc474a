//! What a canary run is told: its flags, its caps, and whether the pipeline is fake.
//!
//! Flags are read from the configuration by their lower-case names (`signals_ingest_enabled`), and then overridden by
//! the input's. A text counts as `bulkhead_kernel::flag` says; an input may also use JSON booleans.

use bulkhead_kernel::flag;
use serde::Serialize;
use serde_json::{Map, Value};

/// The caps' names in the configuration.
const CAP_NAMES: [&str; 2] = ["max_position_usd", "max_order_usd"];

/// Every flag of the pipeline, off by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Flags {
    /// The canary takes the ingest path.
    pub signals_ingest_enabled: bool,
    /// The mock feed may run.
    pub signals_mock_feed_enabled: bool,
    /// The normaliser gives fake snapshots; switches the mock feed on, too.
    pub signals_fake_mode: bool,
    /// The same for the normaliser; the brain of a real pipeline is fake.
    pub brain_fake_mode: bool,
    /// The trade engine of a real pipeline is fake.
    pub trade_engine_fake_mode: bool,
    /// The router of a real pipeline is fake.
    pub runtime_router_fake_mode: bool,
    /// The preview of a real pipeline is fake.
    pub intent_preview_fake_mode: bool,
    /// There is a preview stage at all.
    pub intent_preview_enabled: bool,
}

impl Flags {
    /// The flags' names.
    pub const NAMES: [&str; 8] = [
        "signals_ingest_enabled",
        "signals_mock_feed_enabled",
        "signals_fake_mode",
        "brain_fake_mode",
        "trade_engine_fake_mode",
        "runtime_router_fake_mode",
        "intent_preview_fake_mode",
        "intent_preview_enabled",
    ];

    /// All flags on.
    #[must_use]
    pub fn all() -> Self {
        let mut flags = Self::default();
        for name in Self::NAMES {
            flags.set(name, true);
        }
        flags
    }

    /// Sets the flag of a name. False: there is no such flag.
    pub fn set(&mut self, name: &str, value: bool) -> bool {
        let flag = match name {
            "signals_ingest_enabled" => &mut self.signals_ingest_enabled,
            "signals_mock_feed_enabled" => &mut self.signals_mock_feed_enabled,
            "signals_fake_mode" => &mut self.signals_fake_mode,
            "brain_fake_mode" => &mut self.brain_fake_mode,
            "trade_engine_fake_mode" => &mut self.trade_engine_fake_mode,
            "runtime_router_fake_mode" => &mut self.runtime_router_fake_mode,
            "intent_preview_fake_mode" => &mut self.intent_preview_fake_mode,
            "intent_preview_enabled" => &mut self.intent_preview_enabled,
            _ => return false,
        };
        *flag = value;
        true
    }

    /// Whether the normaliser gives fake snapshots.
    #[must_use]
    pub const fn normaliser_is_fake(&self) -> bool {
        self.signals_fake_mode || self.brain_fake_mode
    }

    /// Whether the mock feed runs.
    #[must_use]
    pub const fn mock_feed_runs(&self) -> bool {
        self.signals_mock_feed_enabled || self.signals_fake_mode
    }
}

/// What a canary run is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The flags.
    pub flags: Flags,
    /// The pipeline's own fake mode: no real stage runs, whatever the flags say.
    pub fake_mode: bool,
    /// The preview's cap on a position, in USD, as it is configured. None: the preview's default.
    pub max_position_usd: Option<String>,
    /// The preview's cap on an order, in USD, as it is configured. None: the preview's default.
    pub max_order_usd: Option<String>,
    /// From what the mock feed makes its frame. None: its own fixed one.
    pub mock_feed_seed: Option<Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flags: Flags::default(),
            fake_mode: true,
            max_position_usd: None,
            max_order_usd: None,
            mock_feed_seed: None,
        }
    }
}

/// Why settings cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError<E: std::error::Error + 'static> {
    /// The configuration did not answer.
    #[error("reading `{name}` from the configuration failed")]
    Configuration {
        /// Which value.
        name: &'static str,
        /// What the configuration said.
        #[source]
        source: E,
    },
    /// The input is not what the schema asks for.
    #[error("{0}")]
    Input(String),
}

impl Settings {
    /// Reads the configuration, then the input: `{"fake_mode":true|null|false,"flags":{name:boolean or text},"mock_feed_seed":{…}}`,
    /// of which everything may be left out.
    ///
    /// # Errors
    /// The configuration did not answer, or the input has a field that is not known or of another type.
    pub fn read<E: std::error::Error + 'static>(
        input: &Value,
        mut configuration: impl FnMut(&'static str) -> Result<Option<String>, E>,
    ) -> Result<Self, SettingsError<E>> {
        let mut get = |name| {
            configuration(name).map_err(|source| SettingsError::Configuration { name, source })
        };
        let mut settings = Self::default();
        for name in Flags::NAMES {
            settings
                .flags
                .set(name, flag::is_set(get(name)?.as_deref()));
        }
        let [max_position_usd, max_order_usd] = CAP_NAMES;
        settings.max_position_usd = get(max_position_usd)?;
        settings.max_order_usd = get(max_order_usd)?;
        settings
            .override_with(input)
            .map_err(SettingsError::Input)?;
        Ok(settings)
    }

    fn override_with(&mut self, input: &Value) -> Result<(), String> {
        for (name, value) in object(input, "the input")? {
            match (name.as_str(), value) {
                ("fake_mode", Value::Null) => self.fake_mode = true,
                ("fake_mode", Value::Bool(fake_mode)) => self.fake_mode = *fake_mode,
                ("fake_mode", _) => {
                    return Err("`fake_mode` must be true, false or null".to_owned());
                }
                ("flags", flags) => self.override_flags(object(flags, "`flags`")?)?,
                ("mock_feed_seed", seed) => {
                    object(seed, "`mock_feed_seed`")?;
                    self.mock_feed_seed = Some(seed.clone());
                }
                _ => {
                    return Err(format!(
                        "unknown field `{name}`: the input takes `fake_mode`, `flags` and `mock_feed_seed`"
                    ));
                }
            }
        }
        Ok(())
    }

    fn override_flags(&mut self, flags: &Map<String, Value>) -> Result<(), String> {
        for (name, value) in flags {
            let value = match value {
                Value::Bool(value) => *value,
                Value::String(text) => flag::is_true(text),
                _ => return Err(format!("`flags.{name}` must be true, false or a text")),
            };
            if !self.flags.set(name, value) {
                return Err(format!(
                    "unknown flag `flags.{name}`: the flags are {}",
                    Flags::NAMES.join(", ")
                ));
            }
        }
        Ok(())
    }
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    value
        .as_object()
        .ok_or_else(|| format!("{what} must be an object"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use serde_json::json;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn read(input: &Value, configured: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(input, |name| {
            let value = configured
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned());
            Ok::<_, Infallible>(value)
        })
        .map_err(|error| error.to_string())
    }

    #[test]
    fn without_configuration_and_input_every_flag_is_off_and_the_pipeline_fake() {
        assert_eq!(read(&json!({}), &[]).unwrap(), Settings::default());
        assert!(Settings::default().fake_mode);
    }

    #[test]
    fn the_configuration_sets_every_flag_and_both_caps() {
        let mut configured: Vec<(&str, &str)> =
            Flags::NAMES.iter().map(|name| (*name, " Yes ")).collect();
        configured.extend([("max_position_usd", "7"), ("max_order_usd", "3")]);
        let settings = read(&json!({}), &configured).unwrap();
        assert_eq!(settings.flags, Flags::all());
        assert_eq!(
            serde_json::to_value(settings.flags)
                .unwrap()
                .as_object()
                .unwrap()
                .len(),
            Flags::NAMES.len()
        );
        assert_eq!(
            (
                settings.max_position_usd.as_deref(),
                settings.max_order_usd.as_deref()
            ),
            (Some("7"), Some("3"))
        );
    }

    #[test]
    fn the_input_overrides_the_configuration() {
        let input = json!({
            "fake_mode": false,
            "flags": { "signals_ingest_enabled": false, "brain_fake_mode": "on", "signals_fake_mode": "2" },
        });
        let settings = read(
            &input,
            &[("signals_ingest_enabled", "1"), ("signals_fake_mode", "1")],
        )
        .unwrap();
        assert!(!settings.fake_mode);
        assert_eq!(
            settings.flags,
            Flags {
                brain_fake_mode: true,
                ..Flags::default()
            }
        );
    }

    #[test]
    fn a_fake_mode_of_null_is_true() {
        assert!(read(&json!({ "fake_mode": null }), &[]).unwrap().fake_mode);
    }

    #[test]
    fn an_input_that_is_not_known_is_refused_with_the_place() {
        let refusal = |input: Value| read(&input, &[]).unwrap_err();
        assert_eq!(refusal(json!([])), "the input must be an object");
        assert_eq!(
            refusal(json!({ "fake_mode": "1" })),
            "`fake_mode` must be true, false or null"
        );
        assert_eq!(refusal(json!({ "flags": 1 })), "`flags` must be an object");
        assert_eq!(
            refusal(json!({ "mock_feed_seed": 1 })),
            "`mock_feed_seed` must be an object"
        );
        assert_eq!(
            refusal(json!({ "flags": { "brain_fake_mode": 1 } })),
            "`flags.brain_fake_mode` must be true, false or a text"
        );
        assert!(
            refusal(json!({ "flags": { "BRAIN": true } }))
                .starts_with("unknown flag `flags.BRAIN`")
        );
        assert!(refusal(json!({ "fakemode": true })).starts_with("unknown field `fakemode`"));
    }
}
