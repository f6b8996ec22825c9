//! Decides whether a delivery comes from who knows the hook's secret: over the raw bytes, before anything of them is parsed, and each
//! provider by its own scheme. The scheme follows from the path, never from what the request says of itself (W-4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use ring::hmac;

use super::{Provider, header};

/// How far the sender's clock may be from ours, in seconds: Standard Webhooks.
const TOLERANCE: i64 = 300;
/// Signatures that one delivery may carry.
const MOST_SIGNATURES: usize = 10;

/// How deliveries of a hook prove themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// What the provider does of old.
    Own,
    /// Standard Webhooks, as GitLab signs since 2026. What carries the old token alone is refused then (W-3).
    Standard,
}

/// Why a delivery is refused; said to the tenant's operators, never to the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It has no signature, or several, or none of the scheme's form.
    #[error("it carries no signature of the form `{0}`; give the forge's webhook this hook's secret")]
    Unsigned(&'static str),
    /// It was made with another secret, or the body was changed.
    #[error("its signature does not fit; give the forge's webhook this hook's secret, or rotate the hook's")]
    Wrong,
    /// It says that it is of another time.
    #[error("it is signed for a time more than five minutes from now; look at both clocks")]
    Time,
}

/// Checks a delivery against one secret. `now` in seconds since 1970.
///
/// # Errors
/// With what is wrong.
pub fn verify(
    (provider, scheme): (Provider, Scheme),
    secret: &[u8],
    headers: &HeaderMap,
    body: &[u8],
    now: i64,
) -> Result<(), Refused> {
    // A hook without a secret would believe everybody.
    if secret.is_empty() {
        return Err(Refused::Wrong);
    }
    match (provider, scheme) {
        (_, Scheme::Standard) => standard(secret, headers, body, now),
        (Provider::Github, _) => hex_mac(secret, header(headers, "x-hub-signature-256"), "sha256=", body),
        // The name of GitHub's old header, with another digest.
        (Provider::Bitbucket, _) => hex_mac(secret, header(headers, "x-hub-signature"), "sha256=", body),
        (Provider::Gitea, _) => {
            let signature = header(headers, "x-forgejo-signature").or_else(|| header(headers, "x-gitea-signature"));
            hex_mac(secret, signature, "", body)
        }
        (Provider::Gitlab, _) => plain(secret, header(headers, "x-gitlab-token")),
        (Provider::Packagist, _) => Err(Refused::Unsigned("apiToken")),
    }
}

fn hex_mac(secret: &[u8], signature: Option<&str>, prefix: &'static str, body: &[u8]) -> Result<(), Refused> {
    const FORM: &str = "sha256=<64 lower-case hexadecimal digits>";
    let given = signature.and_then(|text| text.strip_prefix(prefix)).and_then(unhex).ok_or(Refused::Unsigned(FORM))?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), body, &given).map_err(|_| Refused::Wrong)
}

/// 64 lower-case digits, in the one way in which each provider writes them.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(out)
}

/// The secret itself (W-2). Compared by its digest, so that the time taken tells nothing.
fn plain(secret: &[u8], given: Option<&str>) -> Result<(), Refused> {
    let given = given.ok_or(Refused::Unsigned("X-Gitlab-Token"))?;
    match same(secret, given.as_bytes()) {
        true => Ok(()),
        false => Err(Refused::Wrong),
    }
}

/// Whether two secrets are the same.
#[must_use]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    use cargoman_credential::Digest;
    Digest::of(one) == Digest::of(other)
}

/// Standard Webhooks: `webhook-signature: v1,<base64> v1,<base64>` over `id.timestamp.body`.
fn standard(secret: &[u8], headers: &HeaderMap, body: &[u8], now: i64) -> Result<(), Refused> {
    const FORM: &str = "webhook-signature: v1,<base64>";
    let part = |name| header(headers, name).ok_or(Refused::Unsigned(FORM));
    let (id, timestamp, signatures) = (part("webhook-id")?, part("webhook-timestamp")?, part("webhook-signature")?);
    let at: i64 = timestamp.parse().map_err(|_| Refused::Unsigned(FORM))?;
    if now.abs_diff(at) > TOLERANCE.unsigned_abs() {
        return Err(Refused::Time);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, &standard_key(secret));
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(body);
    let mut any = false;
    for signature in signatures.split(' ').take(MOST_SIGNATURES) {
        // Of versions that come later nothing is known.
        let Some(text) = signature.strip_prefix("v1,") else { continue };
        let Ok(given) = STANDARD.decode(text) else { continue };
        any = true;
        if hmac::verify(&key, &signed, &given).is_ok() {
            return Ok(());
        }
    }
    Err(if any { Refused::Wrong } else { Refused::Unsigned(FORM) })
}

