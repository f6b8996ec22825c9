//! `/collections`: packages that are granted together.

use std::collections::HashSet;

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_edge_protocol::Change;
use serde_json::{Value, json};

use crate::domain::access;
use crate::domain::collection::{Collection, is_name, member, slug_of};
use crate::domain::id::CollectionId;
use crate::domain::text::is_slug;
use crate::effect::{Concerned, Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::{Paging, created, data};
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::state::State;
use crate::store::collections::{self as store, CollectionFields};
use crate::store::{StoreError, TenantTransaction, packages};

/// Names and patterns in one collection.
const MOST_PACKAGES: usize = 10_000;

/// Notes that a collection changed: for the edges, for the audit trail.
async fn changed(
    transaction: &mut TenantTransaction,
    id: CollectionId,
    action: &str,
    detail: Value,
) -> Result<(), ApiError> {
    let tenant = transaction.tenant();
    transaction.changed(&Change::Collection { tenant, collection: id.into() });
    transaction.audit(action, &id.to_string(), detail);
    Ok(())
}

async fn find(transaction: &mut TenantTransaction, slug: &str) -> Result<Collection, ApiError> {
    store::find(transaction, slug).await?.ok_or(ApiError::NotFound("collection"))
}

async fn lock(transaction: &mut TenantTransaction, slug: &str) -> Result<Collection, ApiError> {
    store::lock(transaction, slug).await?.ok_or(ApiError::NotFound("collection"))
}

fn slug(text: &str) -> Result<String, &'static str> {
    match is_slug(text) {
        true => Ok(text.to_owned()),
        false => Err("must be 1 to 63 lower-case letters, digits and inner hyphens"),
    }
}

/// The list of members as written; none when it is not mentioned. `null` empties it.
fn members(fields: &mut Fields) -> Option<Vec<String>> {
    let mentioned = fields.has("packages");
    let given = fields.list("packages", MOST_PACKAGES, member);
    given.or_else(|| mentioned.then(Vec::new))
}

/// Each once, in the operator's order.
fn once(mut members: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    members.retain(|member| seen.insert(member.clone()));
    members
}

/// Refuses names that are no package, for a misspelt one would be sold and never delivered. Those in `known` may stay: their
/// package was deleted, and may come back.
async fn must_exist(transaction: &mut TenantTransaction, wanted: &[String], known: &[String]) -> Result<(), ApiError> {
    let names: Vec<String> = wanted.iter().filter(|member| is_name(member)).cloned().collect();
    let mut fine: HashSet<String> = packages::existing(transaction, &names).await?.into_iter().collect();
    fine.extend(known.iter().cloned());
    let mut missing = Fields::of(serde_json::Map::new());
    for (at, member) in wanted.iter().enumerate() {
        if is_name(member) && !fine.contains(member) {
            let message = format!("there is no package `{member}`; add it first, or use a pattern");
            missing.refuse(&format!("packages[{at}]"), message);
        }
    }
    missing.finish()
}

fn slug_taken(slug: &str) -> impl FnOnce(StoreError) -> ApiError {
    move |error| match error.is_conflict("collection_slug_taken") {
        true => ApiError::Conflict(format!(
            "the collection `{slug}` exists already; change it with PATCH /collections/{slug}, or choose another slug"
        )),
        false => error.into(),
    }
}

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (rows, total) = store::list(&mut transaction, paging.query().get("q").copied(), paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn create(
    FromState(state): FromState<State>,
    operator: Operator,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let name = fields.required_line("name", 200);
    let slug = fields.string("slug", slug).value().or_else(|| slug_of(&name));
    if slug.is_none() && !name.is_empty() {
        fields.refuse("slug", "is required: none can be made from this name");
    }
    let packages = members(&mut fields).unwrap_or_default();
    let constraint = fields.string("constraint", access::constraint).value();
    let minimum_stability = fields.stability("minimum_stability").value();
    fields.finish()?;
    let slug = slug.ok_or_else(|| ApiError::field("slug", "is required"))?;
    let mut transaction = operator.begin(&state).await?;
    must_exist(&mut transaction, &packages, &[]).await?;
    let wanted = CollectionFields { slug, name, packages: once(packages), constraint, minimum_stability };
    let made = store::insert(&mut transaction, &wanted).await.map_err(slug_taken(&wanted.slug))?;
    changed(&mut transaction, made.id, "collection.create", json!({"collection": made})).await?;
    transaction.commit().await?;
    Ok(created(made))
}

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(slug): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    Ok(data(find(&mut transaction, &slug).await?))
}

pub(crate) async fn patch(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(path): Path<String>,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let name = fields.has("name").then(|| fields.required_line("name", 200));
    let slug = fields.string("slug", slug);
    if slug == Patch::Clear {
        fields.refuse("slug", "must not be cleared");
    }
    let packages = members(&mut fields);
    let constraint = fields.string("constraint", access::constraint);
    let minimum_stability = fields.stability("minimum_stability");
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let before = lock(&mut transaction, &path).await?;
    if let Some(packages) = &packages {
        must_exist(&mut transaction, packages, &before.packages).await?;
    }
    let wanted = CollectionFields {
        slug: slug.value().unwrap_or_else(|| before.slug.clone()),
        name: name.unwrap_or_else(|| before.name.clone()),
        packages: packages.map(once).unwrap_or_else(|| before.packages.clone()),
        constraint: constraint.over(before.constraint.clone()),
        minimum_stability: minimum_stability.over(before.minimum_stability.clone()),
    };
    let watch = Watch::begin(&mut transaction, Concerned::Collections(vec![before.id]), consent).await?;
    let after = store::update(&mut transaction, before.id, &wanted).await.map_err(slug_taken(&wanted.slug))?;
    changed(&mut transaction, before.id, "collection.update", json!({"before": before, "after": after})).await?;
    close(watch, transaction, data(after)).await
}

/// Deletes a collection; the grants on it only when that is asked for in so many words.
pub(crate) async fn delete(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(slug): Path<String>,
    consent: Consent,
    paging: Paging,
) -> Result<Response, ApiError> {
    let with_grants = match paging.query().get("grants").copied() {
        None => false,
        Some("delete") => true,
        Some(_) => return Err(ApiError::field("grants", "must be delete, or left out")),
    };
    let mut transaction = operator.begin(&state).await?;
    let before = lock(&mut transaction, &slug).await?;
    let holders = store::customers(&mut transaction, before.id).await?;
    if holders > 0 && !with_grants {
        let whose =
            if holders == 1 { "1 customer has a grant".to_owned() } else { format!("{holders} customers have grants") };
        return Err(ApiError::Conflict(format!(
            "{whose} on the collection `{slug}`; take its grants away first, or add ?grants=delete"
        )));
    }
    let watch = Watch::begin(&mut transaction, Concerned::Collections(vec![before.id]), consent).await?;
    let tenant = transaction.tenant();
    for customer in store::delete_grants(&mut transaction, before.id).await? {
        transaction.changed(&Change::Customer { tenant, customer: customer.to_string() });
    }
    store::delete(&mut transaction, before.id).await?;
    let detail = json!({"collection": before, "customers": holders});
    changed(&mut transaction, before.id, "collection.delete", detail).await?;
    close(watch, transaction, data(before)).await
}
