//! `/customers/{id}/tokens`. A plain token is shown once, in the answer that made it.

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use cargoman_credential::{Kind, Secret};
use cargoman_licence::{PackageGlob, Scope};
use chrono::{DateTime, Duration, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::{changed, find, lock};
use crate::clock::now;
use crate::domain::access;
use crate::domain::customer::Token;
use crate::domain::id::{CustomerId, TokenId};
use crate::error::ApiError;
use crate::http::envelope::{Paging, data, data_with};
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::id;
use crate::state::State;
use crate::store::tokens::{self as store, NewToken};
use crate::store::{TenantTransaction, customers, tenants};

/// What a new token is to be; by default one for Composer, without limits.
pub(super) struct NewTokenFields {
    pub(super) name: String,
    pub(super) scope: Scope,
    pub(super) globs: Vec<PackageGlob>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// The token that made it.
    pub(super) made_by: Option<TokenId>,
}

impl Default for NewTokenFields {
    fn default() -> Self {
        Self { name: "default".to_owned(), scope: Scope::Download, globs: Vec::new(), expires_at: None, made_by: None }
    }
}

/// Makes a token. The secret is shown once and kept nowhere.
pub(super) async fn make(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    wanted: &NewTokenFields,
) -> Result<(Token, Secret), ApiError> {
    let secret = Secret::generate(Kind::Token, &ring::rand::SystemRandom::new())
        .map_err(|_| ApiError::Internal(anyhow::anyhow!("the system gives no random bytes")))?;
    let token = NewToken {
        name: &wanted.name,
        scope: wanted.scope,
        package_scopes: &wanted.globs,
        expires_at: wanted.expires_at,
        made_by: wanted.made_by,
    };
    Ok((store::insert(transaction, customer, &token, &secret).await?, secret))
}

/// Adds `token` and `plain_token` to what is shown of a customer.
pub(super) fn with_secret(value: impl Serialize, secret: &Secret) -> Value {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        map.insert("token".to_owned(), json!(secret.expose()));
        map.insert("plain_token".to_owned(), json!(secret.expose()));
    }
    value
}

/// What is shown when a token was made: its facts, the secret, and how Composer takes it.
pub(super) async fn shown(
    transaction: &mut TenantTransaction,
    state: &State,
    token: &Token,
    secret: &Secret,
) -> Result<Value, ApiError> {
    let tenant = tenants::own(transaction).await?;
    let url = state.config.server.canonical_url(&state.config.tenancy, &tenant.slug, tenant.is_default);
    Ok(json!({
        "token": token,
        "plain_token": secret.expose(),
        "composer_auth": {"username": "token", "password": secret.expose(), "repository_url": url},
    }))
}

pub(crate) async fn create(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let name = fields.required_line("name", 200);
    let scope = fields.string("scope", access::scope).value().unwrap_or(Scope::Download);
    let globs = fields.list("package_scopes", 500, access::package_glob).unwrap_or_default();
    let expires_at = fields.instant("expires_at").value();
    if expires_at.is_some_and(|at| at <= now()) {
        fields.refuse("expires_at", "must lie in the future");
    }
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    if scope == Scope::Developer && store::may_publish(&mut transaction, customer.id).await?.is_empty() {
        let message = "developer is for customers who may publish: give him patterns in `may_publish` first";
        return Err(ApiError::field("scope", message));
    }
    let wanted = NewTokenFields { name, scope, globs, expires_at, made_by: None };
    let (token, secret) = make(&mut transaction, customer.id, &wanted).await?;
    transaction.audit("token.create", &customer.id.to_string(), json!({"token": token.id, "scope": token.scope}));
    let shown = shown(&mut transaction, &state, &token, &secret).await?;
    transaction.commit().await?;
    Ok(data_with(StatusCode::CREATED, shown))
}

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = find(&mut transaction, &customer).await?;
    let (rows, total) = store::list(&mut transaction, customer.id, paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

async fn one(transaction: &mut TenantTransaction, customer: CustomerId, token: &str) -> Result<Token, ApiError> {
    let token = id(token, "token")?;
    store::find(transaction, customer, token).await?.ok_or(ApiError::NotFound("token"))
}

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, token)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = find(&mut transaction, &customer).await?.id;
    Ok(data(one(&mut transaction, customer, &token).await?))
}

