//! `/me/tokens`: what a customer's `admin` token does with its customer's tokens. It never makes one that is wider than itself,
//! and ends none that is.

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use cargoman_licence::{PackageGlob, Scope};
use chrono::{DateTime, Utc};
use serde_json::json;

use super::lock;
use super::tokens::{NewTokenFields, make, shown};
use crate::clock::now;
use crate::domain::access;
use crate::domain::customer::Token;
use crate::error::ApiError;
use crate::http::envelope::{Paging, data, data_with};
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Holder;
use crate::http::path::Path;
use crate::http::rest::id;
use crate::state::State;
use crate::store::tokens as store;

/// What a token may hand out: what it has itself.
struct Reach {
    globs: Vec<PackageGlob>,
    expires_at: Option<DateTime<Utc>>,
}

impl Reach {
    fn of(token: &Token) -> Result<Self, ApiError> {
        let globs: Result<Vec<_>, _> = token.package_scopes.iter().map(|glob| PackageGlob::parse(glob)).collect();
        Ok(Self { globs: globs.map_err(|error| ApiError::Internal(error.into()))?, expires_at: token.expires_at })
    }

    fn includes(&self, glob: &PackageGlob) -> bool {
        self.globs.is_empty() || self.globs.iter().any(|own| own.includes(glob))
    }

    /// Whether every package of the other is one of this.
    fn includes_all(&self, globs: &[PackageGlob]) -> bool {
        self.globs.is_empty() || (!globs.is_empty() && globs.iter().all(|glob| self.includes(glob)))
    }
}

/// An `admin` token manages those that read, and such as itself; uploads and hooks are the operator's to give.
fn may_give(scope: Scope) -> bool {
    matches!(scope, Scope::Download | Scope::Admin)
}

pub(crate) async fn list(
    FromState(state): FromState<State>,
    holder: Holder,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = holder.operator.begin(&state).await?;
    let (rows, total) = store::list(&mut transaction, holder.bearer.customer, paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn create(
    FromState(state): FromState<State>,
    holder: Holder,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let wanted = read(&mut fields, &holder)?;
    fields.finish()?;
    if holder.bearer.is_lapsed(now()) {
        return Err(ApiError::Forbidden("the customer of this token is suspended or expired: he makes no tokens"));
    }
    let mut transaction = holder.operator.begin(&state).await?;
    let customer = lock(&mut transaction, &holder.bearer.customer.to_string()).await?;
    // Looked at under the customer's lock: it may have been revoked or rotated since the call came in.
    let own = store::find(&mut transaction, customer.id, holder.bearer.token.id).await?;
    if !own.is_some_and(|own| own.is_good(now())) {
        return Err(ApiError::Unauthorized);
    }
    if store::is_rotated(&mut transaction, holder.bearer.token.id).await? {
        return Err(ApiError::Forbidden("this token was rotated; its successor makes tokens"));
    }
    let (token, secret) = make(&mut transaction, customer.id, &wanted).await?;
    transaction.audit("token.create", &customer.id.to_string(), json!({"token": token.id, "scope": token.scope}));
    let shown = shown(&mut transaction, &state, &token, &secret).await?;
    transaction.commit().await?;
    Ok(data_with(StatusCode::CREATED, shown))
}

/// What is left out is as with the token itself.
fn read(fields: &mut Fields, holder: &Holder) -> Result<NewTokenFields, ApiError> {
    let own = &holder.bearer.token;
    let reach = Reach::of(own)?;
    let name = fields.required_line("name", 200);
    let scope = fields.string("scope", access::scope).value().unwrap_or(Scope::Download);
    if !may_give(scope) {
        fields.refuse("scope", "must be download or admin; ask the vendor for a token of another scope");
    }
    let globs = match fields.list("package_scopes", 500, access::package_glob) {
        None => reach.globs.clone(),
        Some(globs) => globs,
    };
    if globs.is_empty() && !reach.globs.is_empty() {
        fields.refuse("package_scopes", "must name patterns: this token is narrowed to some itself");
    }
    for (at, glob) in globs.iter().enumerate() {
        if !reach.includes(glob) {
            let message = format!("`{}` is wider than this token's own package_scopes", glob.as_str());
            fields.refuse(&format!("package_scopes[{at}]"), message);
        }
    }
    let expires_at = match fields.instant("expires_at") {
        Patch::Absent => reach.expires_at,
        Patch::Clear => None,
        Patch::Set(at) => Some(at),
    };
    if expires_at.is_some_and(|at| at <= now()) {
        fields.refuse("expires_at", "must lie in the future");
    }
    match (expires_at, reach.expires_at) {
        (None, Some(_)) => fields.refuse("expires_at", "is required: this token ends itself"),
        (Some(at), Some(own)) if at > own => fields.refuse("expires_at", "must not lie after this token's own end"),
        _ => {}
    }
    Ok(NewTokenFields { name, scope, globs, expires_at, made_by: Some(own.id) })
}

pub(crate) async fn revoke(
    FromState(state): FromState<State>,
    holder: Holder,
    Path(token): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = holder.operator.begin(&state).await?;
    let customer = lock(&mut transaction, &holder.bearer.customer.to_string()).await?;
    let token = store::find(&mut transaction, customer.id, id(&token, "token")?).await?;
    let token = token.ok_or(ApiError::NotFound("token"))?;
    let own = &holder.bearer.token;
    let scope = access::scope(&token.scope).map_err(|error| ApiError::Internal(error.into()))?;
    let (reach, target) = (Reach::of(own)?, Reach::of(&token)?);
    // A token lent for a day must not end one that outlives it, its own maker least of all.
    let outlives = reach.expires_at.is_some_and(|own| target.expires_at.is_none_or(|at| at > own));
    let within = may_give(scope) && !outlives && reach.includes_all(&target.globs);
    if token.id != own.id && !within {
        return Err(ApiError::Forbidden("that token may do more than this one; ask the vendor to revoke it"));
    }
    let after = store::revoke(&mut transaction, customer.id, token.id, now()).await?;
    let after = after.ok_or(ApiError::NotFound("token"))?;
    transaction.audit("token.revoke", &customer.id.to_string(), json!({"token": after.id}));
    transaction.commit().await?;
    Ok(data(after))
}
