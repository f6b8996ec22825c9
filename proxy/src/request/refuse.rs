//! Every refusal: status, headers, body. The only place that makes one.
//!
//! Refusals are ordinary answers on a connection that goes on, with the exact content type at which Composer prints `warning`.
//! What must not be told apart (an absent package and one without a grant; an unknown tenant and a wrong token) has no field
//! here by which it could differ.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use super::admit::Fault;
use super::reply::ready::Constant;
use super::reply::{Body, Reply};
use crate::plugin::PluginRefusal;

/// Why a request does not get what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is outside the grammar.
    Fault(Fault),
    /// The connection was made for another host.
    Misdirected,
    /// The host is no one's.
    NoSuchHost,
    /// No token, an unknown one, or a host of the zone without a tenant: one body for all.
    Unauthorized,
    /// A token that was good once.
    TokenOver { last_four: String, how: Over, at: DateTime<Utc> },
    /// The token's scope does not read.
    Scope { scope: &'static str },
    /// The tenant is suspended; its own words.
    TenantSuspended { words: String },
    /// The customer has no right to this now, or to anything: why, in the tenant's words.
    Told { words: String },
    /// Nothing there, or nothing that he may know of.
    NotFound,
    /// As `NotFound`, where Composer asks by the hundred and would print every warning.
    NoSuchPackage,
    /// The route does not take the method.
    Method { allow: &'static str },
    /// The body is larger than the route takes.
    BodyTooLarge { most: usize },
    /// The body is not what the route takes.
    BodyMalformed,
    /// The body is compressed; nothing a client sends is expanded here.
    BodyCoded,
    /// The client did not send its body in time.
    BodyLate,
    /// The range lies outside the dist.
    Range { size: u64 },
    /// A fault of ours, or of a plugin.
    Failed,
    /// The control plane or the disk cannot be relied on now.
    Unavailable,
    /// As `Unavailable`, in the words of the REST API.
    UpstreamUnavailable { timed_out: bool },
    /// A plugin's.
    Plugin { status: StatusCode, words: String, retry_after: Option<u32> },
}

/// How a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Someone took it back.
    Revoked,
    /// Its date came.
    Expired,
}

impl Refusal {
    /// The answer: a function of the refusal alone.
    pub(crate) fn reply(&self) -> Reply {
        match self.held() {
            Some(held) => held.reply(|| self.made()),
            None => self.made(),
        }
    }

