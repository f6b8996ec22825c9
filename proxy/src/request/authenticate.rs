//! Step 4: `Authorization` to the bearer's access.
//!
//! A token comes as Basic password, whatever the user name, or as Bearer; nowhere else. What is not well-formed is refused
//! without asking anyone. Only digests leave this file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cargoman_credential::{Digest, Kind, Secret};
use chrono::{DateTime, Utc};
use http::HeaderValue;

use super::refuse::{Over, Refusal};
use crate::cache::access::Holding;

/// What stands in `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// Nothing, or nothing that could be a customer's token.
    None,
    /// A well-formed token, by its digest.
    Token(Digest),
}

impl Credential {
    /// Reads an `Authorization` field.
    pub(crate) fn read(field: Option<&HeaderValue>) -> Self {
        let text = field.and_then(|value| value.to_str().ok()).and_then(secret_text);
        match text.as_deref().map(Secret::parse) {
            Some(Ok(secret)) if secret.kind() == Kind::Token => Self::Token(secret.digest()),
            _ => Self::None,
        }
    }

    /// The digest of a token.
    pub(crate) const fn digest(self) -> Option<Digest> {
        match self {
            Self::None => None,
            Self::Token(digest) => Some(digest),
        }
    }
}

fn secret_text(field: &str) -> Option<String> {
    let (scheme, rest) = field.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// The access behind a token, as long as the token is good.
pub(crate) fn access(access: Option<&Holding>, now: DateTime<Utc>) -> Result<&Holding, Refusal> {
    let access = access.ok_or(Refusal::Unauthorized)?;
    let over = |how, at: DateTime<Utc>| Err(Refusal::TokenOver { last_four: access.last_four().to_owned(), how, at });
    match (access.token.revoked_at, access.token.expires_at) {
        (Some(at), _) if at <= now => over(Over::Revoked, at),
        (_, Some(at)) if at <= now => over(Over::Expired, at),
        _ => Ok(access),
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;

    fn secret(kind: Kind) -> Secret {
        Secret::generate(kind, &SystemRandom::new()).unwrap()
    }

    fn read(field: &str) -> Credential {
        Credential::read(Some(&HeaderValue::from_bytes(field.as_bytes()).unwrap()))
    }

    /// E-A2, E-A3, E-A4.
    #[test]
    fn accepted() {
        let token = secret(Kind::Token);
        let text = token.expose();
        let basic = |pair: String| format!("Basic {}", STANDARD.encode(pair));
        for field in [
            basic(format!("token:{text}")),
            basic(format!(":{text}")),
            basic(format!("anyone at all:{text}")),
            basic(format!("x:{text}")).replace("Basic", "bAsIc"),
            format!("Bearer {text}"),
            format!("BEARER {text}"),
        ] {
            assert_eq!(read(&field), Credential::Token(token.digest()), "{field}");
        }
    }

    /// E-A2, E-A3, E-A4, E-A5, E-A7, E-A10: no look-up follows any of these.
    #[test]
    fn refused() {
        let token = secret(Kind::Token);
        let text = token.expose();
        let encode = |pair: &str| STANDARD.encode(pair);
        let padded = encode(&format!("tok:{text}"));
        assert!(padded.ends_with('='), "the sample must need padding");
        let mut wrong_tail = text.to_owned();
        wrong_tail.replace_range(41.., if text.ends_with('x') { "y" } else { "x" });
        for field in [
            String::new(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            format!("Bearer  {text}"),
            format!("Bearer {text} "),
            format!("Digest {text}"),
            format!("Negotiate {text}"),
            text.to_owned(),
            format!("Basic {}", encode(text)),
            format!("Basic {}", encode(&format!("{text}:"))),
            format!("Basic {}", encode(&format!("{text}:x-oauth-basic"))),
            format!("Basic {}", encode(&format!("a:b:{text}"))),
            format!("Basic {}", encode(&format!("a: {text}"))),
            format!("Basic {}", encode(&format!("a:{text}\n"))),
            format!("Basic {}", encode(&format!("a:\0{text}"))),
            format!("Basic {}", padded.trim_end_matches('=')),
            format!("Basic {}\t{}", &padded[..8], &padded[8..]),
            format!("Basic {}", STANDARD.encode([b"a:\xff\xfe".as_slice(), text.as_bytes()].concat())),
            "Basic !!!!".to_owned(),
            format!("Bearer {}", secret(Kind::Operator).expose()),
            format!("Bearer {}", secret(Kind::Edge).expose()),
            format!("Bearer {wrong_tail}"),
            "Bearer é".to_owned(),
        ] {
            assert_eq!(read(&field), Credential::None, "{field:?}");
        }
        assert_eq!(Credential::read(None), Credential::None);
    }
}
