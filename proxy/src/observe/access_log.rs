//! One line per request, under the target `cargoman::access`. No secret and no query is ever in it.

use std::net::IpAddr;
use std::time::Duration;

/// What one line says.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) tenant: Option<&'a str>,
    pub(crate) customer: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    pub(crate) user_agent: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
}

/// Longest user agent that is written.
const LONGEST_AGENT: usize = 200;

/// Writes the line.
pub(crate) fn write(line: &Line<'_>) {
    let agent: String = line.user_agent.chars().filter(|c| !c.is_control()).take(LONGEST_AGENT).collect();
    tracing::info!(
        target: "cargoman::access",
        method = line.method,
        host = line.host,
        path = line.path,
        client = line.client.map(tracing::field::display),
        tenant = line.tenant,
        customer = line.customer,
        token = line.token,
        agent = agent.as_str(),
        status = line.status,
        bytes = line.bytes,
        took_us = u64::try_from(line.took.as_micros()).unwrap_or(u64::MAX),
    );
}
