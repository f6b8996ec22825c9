//! `/customers/{id}/packages` and `/customers/{id}/grants`: what a customer may see.

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_composer::name::PackageName;
use serde_json::{Value, json};

use super::{changed, find, lock};
use crate::domain::access;
use crate::domain::customer::Grant;
use crate::domain::id::CustomerId;
use crate::error::ApiError;
use crate::http::envelope::{Paging, created, data, deleted, whole_list};
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::{id, package};
use crate::state::State;
use crate::store::grants::{self as store, GrantFields};
use crate::store::{TenantTransaction, deletions, packages};

/// A grant as an operator wrote it, its package still a name.
struct Wanted {
    package: PackageName,
    constraint: String,
    minimum_stability: Option<String>,
    updates_until: Option<chrono::DateTime<chrono::Utc>>,
}

fn read(mut fields: Fields) -> Result<Wanted, ApiError> {
    let package = fields.required("package", "is required: the name of a package, `vendor/name`", |text| {
        PackageName::parse_lowercasing(text).map_err(|error| error.to_string())
    });
    let constraint = fields.string("constraint", access::constraint).value().unwrap_or_else(|| "*".to_owned());
    let minimum_stability = fields.stability("minimum_stability").value();
    let updates_until = fields.instant("updates_until").value();
    fields.finish()?;
    match package {
        Some(package) => Ok(Wanted { package, constraint, minimum_stability, updates_until }),
        None => Err(ApiError::field("package", "is required")),
    }
}

/// Finds the package, which then stays until the end of the transaction. Packages are locked before customers, everywhere.
async fn resolve(transaction: &mut TenantTransaction, field: &str, wanted: Wanted) -> Result<GrantFields, ApiError> {
    let package = packages::keep(transaction, &wanted.package)
        .await?
        .ok_or_else(|| ApiError::field(field, format!("there is no package `{}`; add it first", wanted.package)))?;
    Ok(GrantFields {
        package,
        constraint: wanted.constraint,
        minimum_stability: wanted.minimum_stability,
        updates_until: wanted.updates_until,
    })
}

async fn one(transaction: &mut TenantTransaction, customer: CustomerId, grant: &str) -> Result<Grant, ApiError> {
    let grant = id(grant, "grant")?;
    store::find(transaction, customer, grant).await?.ok_or(ApiError::NotFound("grant"))
}

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = find(&mut transaction, &customer).await?;
    Ok(whole_list(&paging, &store::list(&mut transaction, customer.id).await?))
}

pub(crate) async fn add(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    fields: Fields,
) -> Result<Response, ApiError> {
    let wanted = read(fields)?;
    let mut transaction = operator.begin(&state).await?;
    let fields = resolve(&mut transaction, "package", wanted).await;
    let customer = lock(&mut transaction, &customer).await?;
    let fields = fields?;
    let (grant, new) = store::insert(&mut transaction, customer.id, &fields).await?;
    let grant = store::find(&mut transaction, customer.id, grant).await?.ok_or(ApiError::NotFound("grant"))?;
    if new {
        changed(&mut transaction, customer.id, "grant.create", json!({"grant": grant})).await?;
    }
    transaction.commit().await?;
    Ok(if new { created(grant) } else { data(grant) })
}

/// Replaces all grants by those of the list.
pub(crate) async fn replace(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    const MOST: usize = 10_000;
    let items = match fields.any("packages") {
        Patch::Set(Value::Array(items)) if items.len() <= MOST => items,
        _ => {
            fields.refuse("packages", format!("is required: a list of at most {MOST} grants"));
            Vec::new()
        }
    };
    let mut wanted = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        match Fields::nested(&format!("packages[{at}]"), item).and_then(read) {
            Ok(one) => wanted.push(one),
            Err(error) => fields.absorb(error)?,
        }
    }
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let resolved = resolve_all(&mut transaction, wanted).await;
    let customer = lock(&mut transaction, &customer).await?;
    store::delete_all(&mut transaction, customer.id, None).await?;
    for one in resolved? {
        store::insert(&mut transaction, customer.id, &one).await?;
    }
    let after = store::list(&mut transaction, customer.id).await?;
    changed(&mut transaction, customer.id, "grant.replace", json!({"grants": after})).await?;
    transaction.commit().await?;
    Ok(data(after))
}

/// Finds the packages of a list and says at once which are missing.
async fn resolve_all(transaction: &mut TenantTransaction, wanted: Vec<Wanted>) -> Result<Vec<GrantFields>, ApiError> {
    let mut missing = Fields::of(serde_json::Map::new());
    let mut resolved = Vec::with_capacity(wanted.len());
    for (at, one) in wanted.into_iter().enumerate() {
        match resolve(transaction, &format!("packages[{at}].package"), one).await {
            Ok(one) => resolved.push(one),
            Err(error) => missing.absorb(error)?,
        }
    }
    missing.finish().map(|()| resolved)
}

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, grant)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = find(&mut transaction, &customer).await?;
    Ok(data(one(&mut transaction, customer.id, &grant).await?))
}

pub(crate) async fn patch(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, grant)): Path<(String, String)>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let constraint = fields.string("constraint", access::constraint);
    let minimum_stability = fields.stability("minimum_stability");
    let updates_until = fields.instant("updates_until");
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let before = one(&mut transaction, customer.id, &grant).await?;
    let constraint = constraint.over(Some(before.constraint.clone())).unwrap_or_else(|| "*".to_owned());
    let minimum_stability = minimum_stability.over(before.minimum_stability.clone());
    let updates_until = updates_until.over(before.updates_until);
    store::update(&mut transaction, before.id, &constraint, minimum_stability.as_deref(), updates_until).await?;
    let after = store::find(&mut transaction, customer.id, before.id).await?.ok_or(ApiError::NotFound("grant"))?;
    changed(&mut transaction, customer.id, "grant.update", json!({"before": before, "after": after})).await?;
    transaction.commit().await?;
    Ok(data(after))
}

pub(crate) async fn delete(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, grant)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let grant = one(&mut transaction, customer.id, &grant).await?;
    let way_back = deletions::delete_grants(&mut transaction, &[grant.id]).await?;
    changed(&mut transaction, customer.id, "grant.delete", json!({"grant": grant})).await?;
    transaction.commit().await?;
    deleted(&grant, &json!(way_back.first().map(|(_, way_back)| way_back)))
}

/// Takes all grants on a package away.
pub(crate) async fn delete_package(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, vendor, name)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let (name, package) = package(&mut transaction, &vendor, &name).await?;
    let removed = store::delete_all(&mut transaction, customer.id, Some(package.id)).await?;
    if removed == 0 {
        return Err(ApiError::NotFound("grant"));
    }
    changed(&mut transaction, customer.id, "grant.delete", json!({"package": name, "removed": removed})).await?;
    transaction.commit().await?;
    // Collections, through which it could stay visible, come with a later release.
    Ok(data(json!({"package": name, "removed": removed, "still_visible_through": []})))
}