    /// Where it is held ready, if it is given so often and always the same.
    const fn held(&self) -> Option<&'static Constant> {
        static UNAUTHORIZED: Constant = Constant::new();
        static NO_SUCH_PACKAGE: Constant = Constant::new();
        match self {
            Self::Unauthorized => Some(&UNAUTHORIZED),
            Self::NoSuchPackage => Some(&NO_SUCH_PACKAGE),
            _ => None,
        }
    }

    fn made(&self) -> Reply {
        let body = match self {
            Self::NoSuchPackage => json!({ "error": "not found" }),
            Self::UpstreamUnavailable { .. } => {
                json!({ "error": { "code": "UNAVAILABLE", "message": "The control plane cannot be reached. Try again shortly." } })
            }
            other => json!({ "warning": clean(&other.words()) }),
        };
        let mut reply = Reply::new(self.status(), Body::Bytes(Bytes::from(body.to_string())));
        reply.set(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        reply.set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.fields() {
            reply.set(name, value);
        }
        reply.close = matches!(self, Self::Fault(_) | Self::BodyTooLarge { .. } | Self::BodyLate | Self::Failed);
        reply
    }

    /// The status.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Fault(Fault::TargetTooLong) => StatusCode::URI_TOO_LONG,
            Self::Fault(Fault::HeadersTooLarge) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Fault(_) | Self::NoSuchHost | Self::BodyMalformed => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Unauthorized | Self::TokenOver { .. } => StatusCode::UNAUTHORIZED,
            Self::Scope { .. } | Self::TenantSuspended { .. } | Self::Told { .. } => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoSuchPackage => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyCoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyLate => StatusCode::REQUEST_TIMEOUT,
            Self::Range { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable | Self::UpstreamUnavailable { timed_out: false } => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamUnavailable { timed_out: true } => StatusCode::GATEWAY_TIMEOUT,
            Self::Plugin { status, .. } => *status,
        }
    }

    fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::Unauthorized | Self::TokenOver { .. } => {
                vec![(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Cargoman\""))]
            }
            Self::Method { allow } => vec![(header::ALLOW, HeaderValue::from_static(allow))],
            Self::Range { size } => match HeaderValue::try_from(format!("bytes */{size}")) {
                Ok(value) => vec![(header::CONTENT_RANGE, value)],
                Err(_) => Vec::new(),
            },
            Self::Unavailable | Self::UpstreamUnavailable { .. } => {
                vec![(header::RETRY_AFTER, HeaderValue::from_static("5"))]
            }
            Self::Plugin { retry_after: Some(seconds), .. } => vec![(header::RETRY_AFTER, HeaderValue::from(*seconds))],
            _ => Vec::new(),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Fault(fault) => fault_words(*fault),
            Self::Misdirected => {
                "This connection was made for another host name. Open one of its own for this one.".to_owned()
            }
            Self::NoSuchHost => {
                "No registry answers under this host name. Check the repository URL in composer.json.".to_owned()
            }
            Self::Unauthorized => {
                "This registry needs a valid token. Set it with: composer config http-basic.<host> token <token>"
                    .to_owned()
            }
            Self::TokenOver { last_four, how, at } => {
                let how = match how {
                    Over::Revoked => "was revoked",
                    Over::Expired => "expired",
                };
                format!(
                    "The token ending in {last_four} {how} on {}. Ask the owner of this registry for a new one.",
                    day(*at)
                )
            }
            Self::Scope { scope } => {
                format!("A token of scope {scope} cannot read packages. Use one of scope download.")
            }
            Self::TenantSuspended { words } if words.trim().is_empty() => "This registry is suspended.".to_owned(),
            Self::TenantSuspended { words } | Self::Told { words } | Self::Plugin { words, .. } => words.clone(),
            Self::NotFound | Self::NoSuchPackage => "Not found.".to_owned(),
            Self::Method { allow } => format!("This address takes {allow} only."),
            Self::BodyTooLarge { most } => format!("The body is larger than {most} bytes."),
            Self::BodyMalformed => "The body is not the JSON that this address takes.".to_owned(),
            Self::BodyCoded => "Send the body without Content-Encoding.".to_owned(),
            Self::BodyLate => "The body did not arrive in time.".to_owned(),
            Self::Range { size } => format!("The range lies outside the {size} bytes of this archive."),
            Self::Failed => "The registry failed at this request, which is its fault. Try again; its operator finds the reason in the log.".to_owned(),
            Self::Unavailable | Self::UpstreamUnavailable { .. } => {
                "The registry cannot answer for the moment. Try again in a few seconds.".to_owned()
            }
        }
    }
}

impl From<PluginRefusal> for Refusal {
    fn from(refusal: PluginRefusal) -> Self {
        Self::Plugin { status: refusal.status, words: refusal.words, retry_after: refusal.retry_after }
    }
}

/// Texts from people lose what could steer a terminal or hide what is written.
pub(crate) fn clean(text: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().filter(|c| !unseen(*c)).collect()
}

pub(crate) fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

