//! Decides how every program logs: to standard error, as lines for people on a terminal and as JSON for machines.
//!
//! Standard output belongs to results. What is logged must never hold a secret; types that hold one have no way to print it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

/// Where a program says nothing itself: our own words, and only warnings of libraries. Pingora logs every failed handshake as
/// an error, which lets scanners flood a log.
const DEFAULT: &str = "warn,cargoman=info,pingora_core::services::listening=off,pingora_core::listeners=error";

/// Starts logging. `RUST_LOG` overrides what is shown. A second call does nothing.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let writer = std::io::stderr.with_max_level(tracing::Level::TRACE);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // An error means that logging was started before.
    if std::io::stderr().is_terminal() {
        builder.try_init().ok();
    } else {
        builder.json().flatten_event(true).try_init().ok();
    }
}
