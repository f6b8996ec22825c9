//! Header fields that browsers heed, on every answer.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use toml::Table;

use crate::plugin::{Context, Plugin, ReplyHead, RequestView, settings};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    hsts_seconds: u32,
    content_security_policy: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { hsts_seconds: 31_536_000, content_security_policy: None }
    }
}

struct SecurityHeaders {
    fields: HeaderMap,
}

/// Makes the plugin.
///
/// # Errors
/// When a setting is no header value.
pub fn build(table: &Table) -> Result<Arc<dyn Plugin>, String> {
    let Settings { hsts_seconds, content_security_policy } = settings(table)?;
    let mut fields = HeaderMap::new();
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    fields.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    fields.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    fields.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    if hsts_seconds > 0 {
        let value = HeaderValue::try_from(format!("max-age={hsts_seconds}")).map_err(|error| error.to_string())?;
        fields.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    if let Some(policy) = content_security_policy {
        let value =
            HeaderValue::try_from(policy).map_err(|_| "content_security_policy is no header value".to_owned())?;
        fields.insert(header::CONTENT_SECURITY_POLICY, value);
    }
    Ok(Arc::new(SecurityHeaders { fields }))
}

impl Plugin for SecurityHeaders {
    fn on_reply(&self, _: &RequestView<'_>, _: &mut Context, reply: &mut ReplyHead) {
        reply.set.extend(self.fields.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        for (text, good) in [
            ("", true),
            ("hsts_seconds = 0", true),
            ("content_security_policy = \"default-src 'self'\"", true),
            ("content_security_policy = \"a\\nb\"", false),
            ("hsts = 1", false),
            ("hsts_seconds = -1", false),
        ] {
            assert_eq!(build(&toml::from_str(text).unwrap()).is_ok(), good, "{text}");
        }
    }
}
