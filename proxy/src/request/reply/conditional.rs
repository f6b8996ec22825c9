//! When an answer is 304, and what stands in `Last-Modified`.
//!
//! Composer echoes `Last-Modified` byte for byte and knows no ETag. Its cache is keyed by URL, not by token, so that the date
//! must tell views apart: it is drawn from the bytes themselves (licences.md, rule 8) and compared as a string only. A date that
//! were compared by time would hide roll-backs and changes of rights.

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use chrono::DateTime;
use http::HeaderValue;

use crate::request::admit::Conditions;

/// 1985-01-01: with the 2³⁰ seconds of the window the last date is 2019-01-10, in the past for every clock.
const WINDOW_START: i64 = 473_385_600;
const WINDOW_MASK: u64 = (1 << 30) - 1;

/// The date of `body` under `path`. A pure function of its arguments.
pub(crate) fn last_modified(tenant: TenantId, path: &str, body: &[u8]) -> HeaderValue {
    let mut input = Vec::with_capacity(32 + path.len() + body.len());
    input.extend_from_slice(tenant.0.as_bytes());
    input.extend_from_slice(&(path.len() as u64).to_be_bytes());
    input.extend_from_slice(path.as_bytes());
    input.extend_from_slice(body);
    let digest = Digest::of(&input);
    let drawn = digest.as_bytes().iter().take(8).fold(0_u64, |all, byte| all << 8 | u64::from(*byte)) & WINDOW_MASK;
    let seconds = WINDOW_START.saturating_add_unsigned(drawn);
    let date = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    // An HTTP date is ASCII; the fallback is as constant as it is unreachable.
    HeaderValue::try_from(date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()).unwrap_or(HeaderValue::from_static("0"))
}

/// Whether the client has the very bytes that `last_modified` stands for.
pub(crate) fn has_document(conditions: &Conditions, last_modified: &HeaderValue) -> bool {
    // Documents have no entity tag; a request that goes by one does not go by the date (RFC 9110, 13.1.3).
    conditions.if_none_match.is_none()
        && conditions.if_modified_since.as_ref().is_some_and(|date| date.as_bytes() == last_modified.as_bytes())
}

/// The entity tag of a dist: strong, and another one for each tenant, so that it proves nothing about others' contents.
pub(crate) fn entity_tag(tenant: TenantId, sha256: &Digest) -> HeaderValue {
    let mut input = Vec::with_capacity(48);
    input.extend_from_slice(tenant.0.as_bytes());
    input.extend_from_slice(sha256.as_bytes());
    HeaderValue::try_from(format!("\"{}\"", Digest::of(&input))).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether `If-None-Match` names `tag` (weak comparison) or anything.
pub(crate) fn has_entity(conditions: &Conditions, tag: &HeaderValue) -> bool {
    let Some(text) = conditions.if_none_match.as_ref().and_then(|value| value.to_str().ok()) else { return false };
    text.trim() == "*"
        || text
            .split(',')
            .map(|one| one.trim())
            .any(|one| one.strip_prefix("W/").unwrap_or(one).as_bytes() == tag.as_bytes())
}

/// Whether a range may be sent: without `If-Range`, or when it is `tag` itself, strongly.
pub(crate) fn range_holds(conditions: &Conditions, tag: &HeaderValue) -> bool {
    conditions.if_range.as_ref().is_none_or(|wanted| wanted.as_bytes() == tag.as_bytes())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    fn since(value: &str) -> Conditions {
        Conditions { if_modified_since: Some(HeaderValue::from_str(value).unwrap()), ..Conditions::default() }
    }

    #[test]
    fn a_date_in_the_past_drawn_from_the_bytes() {
        let date = last_modified(tenant(1), "/p2/acme/pay.json", b"body");
        assert_eq!(date, last_modified(tenant(1), "/p2/acme/pay.json", b"body"));
        // Frozen: equal bytes must give equal dates on every edge, of every release.
        assert_eq!(date, "Fri, 02 Jan 2009 07:48:43 GMT");
        for other in [
            last_modified(tenant(2), "/p2/acme/pay.json", b"body"),
            last_modified(tenant(1), "/p2/acme/pay~dev.json", b"body"),
            last_modified(tenant(1), "/p2/acme/pay.json", b"bodz"),
        ] {
            assert_ne!(date, other);
        }
        let dates: std::collections::HashSet<String> = (0..2_000_u32)
            .map(|number| last_modified(tenant(1), "/x", &number.to_be_bytes()).to_str().unwrap().to_owned())
            .collect();
        assert!(dates.len() >= 1_995, "{}", dates.len());
        for date in dates {
            let date = DateTime::parse_from_rfc2822(&date).unwrap();
            assert!((WINDOW_START..1_704_067_200).contains(&date.timestamp()), "{date}");
        }
    }

    /// E-G6: by string equality alone.
    #[test]
    fn documents() {
        let date = last_modified(tenant(1), "/x", b"body");
        assert!(has_document(&since(date.to_str().unwrap()), &date));
        for other in ["Mon, 01 Jan 2035 00:00:00 GMT", "garbage", "", "Friday, 02-Jan-09 07:48:43 GMT"] {
            assert!(!has_document(&since(other), &date), "{other}");
        }
        let both =
            Conditions { if_none_match: Some(HeaderValue::from_static("\"x\"")), ..since(date.to_str().unwrap()) };
        assert!(!has_document(&both, &date));
    }

    /// E-E5, E-G3.
    #[test]
    fn entities() {
        let tag = entity_tag(tenant(1), &Digest::of(b"zip"));
        assert_ne!(tag, entity_tag(tenant(2), &Digest::of(b"zip")));
        assert!(!tag.to_str().unwrap().contains(&Digest::of(b"zip").to_hex()));
        let with =
            |value: String| Conditions { if_none_match: HeaderValue::try_from(value).ok(), ..Conditions::default() };
        let text = tag.to_str().unwrap().to_owned();
        for (value, expected) in [
            (text.clone(), true),
            (format!("W/{text}"), true),
            (format!("\"a\", {text}"), true),
            ("*".to_owned(), true),
            ("\"a\"".to_owned(), false),
        ] {
            assert_eq!(has_entity(&with(value.clone()), &tag), expected, "{value}");
        }
        let ranged = |value: &str| Conditions { if_range: HeaderValue::from_str(value).ok(), ..Conditions::default() };
        assert!(range_holds(&Conditions::default(), &tag));
        assert!(range_holds(&ranged(&text), &tag));
        assert!(!range_holds(&ranged(&format!("W/{text}")), &tag));
        assert!(!range_holds(&ranged("\"stale\""), &tag));
        assert!(!range_holds(&ranged("Fri, 02 Jan 2009 07:48:43 GMT"), &tag));
    }
}
