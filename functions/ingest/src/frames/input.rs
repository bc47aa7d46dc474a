//! The input of the task `frames`.

use serde_json::Value;

use crate::settings::Venue;

/// The most frames of one batch.
pub const MAX_FRAMES: usize = 1_000;

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Whose stream.
    pub venue: Venue,
    /// When the last of them was received, in Unix milliseconds.
    pub received_at_ms: i64,
    /// The messages as they came, in order.
    pub frames: Vec<String>,
    /// What the host says about the feed: its name and counters.
    pub feed: Value,
}

impl Input {
    /// Reads it.
    ///
    /// # Errors
    /// The text names the field.
    pub fn read(input: &Value) -> Result<Self, String> {
        let fields = input.as_object().into_iter().flatten();
        for (name, _) in fields {
            if !matches!(
                name.as_str(),
                "task" | "venue" | "received_at_ms" | "frames" | "feed"
            ) {
                return Err(format!("unknown field `{name}` of task `frames`"));
            }
        }
        let venue = match input["venue"].as_str() {
            Some("binance") => Venue::Binance,
            Some("alpaca") => Venue::Alpaca,
            _ => {
                return Err(format!(
                    "`venue` must be `binance` or `alpaca`: {}",
                    input["venue"]
                ));
            }
        };
        let received_at_ms = input["received_at_ms"].as_i64().filter(|at| *at >= 0);
        let Some(items) = input["frames"].as_array() else {
            return Err("`frames` must be a list of texts".to_owned());
        };
        if items.len() > MAX_FRAMES {
            return Err(format!(
                "`frames` holds {}, at most {MAX_FRAMES}",
                items.len()
            ));
        }
        let frames = items.iter().map(|item| item.as_str().map(str::to_owned));
        let feed = &input["feed"];
        if !(feed.is_object() || feed.is_null()) {
            return Err(format!("`feed` must be an object: {feed}"));
        }
        Ok(Self {
            venue,
            received_at_ms: received_at_ms.ok_or_else(|| {
                format!(
                    "`received_at_ms` must be Unix milliseconds: {}",
                    input["received_at_ms"]
                )
            })?,
            frames: frames
                .collect::<Option<Vec<String>>>()
                .ok_or_else(|| "`frames` must be a list of texts".to_owned())?,
            feed: feed.clone(),
        })
    }
}
