//! `/customers/{id}/packages` and `/customers/{id}/grants`: what a customer may see.

pub(crate) mod external;
pub(crate) mod replace;
pub(crate) mod status;
pub(crate) mod take;
mod words;

use axum::extract::State as FromState;
use axum::response::Response;
use serde_json::json;

use super::{changed, find, lock};
use crate::domain::grant::{Grant, GrantFields};
use crate::domain::id::{CustomerId, GrantId};
use crate::effect::{Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::{Paging, created, data, whole_list};
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::id;
use crate::state::State;
use crate::store::grants as store;
use crate::store::{StoreError, TenantTransaction};
use words::{Wanted, Words};

async fn one(transaction: &mut TenantTransaction, customer: CustomerId, grant: &str) -> Result<Grant, ApiError> {
    again(transaction, customer, id(grant, "grant")?).await
}

/// The grant as it is now.
async fn again(transaction: &mut TenantTransaction, customer: CustomerId, grant: GrantId) -> Result<Grant, ApiError> {
    store::find(transaction, customer, grant).await?.ok_or(ApiError::NotFound("grant"))
}

/// Names the mistake that the database found in a write.
fn refused(error: StoreError) -> ApiError {
    match error.is_conflict("grant_external_id_taken") {
        true => ApiError::Conflict(
            "another grant of this customer has this external_id; change that one with PUT /customers/{id}/grants/by-external/{external_id}, or choose another".to_owned(),
        ),
        false => error.into(),
    }
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

/// Gives a grant. The same one again changes nothing.
pub(crate) async fn add(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    let wanted = Wanted::read(fields)?;
    let mut transaction = operator.begin(&state).await?;
    let target = words::resolve(&mut transaction, "", &wanted.on).await;
    let customer = lock(&mut transaction, &customer).await?;
    let wanted = wanted.words.over(target?, None);
    let watch = Watch::begin_unbraked(&mut transaction, customer.id, consent).await?;
    if let Some(same) = same(store::list(&mut transaction, customer.id).await?, &wanted) {
        return close(watch, transaction, data(same)).await;
    }
    let grant = store::insert(&mut transaction, customer.id, &wanted).await.map_err(refused)?;
    let grant = again(&mut transaction, customer.id, grant).await?;
    changed(&mut transaction, customer.id, "grant.create", json!({"grant": grant})).await?;
    close(watch, transaction, created(grant)).await
}

/// The grant that is there already; of several the one that stands for the same subscription.
fn same(there: Vec<Grant>, wanted: &GrantFields) -> Option<Grant> {
    let mut same: Vec<Grant> = there.into_iter().filter(|grant| wanted.is(&GrantFields::from(grant))).collect();
    let exactly = same.iter().position(|grant| grant.external_id == wanted.external_id).unwrap_or(0);
    (!same.is_empty()).then(|| same.swap_remove(exactly))
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

/// Changes what it shows; what it is on stays.
pub(crate) async fn patch(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, grant)): Path<(String, String)>,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let words = Words::read(&mut fields);
    fields.finish()?;
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let before = one(&mut transaction, customer.id, &grant).await?;
    let wanted = words.over(before.target, Some(&before));
    let watch = Watch::begin(&mut transaction, customer.id, consent).await?;
    store::update(&mut transaction, before.id, &wanted).await.map_err(refused)?;
    let after = again(&mut transaction, customer.id, before.id).await?;
    changed(&mut transaction, customer.id, "grant.update", json!({"before": before, "after": after})).await?;
    close(watch, transaction, data(after)).await
}
