//! `/credentials`: the operators of a tenant and their programs. A plain secret is shown once, in the answer that made it.

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use cargoman_credential::{Kind, Secret};
use chrono::Duration;
use serde_json::{Value, json};

use crate::clock::now;
use crate::domain::access;
use crate::domain::credential::{Credential, Level};
use crate::domain::id::CredentialId;
use crate::error::ApiError;
use crate::http::envelope::{Paging, data, data_with};
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::id;
use crate::state::State;
use crate::store::TenantTransaction;
use crate::store::credentials::{self as store, NewCredential};

const MOST_GRACE: i64 = 30 * 24 * 3600;

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (rows, total) = store::list(&mut transaction, paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn create(
    FromState(state): FromState<State>,
    operator: Operator,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let wanted = read(&mut fields);
    fields.finish()?;
    let Some(wanted) = wanted else { return Err(ApiError::field("level", LEVEL_NEEDED)) };
    let mut transaction = operator.begin(&state).await?;
    let (credential, secret) = make(&mut transaction, &wanted).await?;
    let detail =
        json!({"name": credential.name, "level": credential.level, "package_scopes": credential.package_scopes});
    transaction.audit("credential.create", &credential.id.to_string(), detail);
    transaction.commit().await?;
    Ok(data_with(StatusCode::CREATED, with_secret(&credential, &secret)))
}

const LEVEL_NEEDED: &str = "is required: owner, admin, viewer or publisher";

fn read(fields: &mut Fields) -> Option<NewCredential> {
    let name = fields.required_line("name", 200);
    let email = fields.string("email", super::customers::email).value();
    let level = fields.required("level", LEVEL_NEEDED, Level::parse);
    let globs = fields.list("package_scopes", 500, access::package_glob).unwrap_or_default();
    match level {
        Some(Level::Publisher) if globs.is_empty() => {
            fields.refuse("package_scopes", "is required: the packages it may upload to and sync, such as acme/*");
        }
        Some(Level::Owner | Level::Admin | Level::Viewer) if !globs.is_empty() => {
            fields.refuse("package_scopes", "is for publishers alone; leave it out");
        }
        _ => {}
    }
    let expires_at = fields.instant("expires_at").value();
    if expires_at.is_some_and(|at| at <= now()) {
        fields.refuse("expires_at", "must lie in the future");
    }
    let package_scopes = globs.iter().map(|glob| glob.as_str().to_owned()).collect();
    level.map(|level| NewCredential { name, email, level, package_scopes, expires_at })
}

async fn make(transaction: &mut TenantTransaction, wanted: &NewCredential) -> Result<(Credential, Secret), ApiError> {
    let secret = Secret::generate(Kind::Operator, &ring::rand::SystemRandom::new())
        .map_err(|_| ApiError::Internal(anyhow::anyhow!("the system gives no random bytes")))?;
    Ok((store::insert(transaction, wanted, &secret).await?, secret))
}

fn with_secret(credential: &Credential, secret: &Secret) -> Value {
    let mut value = json!(credential);
    if let Some(map) = value.as_object_mut() {
        map.insert("plain_token".to_owned(), json!(secret.expose()));
    }
    value
}

async fn lock(transaction: &mut TenantTransaction, text: &str) -> Result<(Credential, bool), ApiError> {
    let id: CredentialId = id(text, "credential")?;
    store::lock(transaction, id).await?.ok_or(ApiError::NotFound("credential"))
}

pub(crate) async fn revoke(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(credential): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (credential, _) = lock(&mut transaction, &credential).await?;
    store::revoke(&mut transaction, credential.id, now()).await?;
    transaction.audit("credential.revoke", &credential.id.to_string(), json!({"name": credential.name}));
    let after = store::lock(&mut transaction, credential.id).await?.map_or(credential, |(after, _)| after);
    transaction.commit().await?;
    Ok(data(after))
}

/// A new secret of the same kind; the old one ends at once, or after a grace.
pub(crate) async fn rotate(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(credential): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let grace = fields.number("grace_seconds", 0, MOST_GRACE).unwrap_or(0);
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let (old, rotated) = lock(&mut transaction, &credential).await?;
    if rotated || !old.is_good(now()) {
        let message = "this credential is over or was rotated already; rotate its successor, or create a new one";
        return Err(ApiError::Conflict(message.to_owned()));
    }
    let wanted = NewCredential {
        name: old.name.clone(),
        email: old.email.clone(),
        level: old.level,
        package_scopes: old.package_scopes.clone(),
        expires_at: old.expires_at,
    };
    let (new, secret) = make(&mut transaction, &wanted).await?;
    store::end_rotated(&mut transaction, old.id, now() + Duration::seconds(grace)).await?;
    if grace == 0 {
        store::revoke(&mut transaction, old.id, now()).await?;
    }
    let detail = json!({"old": old.id, "new": new.id, "grace_seconds": grace});
    transaction.audit("credential.rotate", &old.id.to_string(), detail);
    transaction.commit().await?;
    Ok(data(with_secret(&new, &secret)))
}
