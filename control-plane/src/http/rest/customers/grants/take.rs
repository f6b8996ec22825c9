//! Taking grants away: one, all on a package, all on a collection.

use std::collections::BTreeSet;

use axum::extract::State as FromState;
use axum::response::Response;
use serde_json::{Value, json};

use super::{changed, lock, one};
use crate::domain::deletion::WayBack;
use crate::domain::grant::{Grant, GrantState, GrantTarget};
use crate::domain::id::GrantId;
use crate::effect::{Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::{data, deleted};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::package;
use crate::state::State;
use crate::store::deletions;
use crate::store::grants as store;

pub(crate) async fn one_grant(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, grant)): Path<(String, String)>,
    consent: Consent,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let watch = Watch::begin(&mut transaction, customer.id, consent).await?;
    let grant = one(&mut transaction, customer.id, &grant).await?;
    let way_back = deletions::delete_grants(&mut transaction, &[grant.id]).await?;
    changed(&mut transaction, customer.id, "grant.delete", json!({"grant": grant})).await?;
    let way_back = json!(way_back.first().map(|(_, way_back)| way_back));
    close(watch, transaction, deleted(&grant, &way_back)?).await
}

/// Takes all grants on a package away, and says through which collections he sees it still.
pub(crate) async fn of_package(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, vendor, name)): Path<(String, String, String)>,
    consent: Consent,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let watch = Watch::begin(&mut transaction, customer.id, consent).await?;
    let (name, package) = package(&mut transaction, &vendor, &name).await?;
    let there = store::list(&mut transaction, customer.id).await?;
    let taken = on(&there, |grant| grant.target == GrantTarget::Package(package.id))?;
    let ways_back = ways_back(&deletions::delete_grants(&mut transaction, &taken).await?);
    let removed = taken.len();
    changed(&mut transaction, customer.id, "grant.delete", json!({"package": name, "removed": removed})).await?;
    let with = store::collections_with(&mut transaction, &name).await?;
    let shows = |grant: &&Grant| match grant.target {
        GrantTarget::Collection(collection) => grant.status == GrantState::Active && with.contains(&collection),
        GrantTarget::Package(_) => false,
    };
    let through: BTreeSet<_> = there.iter().filter(shows).map(|grant| &grant.collection).collect();
    let answer = json!({"package": name, "removed": removed, "still_visible_through": through, "deletions": ways_back});
    close(watch, transaction, data(answer)).await
}

/// Takes all grants on a collection away.
pub(crate) async fn of_collection(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, slug)): Path<(String, String)>,
    consent: Consent,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let watch = Watch::begin(&mut transaction, customer.id, consent).await?;
    let there = store::list(&mut transaction, customer.id).await?;
    let taken = on(&there, |grant| grant.collection.as_ref() == Some(&slug))?;
    let ways_back = ways_back(&deletions::delete_grants(&mut transaction, &taken).await?);
    let removed = taken.len();
    changed(&mut transaction, customer.id, "grant.delete", json!({"collection": slug, "removed": removed})).await?;
    let answer = json!({"collection": slug, "removed": removed, "deletions": ways_back});
    close(watch, transaction, data(answer)).await
}

/// Those of the grants that `wanted` finds; there must be one.
fn on(there: &[Grant], wanted: impl Fn(&Grant) -> bool) -> Result<Vec<GrantId>, ApiError> {
    let found: Vec<GrantId> = there.iter().filter(|grant| wanted(grant)).map(|grant| grant.id).collect();
    if found.is_empty() { Err(ApiError::NotFound("grant")) } else { Ok(found) }
}

/// How to undo each.
fn ways_back(kept: &[(GrantId, WayBack)]) -> Vec<Value> {
    let one = |(grant, way_back): &(GrantId, WayBack)| json!({"grant": grant, "id": way_back.id, "restorable_until": way_back.restorable_until});
    kept.iter().map(one).collect()
}
