//! Deletes, and keeps the rows for the way back.

use crate::domain::deletion::{WayBack, restorable_until};
use crate::domain::id::{CustomerId, DeletionId, GrantId, PackageId};
use crate::store::{StoreError, TenantTransaction, tokens};

/// Deletes a customer with his tokens and grants. He must have been locked in this transaction: then neither can be added
/// between the keeping and the deleting.
///
/// # Errors
/// When the database refuses.
pub async fn delete_customer(transaction: &mut TenantTransaction, id: CustomerId) -> Result<WayBack, StoreError> {
    let (tenant, actor, deletion) = (transaction.tenant().0, transaction.actor().to_string(), DeletionId::new());
    let deleted_at = sqlx::query_scalar!(
        "insert into deletion (tenant_id, id, kind, subject, name, deleted_by, content)
         select c.tenant_id, $3, 'customer', c.id, c.name, $4, json_build_object(
             'customer', json_build_array(row_to_json(c))
           , 'token', (select coalesce(json_agg(row_to_json(t) order by t.id), '[]') from token t
                       where t.tenant_id = c.tenant_id and t.customer_id = c.id)
           , 'access_grant', (select coalesce(json_agg(row_to_json(g) order by g.created_at, g.id), '[]') from access_grant g
                              where g.tenant_id = c.tenant_id and g.customer_id = c.id)
           , 'on', (select coalesce(json_object_agg(g.id, coalesce(p.name, k.slug)), '{}') from access_grant g
                    left join package p on p.tenant_id = g.tenant_id and p.id = g.package_id
                    left join collection k on k.tenant_id = g.tenant_id and k.id = g.collection_id
                    where g.tenant_id = c.tenant_id and g.customer_id = c.id))
         from customer c where c.tenant_id = $1 and c.id = $2
         returning deleted_at",
        tenant,
        id.0,
        deletion.0,
        actor
    )
    .fetch_one(transaction.connection())
    .await?;
    tokens::tell_of(transaction, id).await?;
    sqlx::query!("delete from customer where tenant_id = $1 and id = $2", tenant, id.0)
        .execute(transaction.connection())
        .await?;
    Ok(WayBack { id: deletion, restorable_until: restorable_until(deleted_at) })
}

/// Deletes grants, each of which may come back by itself; in the order of their making. Their customers must have been locked
/// in this transaction.
///
/// # Errors
/// When the database refuses.
pub async fn delete_grants(
    transaction: &mut TenantTransaction,
    grants: &[GrantId],
) -> Result<Vec<(GrantId, WayBack)>, StoreError> {
    let (tenant, actor) = (transaction.tenant().0, transaction.actor().to_string());
    let grants: Vec<_> = grants.iter().map(|grant| grant.0).collect();
    let deletions: Vec<_> = grants.iter().map(|_| DeletionId::new().0).collect();
    let kept = sqlx::query!(
        "insert into deletion (tenant_id, id, kind, subject, name, deleted_by, content)
         select g.tenant_id, said.deletion, 'grant', g.id, coalesce(p.name, k.slug), $4, json_build_object(
             'access_grant', json_build_array(row_to_json(g)), 'on', json_build_object(g.id, coalesce(p.name, k.slug)))
         from unnest($2::uuid[], $3::uuid[]) said (grant_id, deletion)
         join access_grant g on g.tenant_id = $1 and g.id = said.grant_id
         left join package p on p.tenant_id = g.tenant_id and p.id = g.package_id
         left join collection k on k.tenant_id = g.tenant_id and k.id = g.collection_id
         order by g.created_at, g.id
         returning id, subject, deleted_at",
        tenant,
        &grants,
        &deletions,
        actor
    )
    .fetch_all(transaction.connection())
    .await?;
    sqlx::query!("delete from access_grant where tenant_id = $1 and id = any($2)", tenant, &grants)
        .execute(transaction.connection())
        .await?;
    let way_back = |id, at| WayBack { id: DeletionId(id), restorable_until: restorable_until(at) };
    Ok(kept.into_iter().map(|row| (GrantId(row.subject), way_back(row.id, row.deleted_at))).collect())
}

/// Deletes a package with its versions and the grants on it; whoever had one has fewer now. The package must have been locked
/// in this transaction. Its dists and publication times stay: should it come back, locks and licence windows hold.
///
/// # Errors
/// When the database refuses.
pub async fn delete_package(
    transaction: &mut TenantTransaction,
    id: PackageId,
) -> Result<(WayBack, Vec<CustomerId>), StoreError> {
    let (tenant, actor, deletion) = (transaction.tenant().0, transaction.actor().to_string(), DeletionId::new());
    // In one order, so that two deletions at once do not wait for each other.
    let customers = sqlx::query_scalar!(
        "select id from customer
         where tenant_id = $1 and id in (select customer_id from access_grant where tenant_id = $1 and package_id = $2)
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
    let deleted_at = sqlx::query_scalar!(
        "insert into deletion (tenant_id, id, kind, subject, name, deleted_by, content)
         select p.tenant_id, $3, 'package', p.id, p.name, $4, json_build_object(
             'package', json_build_array(row_to_json(p))
           , 'version', (select coalesce(json_agg(row_to_json(v) order by v.id), '[]') from version v
                         where v.tenant_id = p.tenant_id and v.package_id = p.id)
           , 'version_reference', (select coalesce(json_agg(row_to_json(r) order by r.version_id, r.reference), '[]')
                                   from version_reference r
                                   join version v on v.tenant_id = r.tenant_id and v.id = r.version_id
                                   where v.tenant_id = p.tenant_id and v.package_id = p.id)
           , 'git_ref', (select coalesce(json_agg(row_to_json(r) order by r.name), '[]') from git_ref r
                         where r.tenant_id = p.tenant_id and r.package_id = p.id)
           , 'access_grant', (select coalesce(json_agg(row_to_json(g) order by g.created_at, g.id), '[]') from access_grant g
                              where g.tenant_id = p.tenant_id and g.package_id = p.id)
           , 'on', (select coalesce(json_object_agg(g.id, p.name), '{}') from access_grant g
                    where g.tenant_id = p.tenant_id and g.package_id = p.id))
         from package p where p.tenant_id = $1 and p.id = $2
         returning deleted_at",
        tenant,
        id.0,
        deletion.0,
        actor
    )
    .fetch_one(transaction.connection())
    .await?;
    sqlx::query!("delete from package where tenant_id = $1 and id = $2", tenant, id.0)
        .execute(transaction.connection())
        .await?;
    let way_back = WayBack { id: deletion, restorable_until: restorable_until(deleted_at) };
    Ok((way_back, customers.into_iter().map(CustomerId).collect()))
}
