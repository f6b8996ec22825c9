//! `/hooks`: what forges call when something was pushed. A secret is shown once, in the answer that made it.

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use crate::domain::id::{DeliveryId, HookId};
use crate::domain::job::{Priority, SYNC_GROUP};
use crate::error::ApiError;
use crate::http::envelope::{Paging, data, data_with};
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::{id, package_name};
use crate::http::webhook::take;
use crate::state::State;
use crate::store::hooks::{self as store, Hook};
use crate::store::webhook_deliveries::{self as deliveries, Of};
use crate::store::{TenantTransaction, forge_projects, jobs, tenants};
use crate::webhook::Provider;
use crate::webhook::signature::Scheme;

const PROVIDERS: &str = "must be one of github, gitlab, bitbucket, gitea (Forgejo too), packagist";

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (rows, total) = store::list(&mut transaction, paging.page()).await?;
    let base = base(&mut transaction, &state).await?;
    let rows: Vec<Value> = rows.iter().map(|hook| with_url(hook, &base)).collect();
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(hook): Path<String>,
) -> Result<Response, ApiError> {
    let hook: HookId = id(&hook, "hook")?;
    let mut transaction = operator.begin(&state).await?;
    let hook = store::find(&mut transaction, hook).await?.ok_or(ApiError::NotFound("hook"))?;
    let base = base(&mut transaction, &state).await?;
    Ok(data(with_url(&hook, &base)))
}

pub(crate) async fn create(
    FromState(state): FromState<State>,
    operator: Operator,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let provider =
        fields.required("provider", PROVIDERS, |text| Provider::parse(text).ok_or_else(|| PROVIDERS.to_owned()));
    let name = fields.line("name", 200).value();
    let secret = secret(&mut fields, provider);
    fields.finish()?;
    let (Some(provider), Some((scheme, secret))) = (provider, secret) else {
        return Err(ApiError::field("provider", PROVIDERS));
    };
    let id = HookId::new();
    let name = name.unwrap_or_else(|| provider.as_str().to_owned());
    let mut transaction = operator.begin(&state).await?;
    let sealed = state.keyring.seal(&store::place(&transaction, id), secret.as_bytes())?;
    store::insert(&mut transaction, id, (provider, scheme), &name, &sealed).await?;
    transaction.audit("hook.create", &id.to_string(), json!({"provider": provider, "name": name}));
    let answer = with_secret(&mut transaction, &state, id, &secret).await?;
    transaction.commit().await?;
    Ok(data_with(StatusCode::CREATED, answer))
}

/// Another secret; the old one is worth nothing from now on.
pub(crate) async fn rotate(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(hook): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let id: HookId = id(&hook, "hook")?;
    let mut transaction = operator.begin(&state).await?;
    let before = store::find(&mut transaction, id).await?.ok_or(ApiError::NotFound("hook"))?;
    let secret = secret(&mut fields, Some(before.provider));
    fields.finish()?;
    let Some((scheme, secret)) = secret else { return Err(ApiError::NotFound("hook")) };
    let sealed = state.keyring.seal(&store::place(&transaction, id), secret.as_bytes())?;
    store::rotate(&mut transaction, id, scheme, &sealed).await?;
    // Hooks that were made at a forge are made anew.
    for group in forge_projects::forget_hooks(&mut transaction, id).await? {
        jobs::enqueue_about(&mut transaction, SYNC_GROUP, group.0, Priority::Pushed).await?;
    }
    transaction.audit("hook.rotate", &id.to_string(), json!({"provider": before.provider}));
    let answer = with_secret(&mut transaction, &state, id, &secret).await?;
    transaction.commit().await?;
    Ok(data(answer))
}

pub(crate) async fn delete(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(hook): Path<String>,
) -> Result<Response, ApiError> {
    let id: HookId = id(&hook, "hook")?;
    let mut transaction = operator.begin(&state).await?;
    let before = store::find(&mut transaction, id).await?.ok_or(ApiError::NotFound("hook"))?;
    store::delete(&mut transaction, id).await?;
    transaction.audit("hook.delete", &id.to_string(), json!({"provider": before.provider, "name": before.name}));
    transaction.commit().await?;
    Ok(data(before))
}

