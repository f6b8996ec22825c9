//! Puts back what was deleted, exactly as it was, with new revisions for whoever reads it.
//!
//! A grant whose customer, package or collection is gone meanwhile stays kept as a deletion of its own: restoring in any
//! order brings everything back. Packages are locked before customers, as everywhere.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::deletion::{Deletion, DeletionKind, Skipped, WayBack, restorable_until};
use crate::domain::id::{CustomerId, DeletionId, GrantId};
use crate::store::{StoreError, TenantTransaction, tokens};

/// Why something cannot come back; nothing of it did then.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a package of that name again.
    #[error("there is a package `{0}` again; delete that one first, which can be undone too")]
    NameTaken(String),
    /// Another customer has his external id.
    #[error("another customer has the external_id of `{0}` meanwhile; change that one's first")]
    ExternalIdTaken(String),
    /// Something is in the way of a grant.
    #[error("the grant cannot come back: {0}")]
    Grant(String),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What came back.
#[derive(Debug)]
pub struct Restored {
    /// Customers who have their rights back, with new revisions.
    pub customers: Vec<CustomerId>,
    /// Grants that did not come along.
    pub skipped: Vec<Skipped>,
}

/// Puts back what `deletion` kept and forgets the deletion, which must have been locked in this transaction.
///
/// # Errors
/// When something is in the way; then the transaction must be dropped.
pub async fn restore(transaction: &mut TenantTransaction, deletion: &Deletion) -> Result<Restored, RestoreError> {
    let id = deletion.id;
    if deletion.kind == DeletionKind::Package {
        let name_taken = |error: StoreError| match error.is_conflict("package_name_taken") {
            true => RestoreError::NameTaken(deletion.name.clone()),
            false => error.into(),
        };
        put_back_package(transaction, id).await.map_err(name_taken)?;
        for table in ["version", "version_reference", "git_ref"] {
            put_back(transaction, id, table).await?;
        }
        renew_package(transaction, id).await?;
    }
    lock_targets(transaction, id).await?;
    if deletion.kind == DeletionKind::Customer {
        let id_taken = |error: StoreError| match error.is_conflict("customer_external_id_taken") {
            true => RestoreError::ExternalIdTaken(deletion.name.clone()),
            false => error.into(),
        };
        put_back(transaction, id, "customer").await.map_err(id_taken)?;
        put_back(transaction, id, "token").await?;
    }
    let mut customers = lock_customers(transaction, id).await?;
    if deletion.kind == DeletionKind::Customer {
        let customer: CustomerId =
            deletion.subject.parse().map_err(|error| StoreError::inconsistent("deletion", error))?;
        customers.push(customer.0);
        // An edge may have learnt that nobody has these secrets.
        tokens::tell_of(transaction, customer).await?;
    }
    let (fit, unfit): (Vec<_>, Vec<_>) =
        kept_grants(transaction, id).await?.into_iter().partition(|grant| grant.obstacle().is_none());
    if let (DeletionKind::Grant, Some(because)) = (deletion.kind, unfit.iter().find_map(KeptGrant::obstacle)) {
        return Err(RestoreError::Grant(because));
    }
    let fit: Vec<_> = fit.into_iter().map(|grant| grant.id).collect();
    put_back_grants(transaction, id, &fit).await?;
    let mut skipped = Vec::with_capacity(unfit.len());
    for grant in unfit {
        skipped.push(keep_apart(transaction, id, &grant).await?);
    }
    forget(transaction, id, &customers).await?;
    Ok(Restored { customers: customers.into_iter().map(CustomerId).collect(), skipped })
}

async fn put_back(transaction: &mut TenantTransaction, deletion: DeletionId, table: &str) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "select put_back($3, content->$3) from deletion where tenant_id = $1 and id = $2",
        tenant,
        deletion.0,
        table
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(())
}

/// Without its git credential, if that is gone.
async fn put_back_package(transaction: &mut TenantTransaction, deletion: DeletionId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    // Whichever is there stays there until the end of the transaction.
    sqlx::query!(
        "select id from git_credential where tenant_id = $1 and id in (
             select (p->>'git_credential_id')::uuid from deletion d, json_array_elements(d.content->'package') p
             where d.tenant_id = $1 and d.id = $2)
         for key share",
        tenant,
        deletion.0
    )
    .fetch_all(transaction.connection())
    .await?;
    sqlx::query!(
        "select put_back('package', (
             select json_agg(case when exists (select from git_credential g
                                               where g.tenant_id = $1 and g.id = (p->>'git_credential_id')::uuid)
                                  then p else (p::jsonb - 'git_credential_id')::json end)
             from json_array_elements(content->'package') p))
         from deletion where tenant_id = $1 and id = $2",
        tenant,
        deletion.0
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(())
}

async fn put_back_grants(
    transaction: &mut TenantTransaction,
    deletion: DeletionId,
    grants: &[Uuid],
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "select put_back('access_grant', (select json_agg(g) from json_array_elements(content->'access_grant') g
                                          where (g->>'id')::uuid = any($3)))
         from deletion where tenant_id = $1 and id = $2",
        tenant,
        deletion.0,
        grants
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(())
}

