//! `notify-batch`: what Composer says it installed. Believed only as far as the token reaches, and kept before it is answered.

use cargoman_composer::name::PackageName;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::{Body, Reply};
use crate::link::usage::Meter;
use crate::request::bearer::Bearer;
use crate::request::refuse::Refusal;

/// Most bytes of a report.
pub(crate) const MOST_BYTES: usize = 1 << 20;

/// Longest version that is passed on.
const LONGEST_VERSION: usize = 255;

#[derive(Deserialize)]
struct Notification {
    downloads: Vec<Download>,
}

#[derive(Deserialize)]
struct Download {
    name: String,
    version: String,
}

/// Takes a report in, and answers once it is kept.
pub(crate) async fn answer(bearer: &Bearer<'_>, body: &[u8], meter: Meter<'_>) -> Result<Reply, Refusal> {
    let notification: Notification = serde_json::from_slice(body).map_err(|_| Refusal::BodyMalformed)?;
    let installs: Vec<(PackageName, String)> = notification
        .downloads
        .into_iter()
        .filter(|download| download.version.len() <= LONGEST_VERSION && !download.version.contains(char::is_control))
        .filter_map(|download| Some((PackageName::parse_lowercasing(&download.name).ok()?, download.version)))
        .filter(|(name, _)| bearer.covers(name))
        .collect();
    if !installs.is_empty() {
        let due = meter.installed(bearer, installs);
        // A report that is lost is no reason to let `composer install` fail.
        due.count().await;
    }
    let mut reply =
        Reply::new(StatusCode::CREATED, Body::Bytes(bytes::Bytes::from_static(b"{\"status\":\"success\"}")));
    reply.set(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply.set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}
