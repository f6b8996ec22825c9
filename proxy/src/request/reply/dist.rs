//! Dists: the archive of one (version, reference), decided on this route alone.
//!
//! The bytes come from disk by digest, and were checked against it; a byte that does not match is never sent. An answer that holds
//! the last one is a download, and counts as one.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use super::range::{Range, range};
use super::{Body, Reply, conditional};
use crate::cache::dists::{DistKey, Dists, Wanted};
use crate::cache::packages::KeptPackage;
use crate::link::usage::Meter;
use crate::request::admit::Admitted;
use crate::request::authorize;
use crate::request::bearer::Bearer;
use crate::request::refuse::Refusal;
use crate::request::segment::is_named;

/// The answer for (`version`, `reference`) of a package.
pub(crate) async fn answer(
    request: &Admitted,
    bearer: &Bearer<'_>,
    package: Option<&KeptPackage>,
    wanted: (&str, &str),
    (dists, meter): (&Dists, Meter<'_>),
) -> Result<Reply, Refusal> {
    let package = package.ok_or(Refusal::NotFound)?;
    let dist = authorize::dist(bearer, package, wanted)?;
    let tenant = bearer.tenant;
    let tag = conditional::entity_tag(tenant.id, &dist.sha256);
    if conditional::has_entity(&request.conditions, &tag) {
        return Ok(with_fields(Reply::new(StatusCode::NOT_MODIFIED, Body::None), tag));
    }
    if request.method == Method::HEAD {
        return Ok(with_type(Reply::new(StatusCode::OK, Body::Length(dist.size)), tag));
    }
    let asked = request.conditions.range.as_ref().filter(|_| conditional::range_holds(&request.conditions, &tag));
    let part = range(asked, dist.size);
    if part == Range::Unsatisfiable {
        return Err(Refusal::Range { size: dist.size });
    }
    let key = DistKey { tenant: tenant.id, sha256: dist.sha256 };
    let download = |bytes| {
        // The path may name it by its digest.
        let version = package.versions.iter().find(|version| is_named(version, wanted.0));
        let version = version.map_or(wanted.0, |version| version.version.normalized());
        Some(Box::new(meter.download(bearer, (&package.name, version, wanted.1), bytes)))
    };
    if tenant.dist_redirects
        && part == Range::Whole
        && let Some(address) = dists.address(key).await
    {
        // Whether he goes there is not seen: being sent is what counts.
        if let Some(due) = download(dist.size) {
            due.count().await;
        }
        return Ok(redirect(address));
    }
    let whole = Wanted { key, size: dist.size, all: part == Range::Whole, now: bearer.now.timestamp() };
    let archive = dists.open(whole).await.map_err(|_| Refusal::Unavailable)?;
    Ok(match part {
        Range::Part { first, last } => {
            let length = last - first + 1;
            let due = if last + 1 == dist.size { download(length) } else { None };
            let mut reply = Reply::new(StatusCode::PARTIAL_CONTENT, Body::File { archive, first, length, due });
            if let Ok(value) = HeaderValue::try_from(format!("bytes {first}-{last}/{}", dist.size)) {
                reply.set(header::CONTENT_RANGE, value);
            }
            with_type(reply, tag)
        }
        _ => {
            let (length, due) = (dist.size, download(dist.size));
            with_type(Reply::new(StatusCode::OK, Body::File { archive, first: 0, length, due }), tag)
        }
    })
}

/// Sends him to the storage itself. Whoever has the address has the archive, for as long as it is good: nobody may keep it.
fn redirect(address: HeaderValue) -> Reply {
    let mut reply = Reply::new(StatusCode::FOUND, Body::Bytes(Bytes::new()));
    reply.set(header::LOCATION, address);
    reply.set(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    reply.set(header::VARY, HeaderValue::from_static("Authorization"));
    reply
}

fn with_type(mut reply: Reply, tag: HeaderValue) -> Reply {
    reply.set(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    reply.set(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    with_fields(reply, tag)
}

fn with_fields(mut reply: Reply, tag: HeaderValue) -> Reply {
    reply.set(header::ETAG, tag);
    // The URL holds the reference, so the bytes behind it never change; they are the customer's all the same.
    reply.set(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    reply.set(header::VARY, HeaderValue::from_static("Authorization"));
    reply
}