/// Whoever knew the package before reads it again.
async fn renew_package(transaction: &mut TenantTransaction, deletion: DeletionId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update package set revision = nextval('revision')
         where tenant_id = $1 and id = (select subject from deletion where tenant_id = $1 and id = $2)",
        tenant,
        deletion.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Whatever the kept grants are on and is there stays there until the end of the transaction.
async fn lock_targets(transaction: &mut TenantTransaction, deletion: DeletionId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "select id from package where tenant_id = $1 and id in (
             select (g->>'package_id')::uuid from deletion d, json_array_elements(d.content->'access_grant') g
             where d.tenant_id = $1 and d.id = $2)
         order by id for key share",
        tenant,
        deletion.0
    )
    .fetch_all(transaction.connection())
    .await?;
    sqlx::query!(
        "select id from collection where tenant_id = $1 and id in (
             select (g->>'collection_id')::uuid from deletion d, json_array_elements(d.content->'access_grant') g
             where d.tenant_id = $1 and d.id = $2)
         order by id for key share",
        tenant,
        deletion.0
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(())
}

async fn lock_customers(transaction: &mut TenantTransaction, deletion: DeletionId) -> Result<Vec<Uuid>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_scalar!(
        "select id from customer where tenant_id = $1 and id in (
             select (g->>'customer_id')::uuid from deletion d, json_array_elements(d.content->'access_grant') g
             where d.tenant_id = $1 and d.id = $2)
         order by id for update",
        tenant,
        deletion.0
    )
    .fetch_all(transaction.connection())
    .await?)
}

/// A kept grant, and what has become of all around it.
struct KeptGrant {
    id: Uuid,
    customer: Uuid,
    on: String,
    external_id: Option<String>,
    customer_there: bool,
    target_there: bool,
    external_id_taken: bool,
}

impl KeptGrant {
    /// Why it cannot come back now, and what to do.
    fn obstacle(&self) -> Option<String> {
        if !self.customer_there {
            return Some("its customer is gone; restore him first".to_owned());
        }
        if !self.target_there {
            return Some(format!("`{}`, which it was on, is gone; restore that first, or give a new grant", self.on));
        }
        let taken = self.external_id.as_ref().filter(|_| self.external_id_taken)?;
        Some(format!("another grant of the customer has its external_id `{taken}` meanwhile; change that one's first"))
    }
}

async fn kept_grants(transaction: &mut TenantTransaction, deletion: DeletionId) -> Result<Vec<KeptGrant>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_as!(
        KeptGrant,
        r#"with kept as (
             select (g->>'id')::uuid as id, (g->>'customer_id')::uuid as customer, coalesce(d.content->'on'->>(g->>'id'), '') as "on"
                  , g->>'external_id' as external_id, (g->>'package_id')::uuid as package, (g->>'collection_id')::uuid as collection
             from deletion d, json_array_elements(d.content->'access_grant') g
             where d.tenant_id = $1 and d.id = $2)
         select k.id as "id!", k.customer as "customer!", k."on" as "on!", k.external_id
              , exists (select from customer c where c.tenant_id = $1 and c.id = k.customer) as "customer_there!"
              , exists (select from package p where p.tenant_id = $1 and p.id = k.package)
                or exists (select from collection c where c.tenant_id = $1 and c.id = k.collection) as "target_there!"
              , exists (select from access_grant g where g.tenant_id = $1 and g.customer_id = k.customer and g.external_id = k.external_id)
                as "external_id_taken!"
         from kept k"#,
        tenant,
        deletion.0
    )
    .fetch_all(transaction.connection())
    .await?)
}

/// Keeps a grant of a larger deletion as one of its own, for as long as that would have been kept.
async fn keep_apart(
    transaction: &mut TenantTransaction,
    deletion: DeletionId,
    grant: &KeptGrant,
) -> Result<Skipped, StoreError> {
    let (tenant, apart) = (transaction.tenant().0, DeletionId::new());
    let deleted_at: DateTime<Utc> = sqlx::query_scalar!(
        "insert into deletion (tenant_id, id, kind, subject, name, deleted_at, deleted_by, content)
         select d.tenant_id, $4, 'grant', $3, $5, d.deleted_at, d.deleted_by
              , json_build_object('access_grant', json_build_array(g), 'on', json_build_object($3::uuid, $5::text))
         from deletion d, json_array_elements(d.content->'access_grant') g
         where d.tenant_id = $1 and d.id = $2 and (g->>'id')::uuid = $3
         returning deleted_at",
        tenant,
        deletion.0,
        grant.id,
        apart.0,
        grant.on
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(Skipped {
        grant: GrantId(grant.id),
        customer: CustomerId(grant.customer),
        on: grant.on.clone(),
        because: grant.obstacle().unwrap_or_default(),
        deletion: WayBack { id: apart, restorable_until: restorable_until(deleted_at) },
    })
}

/// The deletion is undone; whoever has his rights back is a new fact.
async fn forget(
    transaction: &mut TenantTransaction,
    deletion: DeletionId,
    customers: &[Uuid],
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update customer set revision = nextval('revision') where tenant_id = $1 and id = any($2)",
        tenant,
        customers
    )
    .execute(transaction.connection())
    .await?;
    sqlx::query!("delete from deletion where tenant_id = $1 and id = $2", tenant, deletion.0)
        .execute(transaction.connection())
        .await?;
    Ok(())
}
