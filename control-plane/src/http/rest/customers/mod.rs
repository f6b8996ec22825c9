//! `/customers`: who may read, and what.

pub(crate) mod freeze;
pub(crate) mod grants;
pub(crate) mod own_tokens;
pub(crate) mod status;
pub(crate) mod tokens;

use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::response::Response;
use cargoman_edge_protocol::Change;
use serde_json::{Value, json};

use crate::clock::now;
use crate::domain::access;
use crate::domain::customer::Customer;
use crate::domain::id::CustomerId;
use crate::effect::{Concerned, Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::{Paging, data, data_with, deleted};
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::id;
use crate::state::State;
use crate::store::customers::{self as store, CustomerFields};
use crate::store::{TenantTransaction, deletions};

const STATUSES: [&str; 4] = ["active", "frozen", "expired", "suspended"];

/// Notes that a customer's rights changed: for the database's readers, for the edges, for the audit trail.
async fn changed(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    action: &str,
    detail: Value,
) -> Result<(), ApiError> {
    store::touch(transaction, customer).await?;
    let tenant = transaction.tenant();
    transaction.changed(&Change::Customer { tenant, customer: customer.to_string() });
    transaction.audit(action, &customer.to_string(), detail);
    Ok(())
}

pub(super) async fn find(transaction: &mut TenantTransaction, text: &str) -> Result<Customer, ApiError> {
    let id: CustomerId = id(text, "customer")?;
    store::find(transaction, id).await?.ok_or(ApiError::NotFound("customer"))
}

/// The same for whoever will write: no other writer comes between.
async fn lock(transaction: &mut TenantTransaction, text: &str) -> Result<Customer, ApiError> {
    let id: CustomerId = id(text, "customer")?;
    store::lock(transaction, id).await?.ok_or(ApiError::NotFound("customer"))
}

/// The customer after the change.
async fn again(transaction: &mut TenantTransaction, id: CustomerId) -> Result<Customer, ApiError> {
    store::find(transaction, id).await?.ok_or(ApiError::NotFound("customer"))
}

fn another_has_it() -> ApiError {
    ApiError::Conflict("another customer has this external_id; change that one or choose another".to_owned())
}

pub(in crate::http::rest) fn email(text: &str) -> Result<String, String> {
    let text = crate::domain::text::line(text, 254).map_err(|error| error.to_string())?;
    let parts =
        text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if parts && !text.contains(char::is_whitespace) { Ok(text) } else { Err("must be an e-mail address".to_owned()) }
}

/// Reads the fields that create and patch share; `before` is what stands for those not mentioned.
fn read(fields: &mut Fields, before: Option<&Customer>) -> CustomerFields {
    let name = match before {
        Some(before) if !fields.has("name") => before.name.clone(),
        _ => fields.required_line("name", 200),
    };
    let metadata = fields.any("metadata");
    if serde_json::to_vec(&metadata.clone().value()).is_ok_and(|bytes| bytes.len() > 16 << 10) {
        fields.refuse("metadata", "must be at most 16 KiB of JSON");
    }
    CustomerFields {
        name,
        email: fields.string("email", email).over(before.and_then(|b| b.email.clone())),
        external_id: fields.line("external_id", 255).over(before.and_then(|b| b.external_id.clone())),
        expires_at: fields.instant("expires_at").over(before.and_then(|b| b.expires_at)),
        minimum_stability: fields.stability("minimum_stability").over(before.and_then(|b| b.minimum_stability.clone())),
        may_publish: match fields.has("may_publish") {
            true => may_publish(fields),
            false => before.map(|b| b.may_publish.clone()).unwrap_or_default(),
        },
        source: fields.string("source", access::source).over(before.and_then(|b| b.source.clone())),
        metadata: metadata.over(before.and_then(|b| b.metadata.clone())),
    }
}

/// Patterns of the packages that his developer tokens may upload to; `null` for none.
fn may_publish(fields: &mut Fields) -> Vec<String> {
    const MOST: usize = 500;
    let globs = fields.list("may_publish", MOST, access::package_glob).unwrap_or_default();
    globs.iter().map(|glob| glob.as_str().to_owned()).collect()
}

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let query = paging.query();
    let status = query.get("status").copied();
    if status.is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(ApiError::field("status", format!("must be one of {}", STATUSES.join(", "))));
    }
    let mut transaction = operator.begin(&state).await?;
    let part = query.get("q").copied();
    let (rows, total) = store::list(&mut transaction, status, part, now(), paging.page()).await?;
    let rows: Vec<_> = rows.into_iter().map(|row| row.as_of(now())).collect();
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn create(
    FromState(state): FromState<State>,
    operator: Operator,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let wanted = read(&mut fields, None);
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let made = make(&mut transaction, &wanted).await?.ok_or_else(another_has_it)?;
    transaction.commit().await?;
    Ok(data_with(StatusCode::CREATED, made))
}

