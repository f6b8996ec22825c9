//! Grants of customers on packages.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::customer::Grant;
use crate::domain::id::{CustomerId, GrantId, PackageId};
use crate::store::{StoreError, TenantTransaction};

struct Row {
    id: Uuid,
    package: String,
    version_constraint: String,
    minimum_stability: Option<String>,
    updates_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Row> for Grant {
    fn from(row: Row) -> Self {
        Self {
            id: GrantId(row.id),
            package: row.package,
            constraint: row.version_constraint,
            minimum_stability: row.minimum_stability,
            updates_until: row.updates_until,
            created_at: row.created_at,
        }
    }
}

/// What an operator grants; checked before it comes here.
#[derive(Debug, Clone)]
pub struct GrantFields {
    /// On which package.
    pub package: PackageId,
    /// Which versions, as written.
    pub constraint: String,
    /// The least stable version shown.
    pub minimum_stability: Option<String>,
    /// Versions published up to this instant.
    pub updates_until: Option<DateTime<Utc>>,
}

/// A customer's grants, oldest first.
///
/// # Errors
/// When the database refuses.
pub async fn list(transaction: &mut TenantTransaction, customer: CustomerId) -> Result<Vec<Grant>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        "select g.id, p.name as package, g.version_constraint, g.minimum_stability, g.updates_until, g.created_at
         from access_grant g join package p on p.tenant_id = g.tenant_id and p.id = g.package_id
         where g.tenant_id = $1 and g.customer_id = $2 order by g.created_at, g.id",
        tenant,
        customer.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
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

/// Gives a grant. The same grant again changes nothing; true when it is new.
///
/// # Errors
/// When the database refuses.
pub async fn insert(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    fields: &GrantFields,
) -> Result<(GrantId, bool), StoreError> {
    let tenant = transaction.tenant().0;
    let same = sqlx::query_scalar!(
        "select id from access_grant
         where tenant_id = $1 and customer_id = $2 and package_id = $3 and version_constraint = $4
           and minimum_stability is not distinct from $5 and updates_until is not distinct from $6",
        tenant,
        customer.0,
        fields.package.0,
        fields.constraint,
        fields.minimum_stability,
        fields.updates_until
    )
    .fetch_optional(transaction.connection())
    .await?;
    if let Some(id) = same {
        return Ok((GrantId(id), false));
    }
    let id = GrantId::new();
    sqlx::query!(
        "insert into access_grant (tenant_id, id, customer_id, package_id, version_constraint, minimum_stability, updates_until)
         values ($1, $2, $3, $4, $5, $6, $7)",
        tenant,
        id.0,
        customer.0,
        fields.package.0,
        fields.constraint,
        fields.minimum_stability,
        fields.updates_until
    )
    .execute(transaction.connection())
    .await?;
    Ok((id, true))
}

/// Changes what a grant shows.
///
/// # Errors
/// When the database refuses.
pub async fn update(
    transaction: &mut TenantTransaction,
    id: GrantId,
    constraint: &str,
    minimum_stability: Option<&str>,
    updates_until: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update access_grant set version_constraint = $3, minimum_stability = $4, updates_until = $5 where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        constraint,
        minimum_stability,
        updates_until
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Takes all grants of a customer away, or those on one package; how many there were.
///
/// # Errors
/// When the database refuses.
pub async fn delete_all(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    package: Option<PackageId>,
) -> Result<u64, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!(
        "delete from access_grant where tenant_id = $1 and customer_id = $2 and ($3::uuid is null or package_id = $3)",
        tenant,
        customer.0,
        package.map(|package| package.0)
    )
    .execute(transaction.connection())
    .await?;
    Ok(done.rows_affected())
}

/// Customers with a grant on a package, by name, and their grants.
///
/// # Errors
/// When the database refuses.
pub async fn customers_of(
    transaction: &mut TenantTransaction,
    package: PackageId,
) -> Result<Vec<(CustomerId, String, Grant)>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        "select c.id as customer_id, c.name as customer_name, g.id, p.name as package, g.version_constraint, g.minimum_stability
              , g.updates_until, g.created_at
         from access_grant g
         join package p on p.tenant_id = g.tenant_id and p.id = g.package_id
         join customer c on c.tenant_id = g.tenant_id and c.id = g.customer_id
         where g.tenant_id = $1 and g.package_id = $2 order by c.name, c.id, g.created_at",
        tenant,
        package.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let grant = Grant {
                id: GrantId(row.id),
                package: row.package,
                constraint: row.version_constraint,
                minimum_stability: row.minimum_stability,
                updates_until: row.updates_until,
                created_at: row.created_at,
            };
            (CustomerId(row.customer_id), row.customer_name, grant)
        })
        .collect())
}
