//! `PUT /customers/{id}/packages`: exactly these grants and no others, or none of it.

use std::collections::HashSet;

use axum::extract::State as FromState;
use axum::response::Response;
use serde_json::{Value, json};

use super::words::{Found, On, Wanted};
use super::{changed, lock, refused};
use crate::domain::grant::{GrantFields, replacement};
use crate::effect::{Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::data;
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::state::State;
use crate::store::grants as store;
use crate::store::{TenantTransaction, deletions};

/// Replaces all grants by those of the list. Those that stay keep their ids, and a suspended one stays suspended.
pub(crate) async fn replace(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    let wanted = read(fields)?;
    let mut transaction = operator.begin(&state).await?;
    let wanted = resolve(&mut transaction, wanted).await;
    let customer = lock(&mut transaction, &customer).await?;
    let watch = Watch::begin(&mut transaction, customer.id, consent).await?;
    let there = store::list(&mut transaction, customer.id).await?;
    let todo = replacement(&there, wanted?);
    deletions::delete_grants(&mut transaction, &todo.take).await?;
    for (grant, fields) in &todo.change {
        store::update(&mut transaction, *grant, fields).await.map_err(refused)?;
    }
    for fields in &todo.give {
        store::insert(&mut transaction, customer.id, fields).await.map_err(refused)?;
    }
    let after = store::list(&mut transaction, customer.id).await?;
    changed(&mut transaction, customer.id, "grant.replace", json!({"grants": after})).await?;
    close(watch, transaction, data(after)).await
}

/// Reads the list and says everything that is wrong with it.
fn read(mut fields: Fields) -> Result<Vec<Wanted>, ApiError> {
    const MOST: usize = 10_000;
    let items = match fields.any("packages") {
        Patch::Set(Value::Array(items)) if items.len() <= MOST => items,
        _ => {
            fields.refuse("packages", format!("is required: a list of at most {MOST} grants"));
            Vec::new()
        }
    };
    let mut wanted = Vec::with_capacity(items.len());
    let mut subscriptions = HashSet::new();
    for (at, item) in items.into_iter().enumerate() {
        let one = match Fields::nested(&format!("packages[{at}]"), item).and_then(Wanted::read) {
            Ok(one) => one,
            Err(error) => {
                fields.absorb(error)?;
                continue;
            }
        };
        if let Patch::Set(external_id) = &one.words.external_id
            && !subscriptions.insert(external_id.clone())
        {
            fields.refuse(
                &format!("packages[{at}].external_id"),
                "stands twice in the list; one subscription is one grant",
            );
        }
        wanted.push(one);
    }
    fields.finish()?;
    Ok(wanted)
}

/// Finds what the grants are on and says at once which are missing.
async fn resolve(transaction: &mut TenantTransaction, wanted: Vec<Wanted>) -> Result<Vec<GrantFields>, ApiError> {
    let all: Vec<&On> = wanted.iter().map(|one| &one.on).collect();
    let found = Found::of(transaction, &all).await?;
    let mut missing = Fields::of(serde_json::Map::new());
    let mut resolved = Vec::with_capacity(wanted.len());
    for (at, one) in wanted.into_iter().enumerate() {
        match found.target(&format!("packages[{at}]."), &one.on) {
            Ok(target) => resolved.push(one.words.over(target, None)),
            Err(error) => missing.absorb(error)?,
        }
    }
    missing.finish().map(|()| resolved)
}