/// Makes a customer with a first token, which the answer shows this once; none when the external id is taken.
async fn make(transaction: &mut TenantTransaction, wanted: &CustomerFields) -> Result<Option<Value>, ApiError> {
    let Some(customer) = store::insert(transaction, wanted).await? else { return Ok(None) };
    let token = tokens::NewTokenFields::default();
    let (_, secret) = tokens::make(transaction, customer.id, &token).await?;
    changed(transaction, customer.id, "customer.create", json!({"name": customer.name})).await?;
    Ok(Some(tokens::with_secret(customer.as_of(now()), &secret)))
}

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    Ok(data(find(&mut transaction, &customer).await?.as_of(now())))
}

pub(crate) async fn patch(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let before = lock(&mut transaction, &customer).await?;
    update(transaction, &before, consent, fields).await
}

async fn update(
    mut transaction: TenantTransaction,
    before: &Customer,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let wanted = read(&mut fields, Some(before));
    fields.finish()?;
    let same = wanted.expires_at == before.expires_at && wanted.minimum_stability == before.minimum_stability;
    let concerned = if same { Concerned::no_one() } else { before.id.into() };
    let watch = Watch::begin(&mut transaction, concerned, consent).await?;
    store::update(&mut transaction, before.id, &wanted).await.map_err(|error| {
        match error.is_conflict("customer_external_id_taken") {
            true => another_has_it(),
            false => error.into(),
        }
    })?;
    changed(&mut transaction, before.id, "customer.update", json!({"name": wanted.name})).await?;
    let after = again(&mut transaction, before.id).await?;
    close(watch, transaction, data(after.as_of(now()))).await
}

pub(crate) async fn delete(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    consent: Consent,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let before = lock(&mut transaction, &customer).await?;
    let watch = Watch::begin_end_of(&mut transaction, before.id, consent).await?;
    changed(&mut transaction, before.id, "customer.delete", json!({"name": before.name})).await?;
    let way_back = deletions::delete_customer(&mut transaction, before.id).await?;
    close(watch, transaction, deleted(&before.as_of(now()), &json!(way_back))?).await
}

pub(crate) async fn show_by_external(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(external_id): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let found = store::find_by_external_id(&mut transaction, external_id.trim()).await?;
    Ok(data(found.ok_or(ApiError::NotFound("customer"))?.as_of(now())))
}

/// Makes the customer or changes him: a shop may call it as often as it likes, even several times at once.
pub(crate) async fn put_by_external(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(external_id): Path<String>,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let external_id =
        crate::domain::text::line(&external_id, 255).map_err(|error| ApiError::field("external_id", error))?;
    if fields.has("external_id") && fields.line("external_id", 255) != Patch::Set(external_id.clone()) {
        fields.refuse(
            "external_id",
            "must be the one in the path; leave it out, or change it with PATCH /customers/{id}",
        );
    }
    let mut transaction = operator.begin(&state).await?;
    if let Some(before) = store::lock_by_external_id(&mut transaction, &external_id).await? {
        return update(transaction, &before, consent, fields).await;
    }
    let mut new = fields.clone();
    let wanted = CustomerFields { external_id: Some(external_id.clone()), ..read(&mut new, None) };
    new.finish()?;
    let watch = Watch::begin(&mut transaction, Concerned::no_one(), consent).await?;
    if let Some(made) = make(&mut transaction, &wanted).await? {
        return close(watch, transaction, data_with(StatusCode::CREATED, made)).await;
    }
    // Another call made him since we looked.
    let before = store::lock_by_external_id(&mut transaction, &external_id).await?.ok_or_else(another_has_it)?;
    update(transaction, &before, consent, fields).await
}