/// `whsec_` + base64 stands for bytes; anything else for itself.
fn standard_key(secret: &[u8]) -> Vec<u8> {
    let decoded = secret.strip_prefix(b"whsec_").and_then(|text| STANDARD.decode(text).ok());
    decoded.unwrap_or_else(|| secret.to_vec())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const BODY: &[u8] = br#"{"a":1}"#;

    fn mac(secret: &[u8], body: &[u8]) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), body);
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn headers(lines: &[(&'static str, String)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn check(provider: Provider, lines: &[(&'static str, String)]) -> Result<(), Refused> {
        verify((provider, Scheme::Own), b"secret", &headers(lines), BODY, NOW)
    }

    /// W-1
    #[test]
    fn github() {
        let good = mac(b"secret", BODY);
        let name = "x-hub-signature-256";
        let one = |text: &str| check(Provider::Github, &[(name, text.to_owned())]);
        assert_eq!(one(&format!("sha256={good}")), Ok(()));
        assert_eq!(one(&format!("sha256={}", mac(b"other", BODY))), Err(Refused::Wrong));
        assert_eq!(one(&format!("sha256={}", mac(b"secret", b"x"))), Err(Refused::Wrong));
        for bad in [
            String::new(),
            good.clone(),
            format!("sha1={good}"),
            format!("bogus={good}"),
            format!("sha256={}", good.to_uppercase()),
            format!("sha256={}", &good[1..]),
            format!("sha256={good}0"),
            format!("sha256= {good}"),
            format!("SHA256={good}"),
        ] {
            assert!(matches!(one(&bad), Err(Refused::Unsigned(_))), "{bad}");
        }
        let twice = [(name, format!("sha256={good}")), (name, format!("sha256={good}"))];
        assert!(matches!(check(Provider::Github, &twice), Err(Refused::Unsigned(_))));
        assert!(matches!(
            check(Provider::Github, &[("x-hub-signature", format!("sha256={good}"))]),
            Err(Refused::Unsigned(_))
        ));
        let empty = [(name, format!("sha256={}", mac(b"", BODY)))];
        assert_eq!(verify((Provider::Github, Scheme::Own), b"", &headers(&empty), BODY, NOW), Err(Refused::Wrong));
    }

    /// W-2, W-4
    #[test]
    fn the_others_by_their_own_schemes() {
        let good = mac(b"secret", BODY);
        for (provider, name, value, expected) in [
            (Provider::Gitlab, "x-gitlab-token", "secret".to_owned(), true),
            (Provider::Gitlab, "x-gitlab-token", "Secret".to_owned(), false),
            (Provider::Gitlab, "x-gitlab-token", String::new(), false),
            (Provider::Gitlab, "x-hub-signature-256", format!("sha256={good}"), false),
            (Provider::Bitbucket, "x-hub-signature", format!("sha256={good}"), true),
            (Provider::Bitbucket, "x-hub-signature", format!("sha1={good}"), false),
            (Provider::Bitbucket, "x-hub-signature-256", format!("sha256={good}"), false),
            (Provider::Gitea, "x-gitea-signature", good.clone(), true),
            (Provider::Gitea, "x-forgejo-signature", good.clone(), true),
            (Provider::Gitea, "x-gitea-signature", format!("sha256={good}"), false),
            (Provider::Packagist, "x-hub-signature-256", format!("sha256={good}"), false),
        ] {
            assert_eq!(check(provider, &[(name, value.clone())]).is_ok(), expected, "{provider:?} {name} {value}");
        }
    }

    /// W-3
    #[test]
    fn standard_webhooks() {
        let key = b"0123456789abcdef0123456789abcdef";
        let secret = format!("whsec_{}", STANDARD.encode(key));
        let sign = |at: i64, body: &[u8]| {
            let tag = hmac::sign(
                &hmac::Key::new(hmac::HMAC_SHA256, key),
                &[format!("msg_1.{at}.").as_bytes(), body].concat(),
            );
            format!("v1,{}", STANDARD.encode(tag))
        };
        let check = |at: i64, signature: String| {
            let lines = [
                ("webhook-id", "msg_1".to_owned()),
                ("webhook-timestamp", at.to_string()),
                ("webhook-signature", signature),
            ];
            verify((Provider::Gitlab, Scheme::Standard), secret.as_bytes(), &headers(&lines), BODY, NOW)
        };
        for (at, expected) in [
            (NOW, Ok(())),
            (NOW - 300, Ok(())),
            (NOW + 300, Ok(())),
            (NOW - 301, Err(Refused::Time)),
            (NOW + 301, Err(Refused::Time)),
            (i64::MIN, Err(Refused::Time)),
        ] {
            assert_eq!(check(at, sign(at, BODY)), expected, "{at}");
        }
        assert_eq!(check(NOW, format!("v2,abc v1,AAAA {}", sign(NOW, BODY))), Ok(()));
        assert_eq!(check(NOW, sign(NOW, b"other")), Err(Refused::Wrong));
        assert_eq!(check(NOW, sign(NOW - 1, BODY)), Err(Refused::Wrong));
        assert!(matches!(check(NOW, "v2,abc".to_owned()), Err(Refused::Unsigned(_))));
        // The old token is worth nothing where a signing key is set.
        let old = [("x-gitlab-token", secret.clone())];
        let found = verify((Provider::Gitlab, Scheme::Standard), secret.as_bytes(), &headers(&old), BODY, NOW);
        assert!(matches!(found, Err(Refused::Unsigned(_))));
    }
}
