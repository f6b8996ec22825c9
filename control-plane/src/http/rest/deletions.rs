//! `/deletions` and the `/restore` of customers, grants and packages: the way back from a deletion.

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::Change;
use serde_json::{Value, json};

use crate::clock::now;
use crate::domain::deletion::{Deletion, DeletionKind, Skipped};
use crate::domain::id::{CustomerId, GrantId};
use crate::effect::{Concerned, Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::{Paging, data};
use crate::http::fields::Fields;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::{id, package_name};
use crate::state::State;
use crate::store::deletions::{self as store, RestoreError, Wanted};
use crate::store::{TenantTransaction, customers, grants, packages, tenants};

impl From<RestoreError> for ApiError {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Store(error) => error.into(),
            in_the_way => Self::Conflict(in_the_way.to_string()),
        }
    }
}

pub(crate) async fn list(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let query = paging.query();
    let kind = match query.get("kind") {
        None => None,
        Some(text) => Some(
            DeletionKind::named(text)
                .ok_or_else(|| ApiError::field("kind", "must be one of customer, grant, package"))?,
        ),
    };
    let mut transaction = operator.begin(&state).await?;
    let (rows, total) = store::list(&mut transaction, kind, paging.page()).await?;
    Ok(paging.answer(&rows, total))
}

pub(crate) async fn restore(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(deletion): Path<String>,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    undo(&state, &operator, consent, fields, Wanted::Deletion(id(&deletion, "deletion")?)).await
}

pub(crate) async fn restore_customer(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    undo(&state, &operator, consent, fields, Wanted::Customer(id(&customer, "deletion")?)).await
}

pub(crate) async fn restore_grant(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((customer, grant)): Path<(String, String)>,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    undo(&state, &operator, consent, fields, Wanted::Grant(id(&customer, "deletion")?, id(&grant, "deletion")?)).await
}

pub(crate) async fn restore_package(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    let name = package_name(&vendor, &name)?;
    let mut transaction = operator.begin(&state).await?;
    let deletions = store::of_package(&mut transaction, name.as_str()).await?;
    drop(transaction);
    if deletions.len() > 1 {
        // The last one may have been an empty package made by mistake in the place of the right one.
        let ids: Vec<String> = deletions.iter().map(ToString::to_string).collect();
        return Err(ApiError::Conflict(format!(
            "`{name}` was deleted several times; choose one of {} (the newest first) with POST /deletions/{{id}}/restore",
            ids.join(", ")
        )));
    }
    undo(&state, &operator, consent, fields, Wanted::Package(name.as_str())).await
}

/// Undoes a deletion and answers what is there again, and which grants did not come along.
async fn undo(
    state: &State,
    operator: &Operator,
    consent: Consent,
    fields: Fields,
    wanted: Wanted<'_>,
) -> Result<Response, ApiError> {
    fields.finish()?;
    let mut transaction = operator.begin(state).await?;
    let deletion = store::lock(&mut transaction, wanted).await?.ok_or(ApiError::NotFound("deletion"))?;
    let concerned = concerned(&mut transaction, &deletion).await?;
    let watch = Watch::begin_unbraked(&mut transaction, concerned, consent).await?;
    let restored = store::restore(&mut transaction, &deletion).await?;
    let tenant = transaction.tenant();
    for customer in &restored.customers {
        transaction.changed(&Change::Customer { tenant, customer: customer.to_string() });
    }
    if deletion.kind == DeletionKind::Package {
        let name = name_of(&deletion)?;
        transaction.changed(&Change::Package { tenant, name });
        tenants::directory_changed(&mut transaction).await?;
    }
    let skipped: Vec<_> = restored.skipped.iter().map(|skipped| skipped.grant).collect();
    let subject = if deletion.kind == DeletionKind::Package { &deletion.name } else { &deletion.subject };
    let detail = json!({"deletion": deletion.id, "name": deletion.name, "skipped": skipped});
    transaction.audit(&format!("{}.restore", deletion.kind.as_str()), subject, detail);
    let body = shown(&mut transaction, &deletion, &restored.customers, &restored.skipped).await?;
    close(watch, transaction, data(body)).await
}

/// Who may gain something.
async fn concerned(transaction: &mut TenantTransaction, deletion: &Deletion) -> Result<Concerned, ApiError> {
    Ok(match deletion.kind {
        DeletionKind::Package => Concerned::Package(name_of(deletion)?),
        DeletionKind::Customer | DeletionKind::Grant => {
            Concerned::Customers(store::customers(transaction, deletion.id).await?)
        }
    })
}

/// What came back, as its own address shows it, and beside it what did not.
async fn shown(
    transaction: &mut TenantTransaction,
    deletion: &Deletion,
    customers: &[CustomerId],
    skipped: &[Skipped],
) -> Result<Value, ApiError> {
    let gone = || ApiError::NotFound(deletion.kind.as_str());
    let body = match (deletion.kind, customers.first()) {
        (DeletionKind::Package, _) => {
            serde_json::to_value(packages::find(transaction, &name_of(deletion)?).await?.ok_or_else(gone)?)
        }
        (DeletionKind::Customer, Some(customer)) => {
            serde_json::to_value(customers::find(transaction, *customer).await?.ok_or_else(gone)?.as_of(now()))
        }
        (DeletionKind::Grant, Some(customer)) => {
            let grant: GrantId = id(&deletion.subject, "grant")?;
            serde_json::to_value(grants::find(transaction, *customer, grant).await?.ok_or_else(gone)?)
        }
        (_, None) => return Err(gone()),
    };
    let mut body = body.map_err(|error| ApiError::Internal(error.into()))?;
    if let Some(body) = body.as_object_mut() {
        body.insert("skipped".to_owned(), json!(skipped));
    }
    Ok(body)
}

fn name_of(deletion: &Deletion) -> Result<PackageName, ApiError> {
    PackageName::parse(&deletion.name).map_err(|error| ApiError::Internal(error.into()))
}
