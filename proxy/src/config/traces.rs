//! The section `[traces]`: where the steps of requests are told, and of how many of them.

use toml::{Table, Value};
use url::Url;

use crate::settings::{self, Section};

/// A part of all requests, from 0 to 1.
pub type Share = f64;

/// Of so many requests unless the configuration says so: enough to see what is slow, too few to cost anything.
const USUAL: Share = 0.01;

/// OpenTelemetry traces.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// Where a collector takes them over HTTP (OTLP).
    pub endpoint: Url,
    /// Of which part of the requests.
    pub share: Share,
}

impl Traces {
    /// Takes the section out of `root`; none when no endpoint is named.
    pub(super) fn take(root: &mut Table, problems: &mut Vec<String>) -> Option<Self> {
        let mut section = Section::take(root, "traces", problems);
        let share = section.read("share", share).unwrap_or(USUAL);
        let endpoint = section.read("endpoint", endpoint);
        section.finish();
        Some(Self { endpoint: endpoint?, share })
    }
}

fn endpoint(value: &Value) -> Result<Url, String> {
    let wrong = || "must be an address such as http://127.0.0.1:4318/v1/traces".to_owned();
    let url = Url::parse(&settings::text(value).map_err(|_| wrong())?).map_err(|_| wrong())?;
    match matches!(url.scheme(), "http" | "https") && url.has_host() {
        true => Ok(url),
        false => Err(wrong()),
    }
}

fn share(value: &Value) -> Result<Share, String> {
    let share = match value {
        Value::Float(share) => Some(*share),
        #[expect(clippy::cast_precision_loss, reason = "0 or 1; anything else is refused")]
        Value::Integer(share) => Some(*share as Share),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "must be a part of 1, such as 0.01".to_owned())
}
