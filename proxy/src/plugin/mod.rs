//! Plugins: named steps with their own typed settings, run in the order in which `edge.toml` lists them.
//!
//! A plugin is synchronous and does no I/O: it runs on the threads that serve. It sees a request in canonical form, never the
//! secret in it. To add one, write it against [`Plugin`] and put it into the table that is given to
//! [`crate::server::Edge::with_plugins`]; `examples/request_counter.rs` does so.

pub mod builtin;
mod pipeline;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use toml::Table;

pub use pipeline::Plugins;
pub(crate) use pipeline::Stage;
pub use view::{Context, Outcome, RequestView};

/// A named step. Every method has a default that does nothing.
pub trait Plugin: Send + Sync {
    /// Before anything is looked up (for every tenant), or as soon as the tenant is known (for some).
    fn on_request(&self, _request: &RequestView<'_>, _context: &mut Context) -> Verdict {
        Verdict::Continue
    }

    /// Before the header of an answer is written.
    fn on_reply(&self, _request: &RequestView<'_>, _context: &mut Context, _reply: &mut ReplyHead) {}

    /// After everything, whatever came of it.
    fn on_done(&self, _request: &RequestView<'_>, _context: &mut Context, _outcome: &Outcome) {}
}

/// What a plugin makes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// The next step decides.
    Continue,
    /// This is the answer.
    Reply(PluginReply),
    /// This is why there is none.
    Refuse(PluginRefusal),
}

/// An answer by a plugin.
#[derive(Debug, Clone)]
pub struct PluginReply {
    /// Its status.
    pub status: StatusCode,
    /// Its header; `Content-Length` follows from the body.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A refusal by a plugin: answered as JSON with a `warning`, on a connection that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRefusal {
    /// 400 to 599.
    pub status: StatusCode,
    /// What Composer shows. Loses control characters.
    pub words: String,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
}

/// The header of an answer, as plugins may change it.
#[derive(Debug)]
pub struct ReplyHead {
    /// The status, to look at.
    pub status: StatusCode,
    /// Fields to set; they take the place of those that are there.
    pub set: HeaderMap,
    /// A refusal to send instead. Heeded only for answers that the edge made itself.
    pub instead: Option<PluginRefusal>,
}

/// Makes a plugin from its settings.
pub type Build = fn(&Table) -> Result<Arc<dyn Plugin>, String>;

/// Plugins by the names under which `edge.toml` knows them.
pub type Registry = BTreeMap<&'static str, Build>;

/// The plugins that come with the edge: the one table in which they are listed.
#[must_use]
pub fn registry() -> Registry {
    Registry::from([
        ("rate-limit", builtin::rate_limit::build as Build),
        ("ip-allow-list", builtin::ip_allow_list::build as Build),
        ("security-headers", builtin::security_headers::build as Build),
    ])
}

/// Reads a plugin's settings into its own type, which should refuse unknown fields.
///
/// # Errors
/// Says what is wrong, for the one who wrote the file.
pub fn settings<T: DeserializeOwned>(table: &Table) -> Result<T, String> {
    T::deserialize(toml::Value::Table(table.clone())).map_err(|error| error.message().to_owned())
}
