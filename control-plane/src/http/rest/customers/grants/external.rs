//! `/customers/{id}/grants/by-external/{external_id}`: one subscription of the vendor's shop is one grant.

use axum::extract::State as FromState;
use axum::response::Response;
use serde_json::json;

use super::words::{self, On, Words};
use super::{again, changed, lock, refused};
use crate::domain::grant::GrantFields;
use crate::effect::{Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::{created, data};
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::state::State;
use crate::store::grants as store;

/// Gives the grant or changes it: a shop may call it as often as it likes, even several times at once. What is not mentioned
/// stays; what changes nothing is not noted.
pub(crate) async fn put(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, external_id)): Path<(String, String)>,
    consent: Consent,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let external_id =
        crate::domain::text::line(&external_id, 255).map_err(|error| ApiError::field("external_id", error))?;
    let on = On::read(&mut fields);
    let mentioned = fields.has("external_id");
    let mut words = Words::read(&mut fields);
    if mentioned && words.external_id != Patch::Set(external_id.clone()) {
        fields.refuse("external_id", "must be the one in the path; leave it out, or change it with PATCH on the grant");
    }
    fields.finish()?;
    words.external_id = Patch::Set(external_id.clone());
    let mut transaction = operator.begin(&state).await?;
    let target = match &on {
        Some(on) => words::resolve(&mut transaction, "", on).await.map(Some),
        None => Ok(None),
    };
    let customer = lock(&mut transaction, &customer).await?;
    let watch = Watch::begin(&mut transaction, customer.id, consent).await?;
    let there = store::list(&mut transaction, customer.id).await?;
    let before = there.into_iter().find(|grant| grant.external_id.as_ref() == Some(&external_id));
    let target = target?.or(before.as_ref().map(|grant| grant.target)).ok_or_else(On::missing)?;
    let wanted = words.over(target, before.as_ref());
    let Some(before) = before else {
        let grant = store::insert(&mut transaction, customer.id, &wanted).await.map_err(refused)?;
        let grant = again(&mut transaction, customer.id, grant).await?;
        changed(&mut transaction, customer.id, "grant.create", json!({"grant": grant})).await?;
        return close(watch, transaction, created(grant)).await;
    };
    if wanted == GrantFields::from(&before) {
        return close(watch, transaction, data(before)).await;
    }
    store::update(&mut transaction, before.id, &wanted).await.map_err(refused)?;
    let after = again(&mut transaction, customer.id, before.id).await?;
    changed(&mut transaction, customer.id, "grant.update", json!({"before": before, "after": after})).await?;
    close(watch, transaction, data(after)).await
}
