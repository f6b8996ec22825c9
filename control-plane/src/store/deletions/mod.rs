//! Deletions that may be undone: what was deleted is really gone from its tables, and its rows are kept here as they were.
//!
//! The rows never leave the database on their way out and back, so that texts, numbers and the order of keys stay what they
//! were. What must never happen is half of it: keeping and deleting, putting back and forgetting are one transaction each.

mod keep;
mod restore;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::deletion::{Deletion, DeletionKind, KEPT_DAYS, restorable_until};
use crate::domain::id::{CustomerId, DeletionId, GrantId, PackageId};
use crate::store::{Page, StoreError, System, TenantTransaction};

pub use keep::{delete_customer, delete_grants, delete_package};
pub use restore::{RestoreError, Restored, restore};

/// Deletions that may still be undone, newest first, narrowed by kind; and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(
    transaction: &mut TenantTransaction,
    kind: Option<DeletionKind>,
    page: Page,
) -> Result<(Vec<Deletion>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let kind = kind.map(DeletionKind::as_str);
    let rows = sqlx::query_as!(
        Row,
        "select id, kind, subject, name, deleted_at, deleted_by from deletion
         where tenant_id = $1 and ($2::text is null or kind = $2) and deleted_at > now() - make_interval(days => $3)
         order by deleted_at desc, id desc limit $4 offset $5",
        tenant,
        kind,
        kept_days(),
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!" from deletion
         where tenant_id = $1 and ($2::text is null or kind = $2) and deleted_at > now() - make_interval(days => $3)"#,
        tenant,
        kind,
        kept_days()
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((rows.into_iter().map(Row::read).collect::<Result<_, _>>()?, total))
}

/// What is to be restored.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// This deletion.
    Deletion(DeletionId),
    /// The customer with this id.
    Customer(CustomerId),
    /// The grant with this id, of this customer.
    Grant(CustomerId, GrantId),
    /// What was deleted last under this name.
    Package(&'a str),
}

/// The newest deletion that fits, if it may still be undone, locked against others until the end of the transaction.
///
/// # Errors
/// When the database refuses.
pub async fn lock(transaction: &mut TenantTransaction, wanted: Wanted<'_>) -> Result<Option<Deletion>, StoreError> {
    let tenant = transaction.tenant().0;
    let (kind, subject, name, customer) = match wanted {
        Wanted::Deletion(_) => (None, None, None, None),
        Wanted::Customer(id) => (Some("customer"), Some(id.0), None, None),
        Wanted::Grant(customer, id) => (Some("grant"), Some(id.0), None, Some(customer.0.to_string())),
        Wanted::Package(name) => (Some("package"), None, Some(name), None),
    };
    let id = if let Wanted::Deletion(id) = wanted { Some(id.0) } else { None };
    let row = sqlx::query_as!(
        Row,
        "select id, kind, subject, name, deleted_at, deleted_by from deletion
         where tenant_id = $1 and ($2::uuid is null or id = $2) and ($3::text is null or kind = $3)
           and ($4::uuid is null or subject = $4) and ($5::text is null or name = $5)
           and ($6::text is null or content->'access_grant'->0->>'customer_id' = $6)
           and deleted_at > now() - make_interval(days => $7)
         order by deleted_at desc, id desc limit 1 for update",
        tenant,
        id,
        kind,
        subject,
        name,
        customer,
        kept_days()
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Row::read).transpose()
}

/// Deletions of packages of that name that may still be undone, newest first.
///
/// # Errors
/// When the database refuses.
pub async fn of_package(transaction: &mut TenantTransaction, name: &str) -> Result<Vec<DeletionId>, StoreError> {
    let tenant = transaction.tenant().0;
    let ids = sqlx::query_scalar!(
        "select id from deletion where tenant_id = $1 and kind = 'package' and name = $2
           and deleted_at > now() - make_interval(days => $3) order by deleted_at desc, id desc limit 20",
        tenant,
        name,
        kept_days()
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(ids.into_iter().map(DeletionId).collect())
}

/// The customers whose grants a deletion keeps, whether or not they are there.
///
/// # Errors
/// When the database refuses.
pub async fn customers(transaction: &mut TenantTransaction, id: DeletionId) -> Result<Vec<CustomerId>, StoreError> {
    let tenant = transaction.tenant().0;
    let customers = sqlx::query_scalar!(
        r#"select distinct (g->>'customer_id')::uuid as "customer!" from deletion d, json_array_elements(d.content->'access_grant') g
           where d.tenant_id = $1 and d.id = $2 order by 1"#,
        tenant,
        id.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(customers.into_iter().map(CustomerId).collect())
}

impl System {
    /// Forgets what can no longer be undone, in every tenant; how many deletions there were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn purge_deletions(&self) -> Result<u64, StoreError> {
        let done =
            sqlx::query!("delete from deletion where deleted_at <= now() - make_interval(days => $1)", kept_days())
                .execute(&self.pool)
                .await?;
        Ok(done.rows_affected())
    }
}

fn kept_days() -> i32 {
    i32::try_from(KEPT_DAYS).unwrap_or(i32::MAX)
}

struct Row {
    id: Uuid,
    kind: String,
    subject: Uuid,
    name: String,
    deleted_at: DateTime<Utc>,
    deleted_by: String,
}

impl Row {
    fn read(self) -> Result<Deletion, StoreError> {
        let kind = DeletionKind::named(&self.kind).ok_or_else(|| StoreError::inconsistent("deletion", &self.kind))?;
        let subject = match kind {
            DeletionKind::Customer => CustomerId(self.subject).to_string(),
            DeletionKind::Grant => GrantId(self.subject).to_string(),
            DeletionKind::Package => PackageId(self.subject).to_string(),
        };
        Ok(Deletion {
            id: DeletionId(self.id),
            kind,
            subject,
            name: self.name,
            deleted_at: self.deleted_at,
            deleted_by: self.deleted_by,
            restorable_until: restorable_until(self.deleted_at),
        })
    }
}
