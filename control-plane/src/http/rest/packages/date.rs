//! Corrects when a version counts as published, which moves it into and out of licence windows.

use axum::extract::State as FromState;
use axum::response::Response;
use serde_json::json;

use super::changed;
use super::versions::find;
use crate::clock::now;
use crate::domain::text;
use crate::effect::{Concerned, Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::data;
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::lock_package;
use crate::state::State;
use crate::store::versions as store;

pub(crate) async fn patch(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name, version)): Path<(String, String, String)>,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let given = fields.has("published_at");
    let published_at = match fields.instant("published_at") {
        Patch::Set(at) if at > now() => {
            fields.refuse("published_at", "must not lie in the future");
            None
        }
        Patch::Set(at) => Some(at),
        Patch::Absent if given => None,
        _ => {
            fields.refuse("published_at", "is required");
            None
        }
    };
    let reason = fields.required("reason", "is required, for the audit trail", |value| text::line(value, 500));
    let reference = fields.string("reference", reference).value();
    fields.finish()?;
    let Some(at) = published_at else { return Err(ApiError::field("published_at", "is required")) };

    let mut transaction = operator.begin(&state).await?;
    let (name, package) = lock_package(&mut transaction, &vendor, &name).await?;
    let before = find(&mut transaction, package.id, &version).await?;
    let reference = reference.unwrap_or_else(|| before.reference.clone());
    let normalized = &before.version_normalized;
    let watch = Watch::begin(&mut transaction, Concerned::Package(name.clone()), consent).await?;
    let was = store::set_published_at(&mut transaction, package.id, normalized, &reference, at).await?;
    let was = was.ok_or_else(|| {
        ApiError::field(
            "reference",
            format!("`{}` never had this reference; leave it out for the current one", before.version),
        )
    })?;
    let detail = json!({
        "version": before.version,
        "reference": reference,
        "before": was,
        "published_at": at,
        "reason": reason,
    });
    changed(&mut transaction, package.id, &name, "version.date", detail).await?;
    let after = find(&mut transaction, package.id, normalized).await?;
    close(watch, transaction, data(after)).await
}

fn reference(text: &str) -> Result<String, &'static str> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match digits && (40..=64).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err("must be a reference: 40 to 64 lower-case hexadecimal digits"),
    }
}
