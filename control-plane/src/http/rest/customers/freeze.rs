//! `/customers/{id}/freeze`: holds a customer at the versions he sees now.

use std::collections::HashMap;

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_composer::name::PackageName;
use cargoman_licence::Freeze;
use serde::Serialize;
use serde_json::{Value, json};

use super::{again, changed, find, lock};
use crate::clock::now;
use crate::domain::freeze::{Listed, freeze as held_at};
use crate::domain::id::CustomerId;
use crate::domain::text;
use crate::effect::{Consent, Watch};
use crate::error::{ApiError, Detail};
use crate::http::consent::close;
use crate::http::envelope::data;
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::state::State;
use crate::store::TenantTransaction;
use crate::store::customers as store;
use crate::store::licence_facts::concerned_packages;

/// Holds him at the listed versions, or without a list at all he sees or may install now. `/reactivate` lets go of him.
pub(crate) async fn freeze(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    let listed = read(fields)?;
    let mut transaction = operator.begin(&state).await?;
    let customer = lock(&mut transaction, &customer).await?;
    let watch = Watch::begin(&mut transaction, customer.id, consent).await?;
    let freeze = work_out(&mut transaction, customer.id, listed.as_deref()).await?;
    store::set_frozen(&mut transaction, customer.id, Some(&freeze)).await?;
    let versions: usize = freeze.packages.values().map(HashMap::len).sum();
    let detail = json!({"since": freeze.since, "versions": versions, "listed": listed.is_some()});
    changed(&mut transaction, customer.id, "customer.freeze", detail).await?;
    let after = again(&mut transaction, customer.id).await?;
    #[derive(Serialize)]
    struct Frozen<T> {
        #[serde(flatten)]
        customer: T,
        frozen_versions: usize,
    }
    let answer = data(Frozen { customer: after.as_of(now()), frozen_versions: versions });
    close(watch, transaction, answer).await
}

/// The list of versions, if one is given.
fn read(mut fields: Fields) -> Result<Option<Vec<Listed>>, ApiError> {
    const MOST: usize = 20_000;
    let items = match fields.any("versions") {
        Patch::Absent | Patch::Clear => return fields.finish().map(|()| None),
        Patch::Set(Value::Array(items)) if items.len() <= MOST => items,
        Patch::Set(_) => {
            fields.refuse(
                "versions",
                format!("must be a list of at most {MOST} versions, or be left out for all of them"),
            );
            Vec::new()
        }
    };
    let mut listed = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        match Fields::nested(&format!("versions[{at}]"), item).and_then(read_one) {
            Ok(one) => listed.push(one),
            Err(error) => fields.absorb(error)?,
        }
    }
    fields.finish().map(|()| Some(listed))
}

fn read_one(mut fields: Fields) -> Result<Listed, ApiError> {
    const PACKAGE: &str = "is required: the name of a package, `vendor/name`";
    const VERSION: &str = "is required: a version of the package";
    let name = |text: &str| PackageName::parse_lowercasing(text).map_err(|error| error.to_string());
    let package = fields.required("package", PACKAGE, name);
    let version = fields.required("version", VERSION, |text| text::line(text, 255));
    fields.finish()?;
    package.zip(version).ok_or_else(|| ApiError::field("versions", PACKAGE))
}

/// Asks the rules what he is to be held at. The facts are those of this transaction; what is published meanwhile is newer than
/// the freeze, whether it is on the list or not.
async fn work_out(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    listed: Option<&[Listed]>,
) -> Result<Freeze, ApiError> {
    let now = now();
    let mut facts = transaction.facts();
    let policy = facts.policy().await?;
    let collections = facts.collections().await?;
    let directory = facts.directory().await?;
    let (_, access) = facts.customers(&[customer], policy).await?.pop().ok_or(ApiError::NotFound("customer"))?;
    let packages = facts.packages(&concerned_packages(&access, &collections, &directory)).await?;
    held_at(&access, &collections, &packages, listed, now).map_err(|unseen| {
        let listed = listed.unwrap_or_default();
        let detail = |at: usize| {
            let (package, version) = listed.get(at).map_or(("", ""), |(package, version)| (package.as_str(), version));
            let message = format!("he does not see {package} {version} now; grant it first, or leave it out");
            Detail { field: format!("versions[{at}]"), message }
        };
        ApiError::Validation(unseen.into_iter().map(detail).collect())
    })
}

/// What he is held at, by package, the newest version first.
pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = find(&mut transaction, &customer).await?;
    let freeze = store::frozen(&mut transaction, customer.id).await?.ok_or(ApiError::NotFound("freeze"))?;
    let names: Vec<PackageName> = freeze.packages.keys().cloned().collect();
    let packages = transaction.facts().packages(&names).await?;
    let pretty: HashMap<_, _> = packages
        .iter()
        .flat_map(|package| {
            package.versions.iter().map(move |version| ((&package.name, &version.version), &version.pretty))
        })
        .collect();
    let mut rows = Vec::new();
    for (package, versions) in &freeze.packages {
        let mut versions: Vec<_> = versions.keys().collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        for version in versions {
            let normalized = version.normalized();
            // A version that is gone has no other name left.
            let shown = pretty.get(&(package, version)).map_or(normalized, |text| text.as_str());
            rows.push(json!({"package": package, "version": shown, "version_normalized": normalized}));
        }
    }
    Ok(data(json!({"since": freeze.since, "versions": rows})))
}
