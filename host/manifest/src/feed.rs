//! Feeds: the websockets that the host holds for an `ingest` stage, whose frames it hands over in batches.
//!
//! A feed's URL must be covered by an egress rule of its component for `ws` or `wss`. Such a rule is for feeds alone: it
//! permits no request of the component's own.

mod resolve;
mod url;

use std::time::Duration;

use serde::Serialize;

use crate::limits::{as_millis, count, duration};
use crate::names::{check_kebab_id, did_you_mean};
use crate::problem::{Findings, Span, quoted};
use crate::section::{Located, Section};
use crate::template::Template;
use crate::variable::{VariableValue, Variables};

pub(crate) use resolve::resolve_feeds;
pub use url::FeedUrl;

/// The most feeds of one component: each holds a connection and a queue.
pub const MAX_FEEDS: usize = 16;
const FEED_KEYS: &[&str] = &[
    "name",
    "venue",
    "url",
    "enabled",
    "instruments",
    "timeframe",
    "channels",
    "batch_frames",
    "batch_window",
    "queue_frames",
    "key_id",
    "secret_key",
];
/// What `ingest` takes in one run.
const MAX_BATCH_FRAMES: u64 = 1_000;
const MAX_BATCH_WINDOW: Duration = Duration::from_secs(60);
const MAX_QUEUE_FRAMES: u64 = 100_000;

/// Whose protocol a feed speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedVenue {
    /// Binance spot market streams.
    Binance,
    /// Alpaca market data streams.
    Alpaca,
}

impl FeedVenue {
    /// Every venue.
    pub const ALL: [Self; 2] = [Self::Binance, Self::Alpaca];

    /// The name in the manifest, and in what `ingest` is given.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::Alpaca => "alpaca",
        }
    }
}

/// What a feed subscribes to, of each instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedChannel {
    /// Bars of the feed's timeframe.
    Bars,
    /// Each trade.
    Trades,
    /// The best bid and ask.
    Quotes,
}

impl FeedChannel {
    /// Every channel.
    pub const ALL: [Self; 3] = [Self::Bars, Self::Trades, Self::Quotes];

    /// The name in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bars => "bars",
            Self::Trades => "trades",
            Self::Quotes => "quotes",
        }
    }
}

/// How a feed's frames are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FeedBatching {
    /// A batch has at most so many frames, from 1 to 1,000. Default 500.
    pub batch_frames: u32,
    /// A batch that is not full leaves so long after its first frame, from 1 ms to 1 minute. Default 1 s.
    #[serde(rename = "batch_window_ms", serialize_with = "as_millis")]
    pub batch_window: Duration,
    /// So many frames may wait, from `batch_frames` to 100,000. Default 10,000.
    pub queue_frames: u32,
}

impl Default for FeedBatching {
    fn default() -> Self {
        Self {
            batch_frames: 500,
            batch_window: Duration::from_secs(1),
            queue_frames: 10_000,
        }
    }
}

/// A feed that can be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Feed {
    /// Its name, unique in its component.
    pub name: String,
    /// Whose protocol it speaks.
    pub venue: FeedVenue,
    /// Where it connects to; covered by an egress rule.
    pub url: FeedUrl,
    /// False: it is checked, and not started.
    pub is_enabled: bool,
    /// The instruments' names, parted by commas. Never blank.
    pub instruments: String,
    /// The length of its bars. Never blank.
    pub timeframe: String,
    /// What it subscribes to. Never empty.
    pub channels: Vec<FeedChannel>,
    /// How its frames are gathered.
    pub batching: FeedBatching,
    /// The venue's key, for those that ask for one. The component does not see it.
    pub key_id: Option<VariableValue>,
    /// What goes with the key. The component does not see it.
    pub secret_key: Option<VariableValue>,
    /// The line on which the feed begins, from 1.
    pub line: usize,
}

impl Feed {
    /// Whether its credentials could be read on the way.
    pub fn has_credentials_in_clear(&self) -> bool {
        let has_credentials = self.key_id.is_some() || self.secret_key.is_some();
        has_credentials && self.url.is_in_clear()
    }
}

/// A feed as it is written, its templates not substituted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedDeclaration {
    /// Its name, unique in its component.
    pub name: String,
    /// Whose protocol it speaks.
    pub venue: Template,
    /// Where it connects to.
    pub url: Template,
    /// Whether it is started. None: it is.
    pub enabled: Option<Template>,
    /// The instruments' names. None: the component's variable `instruments`.
    pub instruments: Option<Template>,
    /// The length of its bars. None: the component's variable `timeframe`.
    pub timeframe: Option<Template>,
    /// What it subscribes to.
    pub channels: Vec<FeedChannel>,
    /// How its frames are gathered.
    pub batching: FeedBatching,
    /// The venue's key.
    pub key_id: Option<Template>,
    /// What goes with the key.
    pub secret_key: Option<Template>,
    /// The line on which the feed begins, from 1.
    pub line: usize,
    #[serde(skip)]
    pub(crate) span: Span,
}

/// Reads a component's feeds.
pub(crate) fn read_feeds(
    found: &mut Findings<'_>,
    component: &str,
    table: &Section<'_>,
    variables: &Variables,
) -> Vec<FeedDeclaration> {
    let name = format!("`[[component.{component}.tool.bulkhead.feed]]`");
    let sections = table.sections(found, "feed", &name);
    if let Some(beyond) = sections.get(MAX_FEEDS) {
        found.add(
            &beyond.span,
            format!("a component has at most {MAX_FEEDS} feeds"),
        );
    }
    let mut names: Vec<&str> = Vec::new();
    let mut feeds = Vec::new();
    for section in &sections {
        let name = read_name(found, section, &mut names);
        if let Some(feed) = FeedDeclaration::read(found, section, name, variables) {
            feeds.push(feed);
        }
    }
    feeds
}

