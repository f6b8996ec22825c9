//! What an operator decides about one version: yanked, it leaves metadata and locks go on working; taken down, nobody gets it any
//! more; deprecated, Composer warns whoever installs it.

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_composer::name::PackageName;
use serde_json::{Value, json};

use super::changed;
use super::versions::find;
use crate::clock::now;
use crate::domain::package::Version;
use crate::effect::{Concerned, Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::data;
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::lock_package;
use crate::state::State;
use crate::store::versions::{self as store, Withdrawal};

/// Vendor, name and version of a path.
type Named = Path<(String, String, String)>;

pub(crate) async fn yank(
    FromState(state): FromState<State>,
    operator: Operator,
    version: Named,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let decide = |before: &Version| Withdrawal::Yanked(Some(before.yanked_at.unwrap_or_else(now)));
    withdraw(&state, &operator, version, consent, "version.yank", json!({}), decide).await
}

pub(crate) async fn unyank(
    FromState(state): FromState<State>,
    operator: Operator,
    version: Named,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    withdraw(&state, &operator, version, consent, "version.unyank", json!({}), |_| Withdrawal::Yanked(None)).await
}

pub(crate) async fn take_down(
    FromState(state): FromState<State>,
    operator: Operator,
    version: Named,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    const NEEDED: &str = "is required: those who are otherwise entitled read it";
    let reason = fields.required("reason", NEEDED, |text| crate::domain::text::line(text, 500)).unwrap_or_default();
    fields.finish()?;
    let detail = json!({"reason": reason});
    let decide =
        |before: &Version| Withdrawal::TakenDown(Some((before.taken_down_at.unwrap_or_else(now), reason.clone())));
    withdraw(&state, &operator, version, consent, "version.takedown", detail, decide).await
}

pub(crate) async fn put_back(
    FromState(state): FromState<State>,
    operator: Operator,
    version: Named,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    withdraw(&state, &operator, version, consent, "version.untakedown", json!({}), |_| Withdrawal::TakenDown(None))
        .await
}

pub(crate) async fn deprecate(
    FromState(state): FromState<State>,
    operator: Operator,
    version: Named,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let check = |text: &str| PackageName::parse(text).map(|name| name.to_string()).map_err(|error| error.to_string());
    let replacement = fields.string("replacement", check).value();
    fields.finish()?;
    let detail = json!({"replacement": replacement});
    let decide = |before: &Version| {
        Withdrawal::Deprecated(Some((before.deprecated_at.unwrap_or_else(now), replacement.clone())))
    };
    withdraw(&state, &operator, version, consent, "version.deprecate", detail, decide).await
}

pub(crate) async fn undeprecate(
    FromState(state): FromState<State>,
    operator: Operator,
    version: Named,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    withdraw(&state, &operator, version, consent, "version.undeprecate", json!({}), |_| Withdrawal::Deprecated(None))
        .await
}

/// `decide` says what becomes of the version as it was; a decision taken again keeps its first date.
async fn withdraw(
    state: &State,
    operator: &Operator,
    Path((vendor, name, version)): Named,
    consent: Consent,
    action: &str,
    mut detail: Value,
    decide: impl FnOnce(&Version) -> Withdrawal,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(state).await?;
    let (name, package) = lock_package(&mut transaction, &vendor, &name).await?;
    let before = find(&mut transaction, package.id, &version).await?;
    let decided = decide(&before);
    let concerned = Concerned::Package(name.clone());
    let watch = match decided {
        Withdrawal::TakenDown(Some(_)) => Watch::begin(&mut transaction, concerned, consent).await?,
        // Locks go on working: nothing to brake.
        _ => Watch::begin_unbraked(&mut transaction, concerned, consent).await?,
    };
    store::withdraw(&mut transaction, package.id, &before.version_normalized, &decided).await?;
    if let Some(detail) = detail.as_object_mut() {
        detail.insert("version".to_owned(), json!(before.version));
    }
    changed(&mut transaction, package.id, &name, action, detail).await?;
    let after = find(&mut transaction, package.id, &before.version_normalized).await?;
    close(watch, transaction, data(after)).await
}