fn fault_words(fault: Fault) -> String {
    match fault {
        Fault::Head => "The head of the request is malformed.".to_owned(),
        Fault::Host => "The request names no host, or none that can be read.".to_owned(),
        Fault::Target => "The request target is malformed.".to_owned(),
        Fault::TargetTooLong => "The request target is too long.".to_owned(),
        Fault::HeadersTooLarge => "The request has too many or too large header fields.".to_owned(),
        Fault::Twice(name) => format!("The header field {name} may stand once only."),
        Fault::Body => "The request has a body where none belongs, or of unclear length.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn body(refusal: &Refusal) -> serde_json::Value {
        let reply = refusal.reply();
        let Body::Bytes(body) = &reply.body else { panic!("a refusal has bytes") };
        serde_json::from_slice(body).unwrap()
    }

    /// E-C7: and none of them is for anybody's cache.
    #[test]
    fn table() {
        let until = at("2025-01-15T00:00:00Z");
        for (refusal, status, words) in [
            (Refusal::Fault(Fault::Host), 400, "no host"),
            (Refusal::Fault(Fault::TargetTooLong), 414, "too long"),
            (Refusal::Fault(Fault::HeadersTooLarge), 431, "header fields"),
            (Refusal::Misdirected, 421, "another host name"),
            (Refusal::NoSuchHost, 400, "host name"),
            (Refusal::Unauthorized, 401, "valid token"),
            (
                Refusal::TokenOver { last_four: "ab12".into(), how: Over::Revoked, at: until },
                401,
                "ending in ab12 was revoked on 2025-01-15",
            ),
            (
                Refusal::TokenOver { last_four: "ab12".into(), how: Over::Expired, at: until },
                401,
                "ending in ab12 expired on 2025-01-15",
            ),
            (Refusal::Scope { scope: "webhook" }, 403, "webhook"),
            (Refusal::TenantSuspended { words: "Closed.".into() }, 403, "Closed."),
            (Refusal::TenantSuspended { words: " ".into() }, 403, "suspended"),
            (Refusal::Told { words: "Unpaid.".into() }, 403, "Unpaid."),
            (Refusal::NotFound, 404, "Not found"),
            (Refusal::Method { allow: "GET, HEAD" }, 405, "GET, HEAD"),
            (Refusal::BodyTooLarge { most: 10 }, 413, "10 bytes"),
            (Refusal::BodyMalformed, 400, "JSON"),
            (Refusal::Range { size: 10 }, 416, "10 bytes"),
            (Refusal::BodyCoded, 415, "Content-Encoding"),
            (Refusal::Failed, 500, "Try again"),
            (Refusal::Unavailable, 503, "Try again"),
            (
                Refusal::Plugin {
                    status: StatusCode::TOO_MANY_REQUESTS,
                    words: "Slow down.".into(),
                    retry_after: Some(1),
                },
                429,
                "Slow down",
            ),
        ] {
            let reply = refusal.reply();
            assert_eq!(reply.status.as_u16(), status, "{refusal:?}");
            assert_eq!(reply.field(&header::CONTENT_TYPE).unwrap(), "application/json", "{refusal:?}");
            assert_eq!(reply.field(&header::CACHE_CONTROL).unwrap(), "no-store", "{refusal:?}");
            let warning = body(&refusal)["warning"].as_str().unwrap().to_owned();
            assert!(warning.contains(words), "{refusal:?}: {warning}");
        }
    }

    #[test]
    fn fields() {
        assert_eq!(Refusal::Unauthorized.reply().field(&header::WWW_AUTHENTICATE).unwrap(), "Basic realm=\"Cargoman\"");
        assert_eq!(Refusal::Method { allow: "POST" }.reply().field(&header::ALLOW).unwrap(), "POST");
        assert_eq!(Refusal::Range { size: 7 }.reply().field(&header::CONTENT_RANGE).unwrap(), "bytes */7");
        assert!(Refusal::Unavailable.reply().field(&header::RETRY_AFTER).is_some());
    }

    /// Only what leaves the connection in doubt ends it.
    #[test]
    fn keep_alive() {
        for refusal in [
            Refusal::Unauthorized,
            Refusal::NotFound,
            Refusal::Told { words: "Unpaid.".into() },
            Refusal::NoSuchHost,
            Refusal::Unavailable,
        ] {
            assert!(!refusal.reply().close, "{refusal:?}");
        }
        assert!(Refusal::Fault(Fault::Body).reply().close && Refusal::Failed.reply().close);
    }

    #[test]
    fn people_cannot_steer_a_terminal() {
        let refusal =
            Refusal::Told { words: "Suspended: \u{1b}[31mred\u{1b}]0;x\u{7}\r\n\u{9b}1m \u{202e}back \"q\"".into() };
        assert_eq!(body(&refusal)["warning"], "Suspended: [31mred]0;x1m back \"q\"");
    }
}