pub(crate) async fn revoke(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, token)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer: CustomerId = id(&customer, "customer")?;
    if !customers::lock_alone(&mut transaction, customer).await? {
        return Err(ApiError::NotFound("customer"));
    }
    let token = id(&token, "token")?;
    let after = store::revoke(&mut transaction, customer, token, now()).await?.ok_or(ApiError::NotFound("token"))?;
    transaction.audit("token.revoke", &customer.to_string(), json!({"token": after.id}));
    transaction.commit().await?;
    Ok(data(after))
}

/// A new secret of the same kind; the old one ends at once, or after a grace.
pub(crate) async fn rotate(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, token)): Path<(String, String)>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    const MOST_GRACE: i64 = 30 * 24 * 3600;
    let grace = fields.number("grace_seconds", 0, MOST_GRACE).unwrap_or(0);
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?.id;
    let old = one(&mut transaction, customer, &token).await?;
    if old.revoked_at.is_some() || old.expires_at.is_some_and(|at| at <= now()) {
        return Err(ApiError::Conflict("this token is over; create a new one instead".to_owned()));
    }
    // Its end is that of its grace now: a second successor would inherit it and die with it.
    if store::is_rotated(&mut transaction, old.id).await? {
        return Err(ApiError::Conflict(
            "this token was rotated already; rotate its successor, or create a new one".to_owned(),
        ));
    }
    // A narrowing that cannot be read must never be dropped: the new token would be wider than the old one.
    let globs: Result<Vec<PackageGlob>, _> = old.package_scopes.iter().map(|glob| PackageGlob::parse(glob)).collect();
    let wanted = NewTokenFields {
        name: old.name.clone(),
        scope: access::scope(&old.scope).map_err(|error| ApiError::Internal(error.into()))?,
        globs: globs.map_err(|error| ApiError::Internal(error.into()))?,
        expires_at: old.expires_at,
        made_by: store::maker(&mut transaction, old.id).await?,
    };
    let (token, secret) = make(&mut transaction, customer, &wanted).await?;
    // Before the old one ends, which would end them too.
    store::hand_over(&mut transaction, old.id, token.id).await?;
    match grace {
        0 => drop(store::revoke(&mut transaction, customer, old.id, now()).await?),
        _ => store::end_rotated(&mut transaction, old.id, now() + Duration::seconds(grace)).await?,
    }
    let detail = json!({"old": old.id, "new": token.id, "grace_seconds": grace});
    transaction.audit("token.rotate", &customer.to_string(), detail);
    let shown = shown(&mut transaction, &state, &token, &secret).await?;
    transaction.commit().await?;
    Ok(data(shown))
}

/// Ends every token and makes one new.
pub(crate) async fn regenerate(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let revoked = store::revoke_all(&mut transaction, customer.id, now()).await?;
    let (token, secret) = make(&mut transaction, customer.id, &NewTokenFields::default()).await?;
    let detail = json!({"revoked": revoked, "new": token.id});
    transaction.audit("token.regenerate", &customer.id.to_string(), detail);
    let shown = shown(&mut transaction, &state, &token, &secret).await?;
    transaction.commit().await?;
    Ok(data(shown))
}

/// Ends every token.
pub(crate) async fn revoke_all(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let revoked = store::revoke_all(&mut transaction, customer.id, now()).await?;
    changed(&mut transaction, customer.id, "token.revoke_all", json!({"revoked": revoked})).await?;
    transaction.commit().await?;
    Ok(data(json!({"revoked": revoked})))
}
