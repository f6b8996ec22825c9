//! Customers.

use cargoman_licence::Freeze;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::customer::Customer;
use crate::domain::id::CustomerId;
use crate::store::{Page, StoreError, TenantTransaction};

struct Row {
    id: Uuid,
    name: String,
    email: Option<String>,
    external_id: Option<String>,
    suspended_at: Option<DateTime<Utc>>,
    suspended_reason: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    frozen_at: Option<DateTime<Utc>>,
    minimum_stability: Option<String>,
    may_publish: Vec<String>,
    source: Option<String>,
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
            suspended_at: row.suspended_at,
            suspended_reason: row.suspended_reason,
            expires_at: row.expires_at,
            frozen_at: row.frozen_at,
            minimum_stability: row.minimum_stability,
            may_publish: row.may_publish,
            source: row.source,
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
    /// Patterns of the packages that his developer tokens may upload to.
    pub may_publish: Vec<String>,
    /// `hide` or `show`: whether his metadata shows where the source lies.
    pub source: Option<String>,
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
    let id = CustomerId::new();
    let made = sqlx::query!(
        "insert into customer (tenant_id, id, name, email, external_id, expires_at, minimum_stability, may_publish, source, metadata)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (tenant_id, external_id) do nothing",
        tenant,
        id.0,
        fields.name,
        fields.email,
        fields.external_id,
        fields.expires_at,
        fields.minimum_stability,
        &fields.may_publish,
        fields.source,
        fields.metadata
    )
    .execute(transaction.connection())
    .await?;
    if made.rows_affected() == 0 { Ok(None) } else { find(transaction, id).await }
}

/// The customer.
///
/// # Errors
/// When the database refuses.
pub async fn find(transaction: &mut TenantTransaction, id: CustomerId) -> Result<Option<Customer>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "select id, name, email, external_id, suspended_at, suspended_reason, expires_at
              , (frozen ->> 'since')::timestamptz as frozen_at
              , minimum_stability, may_publish, source, metadata, created_at, updated_at
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
    // What is read afterwards is as of the lock, not as of the time before waiting for it.
    match lock_alone(transaction, id).await? {
        true => find(transaction, id).await,
        false => Ok(None),
    }
}

/// The same without reading anything; false when there is no such customer.
///
/// # Errors
/// When the database refuses.
pub async fn lock_alone(transaction: &mut TenantTransaction, id: CustomerId) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    let locked =
        sqlx::query_scalar!("select id from customer where tenant_id = $1 and id = $2 for update", tenant, id.0)
            .fetch_optional(transaction.connection())
            .await?;
    Ok(locked.is_some())
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
    let id =
        sqlx::query_scalar!("select id from customer where tenant_id = $1 and external_id = $2", tenant, external_id)
            .fetch_optional(transaction.connection())
            .await?;
    match id {
        Some(id) => find(transaction, CustomerId(id)).await,
        None => Ok(None),
    }
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
    let id = sqlx::query_scalar!(
        "select id from customer where tenant_id = $1 and external_id = $2 for update",
        tenant,
        external_id
    )
    .fetch_optional(transaction.connection())
    .await?;
    match id {
        Some(id) => find(transaction, CustomerId(id)).await,
        None => Ok(None),
    }
}

/// Customers by name, narrowed by the status in force at `now` and by a part of name, e-mail or external id; and how many
/// there are.
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
        "select id, name, email, external_id, suspended_at, suspended_reason, expires_at
              , (frozen ->> 'since')::timestamptz as frozen_at
              , minimum_stability, may_publish, source, metadata, created_at, updated_at
         from customer
         where tenant_id = $1
           and ($2::text is null or $2 = case when suspended_at is not null then 'suspended' when expires_at <= $4 then 'expired'
                                              when frozen is not null then 'frozen' else 'active' end)
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
           and ($2::text is null or $2 = case when suspended_at is not null then 'suspended' when expires_at <= $4 then 'expired'
                                              when frozen is not null then 'frozen' else 'active' end)
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
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update customer set name = $3, email = $4, external_id = $5, expires_at = $6, minimum_stability = $7, may_publish = $8
              , source = $9, metadata = $10, updated_at = now(), revision = nextval('revision')
         where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        fields.name,
        fields.email,
        fields.external_id,
        fields.expires_at,
        fields.minimum_stability,
        &fields.may_publish,
        fields.source,
        fields.metadata
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Suspends a customer, or with none for `at` lifts the suspension.
///
/// # Errors
/// When the database refuses.
pub async fn set_suspended(
    transaction: &mut TenantTransaction,
    id: CustomerId,
    at: Option<DateTime<Utc>>,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update customer set suspended_at = $3, suspended_reason = $4, updated_at = now(), revision = nextval('revision')
         where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        at,
        reason
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Sets the end of a customer's time, or with none takes it away.
///
/// # Errors
/// When the database refuses.
pub async fn set_end(
    transaction: &mut TenantTransaction,
    id: CustomerId,
    at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update customer set expires_at = $3, updated_at = now(), revision = nextval('revision')
         where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        at
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Holds a customer at a list of versions, or with none lets go of him.
///
/// # Errors
/// When the database refuses.
pub async fn set_frozen(
    transaction: &mut TenantTransaction,
    id: CustomerId,
    freeze: Option<&Freeze>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update customer set frozen = $3, updated_at = now(), revision = nextval('revision')
         where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        freeze.map(Json) as Option<Json<&Freeze>>
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// What a customer is held at; none while he is not frozen.
///
/// # Errors
/// When the database refuses or holds what it should not.
pub async fn frozen(transaction: &mut TenantTransaction, id: CustomerId) -> Result<Option<Freeze>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query!("select frozen from customer where tenant_id = $1 and id = $2", tenant, id.0)
        .fetch_optional(transaction.connection())
        .await?;
    let frozen = row.and_then(|row| row.frozen);
    frozen.map(serde_json::from_value).transpose().map_err(|error| StoreError::inconsistent("customer", error))
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
