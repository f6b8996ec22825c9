//! A plugin as a third party would write it, in an edge of his own: counts requests per tenant and says the count in a header.
//!
//! In `edge.toml`:
//! ```toml
//! [[plugins]]
//! name = "request-counter"
//! settings = { header = "x-request-count" }
//! ```
//! Compiled with the tests, so that what a plugin needs stays public.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cargoman_proxy::config::EdgeConfig;
use cargoman_proxy::plugin::{self, Context, Plugin, ReplyHead, RequestView, settings};
use cargoman_proxy::server::Edge;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    header: String,
}

struct RequestCounter {
    header: HeaderName,
    counts: Mutex<HashMap<String, u64>>,
}

impl Plugin for RequestCounter {
    fn on_reply(&self, request: &RequestView<'_>, _: &mut Context, reply: &mut ReplyHead) {
        let Some(tenant) = request.tenant else { return };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(tenant.to_owned()).or_default();
        *count += 1;
        reply.set.insert(self.header.clone(), HeaderValue::from(*count));
    }
}

fn build(table: &toml::Table) -> Result<Arc<dyn Plugin>, String> {
    let Settings { header } = settings(table)?;
    let header = HeaderName::try_from(header).map_err(|_| "header is no header name".to_owned())?;
    Ok(Arc::new(RequestCounter { header, counts: Mutex::default() }))
}

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "config/edge.toml".to_owned());
    let config = EdgeConfig::from_toml_and_variables(&std::fs::read_to_string(path)?, std::env::vars())?;
    let mut registry = plugin::registry();
    registry.insert("request-counter", build);
    let (_stop, stopping) = tokio::sync::watch::channel(false);
    Edge::with_plugins(config, &registry)?.run(stopping)?;
    Ok(())
}