pub(crate) async fn deliveries(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(hook): Path<String>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let hook: HookId = id(&hook, "hook")?;
    let mut transaction = operator.begin(&state).await?;
    store::find(&mut transaction, hook).await?.ok_or(ApiError::NotFound("hook"))?;
    let (rows, total) = deliveries::list(&mut transaction, Of::Hook(hook), paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn of_package(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let name = package_name(&vendor, &name)?;
    let mut transaction = operator.begin(&state).await?;
    super::package(&mut transaction, &vendor, name.short_name()).await?;
    let (rows, total) = deliveries::list(&mut transaction, Of::Package(name.as_str()), paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

/// Does once more what a delivery asked for.
pub(crate) async fn replay(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((hook, delivery)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let hook: HookId = id(&hook, "hook")?;
    let old: DeliveryId = id(&delivery, "delivery")?;
    let mut transaction = operator.begin(&state).await?;
    let said = deliveries::find(&mut transaction, hook, old).await?.ok_or(ApiError::NotFound("delivery"))?;
    let source = hook.to_string();
    let taken = take(&mut transaction, (Some(hook), &source), &said, Some(old), &|_| true).await?;
    let taken = taken.ok_or(ApiError::NotFound("delivery"))?;
    transaction.audit("hook.replay", &hook.to_string(), json!({"delivery": old, "outcome": taken.outcome.word}));
    transaction.commit().await?;
    state.jobs_waiting.notify_one();
    let outcome = taken.outcome;
    let answer = json!({
        "delivery": taken.id, "outcome": outcome.word, "reason": outcome.reason, "packages": outcome.packages, "tasks": outcome.tasks,
    });
    Ok(data_with(StatusCode::ACCEPTED, answer))
}

/// The secret that is given, or a new one.
fn secret(fields: &mut Fields, provider: Option<Provider>) -> Option<(Scheme, String)> {
    let given = fields.string("secret", secret_text).value();
    let key = fields.string("signing_key", signing_key).value();
    let signed = fields.flag("signed").unwrap_or(false) || key.is_some();
    if signed && provider.is_some_and(|provider| provider != Provider::Gitlab) {
        fields
            .refuse("signed", "only GitLab signs by Standard Webhooks; leave it out: the others sign in their own way");
    }
    if given.is_some() && signed {
        fields.refuse("secret", "is GitLab's old token; with a signing key it is refused, so leave it out");
    }
    Some(match signed {
        true => (Scheme::Standard, key.map_or_else(|| Some(format!("whsec_{}", STANDARD.encode(random()?))), Some)?),
        false => (Scheme::Own, given.map_or_else(new_secret, Some)?),
    })
}

/// A new secret in the way that forges have always had them; none when the system has no random bytes.
pub(super) fn new_secret() -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(random()?))
}

fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

fn secret_text(text: &str) -> Result<String, &'static str> {
    let fits = (16..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("must have 16 to 200 printable ASCII characters without spaces; or leave it out for a new one")
    }
}

fn signing_key(text: &str) -> Result<String, &'static str> {
    let decoded = text.strip_prefix("whsec_").and_then(|rest| STANDARD.decode(rest).ok());
    match decoded {
        Some(bytes) if (24..=64).contains(&bytes.len()) => Ok(text.to_owned()),
        _ => Err("must be `whsec_` and 24 to 64 bytes in base64, as GitLab shows it"),
    }
}

/// Where a tenant is reached.
async fn base(transaction: &mut TenantTransaction, state: &State) -> Result<String, ApiError> {
    let tenant = tenants::own(transaction).await?;
    Ok(state.config.server.canonical_url(&state.config.tenancy, &tenant.slug, tenant.is_default))
}

fn with_url(hook: &Hook, base: &str) -> Value {
    let mut value = json!(hook);
    if let Some(map) = value.as_object_mut() {
        map.insert("url".to_owned(), json!(format!("{base}{}", hook.path())));
    }
    value
}

async fn with_secret(
    transaction: &mut TenantTransaction,
    state: &State,
    id: HookId,
    secret: &str,
) -> Result<Value, ApiError> {
    let hook = store::find(transaction, id).await?.ok_or(ApiError::NotFound("hook"))?;
    let base = base(transaction, state).await?;
    let mut value = with_url(&hook, &base);
    if let Some(map) = value.as_object_mut() {
        map.insert("secret".to_owned(), json!(secret));
        map.insert("plain_token".to_owned(), json!(secret));
    }
    Ok(value)
}
