//! Grants of customers on packages and collections. Who writes them has locked the customer.

use std::collections::HashMap;

use cargoman_composer::name::PackageName;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::grant::{Grant, GrantFields, GrantState, GrantTarget};
use crate::domain::id::{CollectionId, CustomerId, GrantId, PackageId};
use crate::store::{StoreError, TenantTransaction};

struct Row {
    id: Uuid,
    package_id: Option<Uuid>,
    package: Option<String>,
    collection_id: Option<Uuid>,
    collection: Option<String>,
    version_constraint: String,
    minimum_stability: Option<String>,
    updates_until: Option<DateTime<Utc>>,
    suspended_at: Option<DateTime<Utc>>,
    suspended_reason: Option<String>,
    external_id: Option<String>,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Grant {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let target = match (row.package_id, row.collection_id) {
            (Some(package), None) => GrantTarget::Package(PackageId(package)),
            (None, Some(collection)) => GrantTarget::Collection(CollectionId(collection)),
            _ => return Err(StoreError::inconsistent("access_grant", "a grant on nothing or on two things")),
        };
        Ok(Self {
            id: GrantId(row.id),
            target,
            package: row.package,
            collection: row.collection,
            constraint: row.version_constraint,
            minimum_stability: row.minimum_stability,
            updates_until: row.updates_until,
            status: if row.suspended_at.is_some() { GrantState::Suspended } else { GrantState::Active },
            status_reason: row.suspended_reason,
            suspended_at: row.suspended_at,
            external_id: row.external_id,
            created_at: row.created_at,
        })
    }
}

/// A customer's grants, oldest first.
///
/// # Errors
/// When the database refuses.
pub async fn list(transaction: &mut TenantTransaction, customer: CustomerId) -> Result<Vec<Grant>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        r#"select g.id, g.package_id, p.name as "package?", g.collection_id, c.slug as "collection?", g.version_constraint
                , g.minimum_stability, g.updates_until, g.suspended_at, g.suspended_reason, g.external_id, g.created_at
         from access_grant g
         left join package p on p.tenant_id = g.tenant_id and p.id = g.package_id
         left join collection c on c.tenant_id = g.tenant_id and c.id = g.collection_id
         where g.tenant_id = $1 and g.customer_id = $2 order by g.created_at, g.id"#,
        tenant,
        customer.0
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter().map(Grant::try_from).collect()
}

/// One grant of a customer.
///
/// # Errors
/// When the database refuses.
pub async fn find(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    id: GrantId,
) -> Result<Option<Grant>, StoreError> {
    Ok(list(transaction, customer).await?.into_iter().find(|grant| grant.id == id))
}

/// Gives a grant. Conflicts with `grant_external_id_taken`.
///
/// # Errors
/// When the external id is taken or the database refuses.
pub async fn insert(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    fields: &GrantFields,
) -> Result<GrantId, StoreError> {
    let tenant = transaction.tenant().0;
    let id = GrantId::new();
    let (package, collection) = columns(fields.target);
    sqlx::query!(
        "insert into access_grant (tenant_id, id, customer_id, package_id, collection_id, version_constraint, minimum_stability
             , updates_until, external_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        tenant,
        id.0,
        customer.0,
        package,
        collection,
        fields.constraint,
        fields.minimum_stability,
        fields.updates_until,
        fields.external_id
    )
    .execute(transaction.connection())
    .await?;
    Ok(id)
}

