use bulkhead_grants::egress::EgressGrant;
use bulkhead_kernel::instrument::Instrument;
use bulkhead_manifest::{Component, Feed, FeedBatching, FeedUrl, FeedVenue, VariableValue};

use crate::error::PlanError;
use crate::protocol::{Credentials, Protocol, Unworded, Wanted};

/// A feed that is ready to be started: what it asks the venue for, and under which grant.
#[derive(Debug, Clone)]
pub struct FeedPlan {
    /// The feed's name.
    pub name: String,
    /// The component whose runs take its batches.
    pub component: String,
    /// Whose protocol it speaks.
    pub venue: FeedVenue,
    /// Where it connects to.
    pub url: FeedUrl,
    /// How its frames are gathered.
    pub batching: FeedBatching,
    pub(crate) protocol: Protocol,
    pub(crate) grant: EgressGrant,
}

impl FeedPlan {
    /// The plan of one of a component's feeds. `grant` is what the host may connect to for it.
    ///
    /// # Errors
    /// Instruments or timeframe are malformed, the venue has no word for what the feed is to stream, or its credentials
    /// would go over the network in the clear.
    pub fn new(component: &Component, feed: &Feed, grant: EgressGrant) -> Result<Self, PlanError> {
        let (name, line) = (feed.name.clone(), feed.line);
        if feed.has_credentials_in_clear() {
            return Err(PlanError::InClear { feed: name, line });
        }
        let instruments = match Instrument::parse_list(&feed.instruments) {
            Ok(instruments) => instruments,
            Err(source) => {
                return Err(PlanError::Instruments {
                    feed: name,
                    line,
                    source,
                });
            }
        };
        let timeframe = match feed.timeframe.parse() {
            Ok(timeframe) => timeframe,
            Err(source) => {
                return Err(PlanError::Timeframe {
                    feed: name,
                    line,
                    source,
                });
            }
        };
        let wanted = Wanted {
            venue: feed.venue,
            path: &feed.url.path,
            instruments: &instruments,
            timeframe,
            channels: &feed.channels,
            credentials: credentials(feed.key_id.as_ref(), feed.secret_key.as_ref()),
        };
        let protocol = Protocol::of(wanted).map_err(|unworded| match unworded {
            Unworded::Symbol(source) => PlanError::Symbol {
                feed: name.clone(),
                line,
                source,
            },
            Unworded::Other(detail) => PlanError::Unserved {
                feed: name.clone(),
                line,
                detail,
            },
        })?;
        Ok(Self {
            name,
            component: component.name.clone(),
            venue: feed.venue,
            url: feed.url.clone(),
            batching: feed.batching,
            protocol,
            grant,
        })
    }

    /// Path and query of the connection.
    pub(crate) fn path_and_query(&self) -> String {
        match self.protocol.query() {
            Some(query) => format!("{}?{query}", self.url.path),
            None => self.url.path.clone(),
        }
    }
}

fn credentials(key: Option<&VariableValue>, secret: Option<&VariableValue>) -> Option<Credentials> {
    Some(Credentials {
        key_id: key?.value.clone(),
        secret_key: secret?.value.clone(),
    })
}

#[cfg(test)]
mod tests {
    use bulkhead_manifest::App;

    use super::*;

    const MANIFEST: &str = r#"spin_manifest_version = 2
[application]
name = "test"
[component.ingest]
source = "ingest.wasm"
allowed_outbound_hosts = ["ws://stream.example.com:80"]
[component.ingest.variables]
instruments = "SPY"
timeframe = "1m"
[component.ingest.tool.bulkhead]
stage = "ingest"
[[component.ingest.tool.bulkhead.egress]]
host = "ws://stream.example.com:80"
class = "market-data"
methods = ["GET"]
paths = ["/v2/iex"]
[[component.ingest.tool.bulkhead.feed]]
name = "primary"
venue = "alpaca"
enabled = "0"
url = "ws://stream.example.com:80/v2/iex"
"#;

    #[test]
    fn a_feed_that_would_tell_its_credentials_in_the_clear_has_no_plan() {
        let app = App::check("spin.toml", MANIFEST, &Default::default()).unwrap();
        let ingest = &app.components["ingest"];
        let value = |text: &str| VariableValue {
            value: text.to_owned(),
            secret: true,
            line: 1,
        };
        let feed = Feed {
            key_id: Some(value("PK1")),
            secret_key: Some(value("hunter2")),
            ..ingest.feeds[0].clone()
        };
        let grant = EgressGrant {
            component: "ingest".to_owned(),
            component_line: 1,
            rules: Vec::new(),
        };
        let refused = FeedPlan::new(ingest, &feed, grant).unwrap_err();
        assert!(matches!(refused, PlanError::InClear { .. }), "{refused}");
    }
}
