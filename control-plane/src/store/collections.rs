//! Collections of packages.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::collection::Collection;
use crate::domain::id::{CollectionId, CustomerId};
use crate::store::{Page, StoreError, TenantTransaction};

struct Row {
    id: Uuid,
    slug: String,
    name: String,
    packages: Vec<String>,
    version_constraint: Option<String>,
    minimum_stability: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Collection {
    fn from(row: Row) -> Self {
        Self {
            id: CollectionId(row.id),
            slug: row.slug,
            name: row.name,
            packages: row.packages,
            constraint: row.version_constraint,
            minimum_stability: row.minimum_stability,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// What an operator writes of a collection; checked before it comes here.
#[derive(Debug, Clone)]
pub struct CollectionFields {
    /// Short name, as in paths.
    pub slug: String,
    /// For people.
    pub name: String,
    /// Names and patterns.
    pub packages: Vec<String>,
    /// Which versions, as written.
    pub constraint: Option<String>,
    /// The least stable version shown.
    pub minimum_stability: Option<String>,
}

/// Makes a collection. Conflicts with `collection_slug_taken`.
///
/// # Errors
/// When the slug is taken or the database refuses.
pub async fn insert(transaction: &mut TenantTransaction, fields: &CollectionFields) -> Result<Collection, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "insert into collection (tenant_id, id, slug, name, packages, version_constraint, minimum_stability)
         values ($1, $2, $3, $4, $5, $6, $7)
         returning id, slug, name, packages, version_constraint, minimum_stability, created_at, updated_at",
        tenant,
        CollectionId::new().0,
        fields.slug,
        fields.name,
        &fields.packages,
        fields.constraint,
        fields.minimum_stability
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(row.into())
}

/// The collection of that slug.
///
/// # Errors
/// When the database refuses.
pub async fn find(transaction: &mut TenantTransaction, slug: &str) -> Result<Option<Collection>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "select id, slug, name, packages, version_constraint, minimum_stability, created_at, updated_at
         from collection where tenant_id = $1 and slug = $2",
        tenant,
        slug
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// The collection of that slug, locked against other writers until the end of the transaction. Collections are locked before
/// customers, everywhere.
///
/// # Errors
/// When the database refuses.
pub async fn lock(transaction: &mut TenantTransaction, slug: &str) -> Result<Option<Collection>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "select id, slug, name, packages, version_constraint, minimum_stability, created_at, updated_at
         from collection where tenant_id = $1 and slug = $2 for update",
        tenant,
        slug
    )
    .fetch_optional(transaction.connection())
    .await?;
    Ok(row.map(Into::into))
}

/// Collections by name, narrowed to those whose name or slug holds `part`; and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    transaction: &mut TenantTransaction,
    part: Option<&str>,
    page: Page,
) -> Result<(Vec<Collection>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        "select id, slug, name, packages, version_constraint, minimum_stability, created_at, updated_at
         from collection
         where tenant_id = $1 and ($2::text is null or position(lower($2) in lower(concat_ws(' ', name, slug))) > 0)
         order by name, id limit $3 offset $4",
        tenant,
        part,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from collection
         where tenant_id = $1 and ($2::text is null or position(lower($2) in lower(concat_ws(' ', name, slug))) > 0)"#,
        tenant,
        part
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((rows.into_iter().map(Into::into).collect(), total))
}

/// Replaces what an operator writes of a collection. Conflicts with `collection_slug_taken`.
///
/// # Errors
/// When the slug is taken or the database refuses.
pub async fn update(
    transaction: &mut TenantTransaction,
    id: CollectionId,
    fields: &CollectionFields,
) -> Result<Collection, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "update collection set slug = $3, name = $4, packages = $5, version_constraint = $6, minimum_stability = $7
              , updated_at = now(), revision = nextval('revision')
         where tenant_id = $1 and id = $2
         returning id, slug, name, packages, version_constraint, minimum_stability, created_at, updated_at",
        tenant,
        id.0,
        fields.slug,
        fields.name,
        &fields.packages,
        fields.constraint,
        fields.minimum_stability
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(row.into())
}

/// How many customers have a grant on a collection.
///
/// # Errors
/// When the database refuses.
pub async fn customers(transaction: &mut TenantTransaction, id: CollectionId) -> Result<i64, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_scalar!(
        r#"select count(distinct customer_id) as "count!" from access_grant where tenant_id = $1 and collection_id = $2"#,
        tenant,
        id.0
    )
    .fetch_one(transaction.connection())
    .await?)
}

/// Takes every grant on a collection away; whoever had one has fewer now. The collection must have been locked in this
/// transaction.
///
/// # Errors
/// When the database refuses.
pub async fn delete_grants(
    transaction: &mut TenantTransaction,
    id: CollectionId,
) -> Result<Vec<CustomerId>, StoreError> {
    let tenant = transaction.tenant().0;
    // In one order, so that two deletions at once do not wait for each other.
    let customers = sqlx::query_scalar!(
        "select id from customer
         where tenant_id = $1 and id in (select customer_id from access_grant where tenant_id = $1 and collection_id = $2)
         order by id for update",
        tenant,
        id.0
    )
    .fetch_all(transaction.connection())
    .await?;
    sqlx::query!(
        "update customer set revision = nextval('revision') where tenant_id = $1 and id = any($2)",
        tenant,
        &customers
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!("delete from access_grant where tenant_id = $1 and collection_id = $2", tenant, id.0)
        .execute(transaction.connection())
        .await?;
    Ok(customers.into_iter().map(CustomerId).collect())
}

/// Deletes a collection. Conflicts with `grant_on_collection` while grants stand on it.
///
/// # Errors
/// When grants stand on it or the database refuses.
pub async fn delete(transaction: &mut TenantTransaction, id: CollectionId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("delete from collection where tenant_id = $1 and id = $2", tenant, id.0)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// The slugs of all collections, by id as grants name them.
///
/// # Errors
/// When the database refuses.
pub async fn slugs(transaction: &mut TenantTransaction) -> Result<HashMap<String, String>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!("select id, slug from collection where tenant_id = $1", tenant)
        .fetch_all(transaction.connection())
        .await?;
    Ok(rows.into_iter().map(|row| (CollectionId(row.id).to_string(), row.slug)).collect())
}