/// Changes what a grant says. Conflicts with `grant_external_id_taken`.
///
/// # Errors
/// When the external id is taken or the database refuses.
pub async fn update(transaction: &mut TenantTransaction, id: GrantId, fields: &GrantFields) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    let (package, collection) = columns(fields.target);
    sqlx::query!(
        "update access_grant set package_id = $3, collection_id = $4, version_constraint = $5, minimum_stability = $6
              , updates_until = $7, external_id = $8
         where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        package,
        collection,
        fields.constraint,
        fields.minimum_stability,
        fields.updates_until,
        fields.external_id
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// What a grant is on, as its two columns.
fn columns(target: GrantTarget) -> (Option<Uuid>, Option<Uuid>) {
    match target {
        GrantTarget::Package(package) => (Some(package.0), None),
        GrantTarget::Collection(collection) => (None, Some(collection.0)),
    }
}

/// Suspends a grant, or with none for `at` lifts the suspension.
///
/// # Errors
/// When the database refuses.
pub async fn set_suspended(
    transaction: &mut TenantTransaction,
    id: GrantId,
    at: Option<DateTime<Utc>>,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update access_grant set suspended_at = $3, suspended_reason = $4 where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        at,
        reason
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Moves the limit of every grant of a customer that has one; how many there were.
///
/// # Errors
/// When the database refuses.
pub async fn move_limits(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    until: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!(
        "update access_grant set updates_until = $3 where tenant_id = $1 and customer_id = $2 and updates_until is not null",
        tenant,
        customer.0,
        until
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected())
}

/// The ids of the packages of these names. They cannot be deleted until the end of the transaction; others may go on changing
/// them.
///
/// # Errors
/// When the database refuses.
pub async fn keep_packages(
    transaction: &mut TenantTransaction,
    names: &[String],
) -> Result<HashMap<String, PackageId>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        "select name, id from package where tenant_id = $1 and name = any($2) order by id for key share",
        tenant,
        names
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, PackageId(row.id))).collect())
}

/// The same for collections, by their slugs.
///
/// # Errors
/// When the database refuses.
pub async fn keep_collections(
    transaction: &mut TenantTransaction,
    slugs: &[String],
) -> Result<HashMap<String, CollectionId>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        "select slug, id from collection where tenant_id = $1 and slug = any($2) order by id for key share",
        tenant,
        slugs
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (row.slug, CollectionId(row.id))).collect())
}

/// Who has a grant on a package, directly or through a collection: the customer's id and name with the grant; by name.
///
/// # Errors
/// When the database refuses or holds what it should not.
pub async fn customers_of(
    transaction: &mut TenantTransaction,
    package: PackageId,
) -> Result<Vec<(CustomerId, String, Grant)>, StoreError> {
    let tenant = transaction.tenant().0;
    let name = sqlx::query_scalar!("select name from package where tenant_id = $1 and id = $2", tenant, package.0)
        .fetch_optional(transaction.connection())
        .await?;
    let Some(name) = name else { return Ok(Vec::new()) };
    let name = PackageName::parse(&name).map_err(|error| StoreError::inconsistent("package", error))?;
    let collections: Vec<Uuid> = collections_with(transaction, &name).await?.into_iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select u.id as customer_id, u.name as customer_name, g.id, g.package_id, p.name as "package?", g.collection_id
                , c.slug as "collection?", g.version_constraint, g.minimum_stability, g.updates_until, g.suspended_at
                , g.suspended_reason, g.external_id, g.created_at
         from access_grant g
         join customer u on u.tenant_id = g.tenant_id and u.id = g.customer_id
         left join package p on p.tenant_id = g.tenant_id and p.id = g.package_id
         left join collection c on c.tenant_id = g.tenant_id and c.id = g.collection_id
         where g.tenant_id = $1 and (g.package_id = $2 or g.collection_id = any($3))
         order by u.name, u.id, g.created_at, g.id"#,
        tenant,
        package.0,
        &collections
    )
    .fetch_all(transaction.connection())
    .await?;
    rows.into_iter()
        .map(|row| {
            let grant = Row {
                id: row.id,
                package_id: row.package_id,
                package: row.package,
                collection_id: row.collection_id,
                collection: row.collection,
                version_constraint: row.version_constraint,
                minimum_stability: row.minimum_stability,
                updates_until: row.updates_until,
                suspended_at: row.suspended_at,
                suspended_reason: row.suspended_reason,
                external_id: row.external_id,
                created_at: row.created_at,
            };
            Ok((CustomerId(row.customer_id), row.customer_name, grant.try_into()?))
        })
        .collect()
}

/// The collections that a package is in, by name or by pattern.
///
/// # Errors
/// When the database refuses or holds what it should not.
pub async fn collections_with(
    transaction: &mut TenantTransaction,
    package: &PackageName,
) -> Result<Vec<CollectionId>, StoreError> {
    let collections = transaction.facts().collections().await?;
    let with = collections.into_values().filter(|collection| collection.packages.contains(package));
    with.map(|collection| collection.id.0.parse().map_err(|error| StoreError::inconsistent("collection", error)))
        .collect()
}
