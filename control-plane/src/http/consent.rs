//! `?dry_run=true` and `?confirm=true` on writes that may take rights away, and the end of such a write.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::response::Response;
use serde_json::json;

use crate::effect::{Consent, Watch};
use crate::error::{ApiError, Detail};
use crate::http::envelope::data;
use crate::store::TenantTransaction;

impl<S: Send + Sync> FromRequestParts<S> for Consent {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        of(&parts.uri)
    }
}

/// What the query of a call says.
///
/// # Errors
/// When a flag is neither `true` nor `false`, or stands twice.
pub(crate) fn of(uri: &Uri) -> Result<Consent, ApiError> {
    flags(uri, ["dry_run", "confirm"]).map(|[dry_run, confirm]| Consent { dry_run, confirm })
}

/// Whether each of these stands in the query.
///
/// # Errors
/// When one is neither `true` nor `false`, or stands twice.
pub(crate) fn flags<const N: usize>(uri: &Uri, names: [&str; N]) -> Result<[bool; N], ApiError> {
    let query: Vec<_> = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect();
    let mut problems = Vec::new();
    let flags = names.map(|name| {
        let values: Vec<&str> = query.iter().filter(|(key, _)| key == name).map(|(_, value)| &**value).collect();
        match values.as_slice() {
            [] | ["false"] => false,
            ["true"] => true,
            _ => {
                problems.push(Detail { field: name.to_owned(), message: "must be true or false, once".to_owned() });
                false
            }
        }
    });
    if problems.is_empty() { Ok(flags) } else { Err(ApiError::Validation(problems)) }
}

/// Refuses a write with a parameter that means nothing: `?dryrun=true` must not delete a customer.
///
/// # Errors
/// With every unknown parameter.
pub(crate) fn known(method: &Method, uri: &Uri) -> Result<(), ApiError> {
    const OF_WRITES: [&str; 5] = ["dry_run", "confirm", "wait", "grants", "gone"];
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let unknown = query.filter(|(key, _)| !OF_WRITES.contains(&&**key)).take(10);
    let message = || "unknown parameter; remove it or check its spelling".to_owned();
    let problems: Vec<_> = unknown.map(|(key, _)| Detail { field: key.into_owned(), message: message() }).collect();
    if problems.is_empty() { Ok(()) } else { Err(ApiError::Validation(problems)) }
}

/// Ends a watched write: a dry run is rolled back and answers its effect; any other is braked or committed and gets `answer`.
pub(crate) async fn close(
    watch: Watch,
    mut transaction: TenantTransaction,
    answer: Response,
) -> Result<Response, ApiError> {
    match watch.settle(&mut transaction).await? {
        Some(effect) => Ok(data(json!({"dry_run": true, "effect": effect}))),
        None => {
            transaction.commit().await?;
            Ok(answer)
        }
    }
}
