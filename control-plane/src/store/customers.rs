//! Customers.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::customer::Customer;
use crate::domain::id::CustomerId;
use crate::store::{Page, StoreError, TenantTransaction};

struct Row {
    id: Uuid,
    name: String,
    email: Option<String>,
    external_id: Option<String>,
    status: String,
    status_reason: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    minimum_stability: Option<String>,
    metadata: Option<Value>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Customer {
    fn from(row: Row) -> Self {
        Self {
            id: CustomerId(row.id),
            name: row.name,
            email: row.email,
            external_id: row.external_id,
            status: row.status,
            status_reason: row.status_reason,
            expires_at: row.expires_at,
            minimum_stability: row.minimum_stability,
            metadata: row.metadata,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// What an operator writes of a customer; checked before it comes here.
#[derive(Debug, Clone, Default)]
pub struct CustomerFields {
    /// For people.
    pub name: String,
    /// Where to write.
    pub email: Option<String>,
    /// His id in the vendor's shop.
    pub external_id: Option<String>,
    /// From then on he counts as expired.
    pub expires_at: Option<DateTime<Utc>>,
    /// Used where a grant names none.
    pub minimum_stability: Option<String>,
    /// Whatever the vendor keeps beside him.
    pub metadata: Option<Value>,
}

/// Makes a customer; none when the external id is taken.
///
/// # Errors
/// When the database refuses.
pub async fn insert(
    transaction: &mut TenantTransaction,
    fields: &CustomerFields,
) -> Result<Option<Customer>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "insert into customer (tenant_id, id, name, email, external_id, expires_at, minimum_stability, metadata)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (tenant_id, external_id) do nothing
         returning id, name, email, external_id, status, status_reason, expires_at, minimum_stability, metadata, created_at, updated_at",
        tenant,
        CustomerId::new().0,
        fields.name,
        fields.email,
        fields.external_id,
        fields.expires_at,
        fields.minimum_stability,
        fields.metadata
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// The customer.
///
/// # Errors
/// When the database refuses.
pub async fn find(transaction: &mut TenantTransaction, id: CustomerId) -> Result<Option<Customer>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "select id, name, email, external_id, status, status_reason, expires_at, minimum_stability, metadata, created_at, updated_at
         from customer where tenant_id = $1 and id = $2",
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// The customer, locked against other writers until the end of the transaction.
///
/// # Errors
/// When the database refuses.
pub async fn lock(transaction: &mut TenantTransaction, id: CustomerId) -> Result<Option<Customer>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "select id, name, email, external_id, status, status_reason, expires_at, minimum_stability, metadata, created_at, updated_at
         from customer where tenant_id = $1 and id = $2 for update",
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// The customer with that id in the vendor's shop.
///
/// # Errors
/// When the database refuses.
pub async fn find_by_external_id(
    transaction: &mut TenantTransaction,
    external_id: &str,
) -> Result<Option<Customer>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "select id, name, email, external_id, status, status_reason, expires_at, minimum_stability, metadata, created_at, updated_at
         from customer where tenant_id = $1 and external_id = $2",
        tenant,
        external_id
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// The customer with that id in the vendor's shop, locked against other writers until the end of the transaction.
///
/// # Errors
/// When the database refuses.
pub async fn lock_by_external_id(
    transaction: &mut TenantTransaction,
    external_id: &str,
) -> Result<Option<Customer>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "select id, name, email, external_id, status, status_reason, expires_at, minimum_stability, metadata, created_at, updated_at
         from customer where tenant_id = $1 and external_id = $2 for update",
        tenant,
        external_id
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// Customers by name, narrowed by status and by a part of name, e-mail or external id; and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    transaction: &mut TenantTransaction,
    status: Option<&str>,
    part: Option<&str>,
    now: DateTime<Utc>,
    page: Page,
) -> Result<(Vec<Customer>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        "select id, name, email, external_id, status, status_reason, expires_at, minimum_stability, metadata, created_at, updated_at
         from customer
         where tenant_id = $1
           and ($2::text is null or $2 = case when status = 'active' and expires_at <= $4 then 'expired' else status end)
           and ($3::text is null or position(lower($3) in lower(concat_ws(' ', name, email, external_id))) > 0)
         order by name, id limit $5 offset $6",
        tenant,
        status,
        part,
        now,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from customer
         where tenant_id = $1
           and ($2::text is null or $2 = case when status = 'active' and expires_at <= $4 then 'expired' else status end)
           and ($3::text is null or position(lower($3) in lower(concat_ws(' ', name, email, external_id))) > 0)"#,
        tenant,
        status,
        part,
        now
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((rows.into_iter().map(Into::into).collect(), total))
}

/// Replaces what an operator writes of a customer. Conflicts with `customer_external_id_taken`.
///
/// # Errors
/// When the external id is taken or the database refuses.
pub async fn update(
    transaction: &mut TenantTransaction,
    id: CustomerId,
    fields: &CustomerFields,
) -> Result<Customer, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "update customer set name = $3, email = $4, external_id = $5, expires_at = $6, minimum_stability = $7, metadata = $8
              , updated_at = now(), revision = nextval('revision')
         where tenant_id = $1 and id = $2
         returning id, name, email, external_id, status, status_reason, expires_at, minimum_stability, metadata, created_at, updated_at",
        tenant,
        id.0,
        fields.name,
        fields.email,
        fields.external_id,
        fields.expires_at,
        fields.minimum_stability,
        fields.metadata
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(row.into())
}

/// Sets a customer's status.
///
/// # Errors
/// When the database refuses.
pub async fn set_status(
    transaction: &mut TenantTransaction,
    id: CustomerId,
    status: &str,
    reason: Option<&str>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<Customer, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "update customer set status = $3, status_reason = $4, expires_at = $5, updated_at = now(), revision = nextval('revision')
         where tenant_id = $1 and id = $2
         returning id, name, email, external_id, status, status_reason, expires_at, minimum_stability, metadata, created_at, updated_at",
        tenant,
        id.0,
        status,
        reason,
        expires_at
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(row.into())
}

/// Gives a customer a new revision: his tokens or grants changed.
///
/// # Errors
/// When the database refuses.
pub async fn touch(transaction: &mut TenantTransaction, id: CustomerId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("update customer set revision = nextval('revision') where tenant_id = $1 and id = $2", tenant, id.0)
        .execute(transaction.connection())
        .await?;
    Ok(())
}