fn read_name<'t>(
    found: &mut Findings<'_>,
    section: &Section<'t>,
    names: &mut Vec<&'t str>,
) -> Option<&'t str> {
    let name = section.required_text(found, "name", "name it, for example `name = \"primary\"`")?;
    if let Err(message) = check_kebab_id(name.value) {
        found.add(&name.span, format!("the feed {message}"));
        return None;
    }
    if names.contains(&name.value) {
        found.add(
            &name.span,
            format!(
                "the component has another feed with the name {}",
                quoted(name.value)
            ),
        );
    }
    names.push(name.value);
    Some(name.value)
}

impl FeedDeclaration {
    fn read(
        found: &mut Findings<'_>,
        section: &Section<'_>,
        name: Option<&str>,
        variables: &Variables,
    ) -> Option<Self> {
        section.deny_unknown_keys(found, FEED_KEYS);
        let venue = section.required_text(
            found,
            "venue",
            "say whose protocol it speaks: `binance` or `alpaca`",
        );
        let venue = venue.and_then(|text| Template::read(found, &text, variables));
        let url = section.required_text(
            found,
            "url",
            "say where to connect, for example `url = \"wss://stream.example.com:443/stream\"`",
        );
        let url = url.and_then(|text| read_url(found, &text, variables));
        let mut template = |key| {
            let text = section.text(found, key)?;
            Template::read(found, &text, variables)
        };
        let enabled = template("enabled");
        let instruments = template("instruments");
        let timeframe = template("timeframe");
        let key_id = template("key_id");
        let secret_key = template("secret_key");
        if let Some(secret_key) = &secret_key {
            check_secret(found, secret_key, variables);
        }
        let channels = read_channels(found, section);
        let batching = read_batching(found, section);
        Some(Self {
            name: name?.to_owned(),
            venue: venue?,
            url: url?,
            enabled,
            instruments,
            timeframe,
            channels,
            batching,
            key_id,
            secret_key,
            line: found.line(&section.span),
            span: section.span.clone(),
        })
    }
}

fn read_url(
    found: &mut Findings<'_>,
    text: &Located<&str>,
    variables: &Variables,
) -> Option<Template> {
    let template = Template::read(found, text, variables)?;
    if let Some(secret) = template.variables().find(|name| variables.is_secret(name)) {
        let message = format!(
            "the variable {} is secret, and a feed's URL is printed: in logs, and when the application starts",
            quoted(secret)
        );
        let hint = "put credentials into `key_id` and `secret_key`";
        found.add_with_hint(&template.span, message, hint);
        return None;
    }
    Some(template)
}

/// A secret that stands in the manifest, or in a variable that may be shown, is none.
fn check_secret(found: &mut Findings<'_>, template: &Template, variables: &Variables) {
    if template
        .variables()
        .any(|variable| variables.is_secret(variable))
    {
        return;
    }
    found.add_with_hint(
        &template.span,
        "`secret_key` holds no secret variable, so that it would be shown",
        "declare a variable with `secret = true` and write `secret_key = \"{{ NAME }}\"`",
    );
}

fn read_channels(found: &mut Findings<'_>, section: &Section<'_>) -> Vec<FeedChannel> {
    let Some(span) = section.key_span("channels") else {
        return FeedChannel::ALL.to_vec();
    };
    let texts = section.texts(found, "channels");
    if section.get("channels").is_some_and(|value| {
        value
            .get_ref()
            .as_array()
            .is_some_and(|array| array.is_empty())
    }) {
        found.add_with_hint(
            &span,
            "a feed without `channels` subscribes to nothing",
            "leave the key out for all of `bars`, `trades`, `quotes`",
        );
    }
    let mut channels = Vec::new();
    for text in texts {
        let channel = FeedChannel::ALL
            .into_iter()
            .find(|channel| channel.as_str() == text.value);
        match channel {
            Some(channel) => channels.push(channel),
            None => found.push(
                &text.span,
                format!("{} is not a channel", quoted(text.value)),
                did_you_mean(text.value, FeedChannel::ALL.map(FeedChannel::as_str)),
            ),
        }
    }
    channels
}

fn read_batching(found: &mut Findings<'_>, section: &Section<'_>) -> FeedBatching {
    let mut batching = FeedBatching::default();
    let mut frames = |key, most| {
        count(found, section, key, 1, most).and_then(|frames| u32::try_from(frames).ok())
    };
    if let Some(frames) = frames("batch_frames", MAX_BATCH_FRAMES) {
        batching.batch_frames = frames;
    }
    if let Some(frames) = frames("queue_frames", MAX_QUEUE_FRAMES) {
        batching.queue_frames = frames;
    }
    let least = Duration::from_millis(1);
    if let Some(window) = duration(found, section, "batch_window", least, MAX_BATCH_WINDOW) {
        batching.batch_window = window;
    }
    let FeedBatching {
        batch_frames,
        queue_frames,
        ..
    } = batching;
    if queue_frames < batch_frames {
        let span = section
            .key_span("queue_frames")
            .unwrap_or(section.span.clone());
        found.add(
            &span,
            format!("`queue_frames` ({queue_frames}) is less than `batch_frames` ({batch_frames})"),
        );
    }
    batching
}
