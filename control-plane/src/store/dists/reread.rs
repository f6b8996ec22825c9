//! Has a dist made anew from its repository: the next sync treats the refs that give it as if it had never seen them.

use cargoman_credential::Digest;

use crate::domain::id::PackageId;
use crate::domain::job::{Priority, SYNC_PACKAGE};
use crate::store::{StoreError, TenantTransaction, jobs};

/// Forgets what the last syncs made of the refs whose versions show this dist, and asks for a sync of their packages, or of the ones that
/// make them; their names.
/// What was uploaded, and earlier commits of branches, no ref gives again.
///
/// # Errors
/// When the database refuses.
pub async fn reread(transaction: &mut TenantTransaction, sha256: Digest) -> Result<Vec<String>, StoreError> {
    let tenant = transaction.tenant().0;
    let packages = sqlx::query!(
        "with shown as (
             select v.package_id, v.normalized from version_reference r
             join version v on v.tenant_id = r.tenant_id and v.id = r.version_id and v.reference = r.reference and v.kind <> 'upload'
             where r.tenant_id = $1 and r.dist_sha256 = $2
         ), forgotten as (
             delete from git_ref g using shown s where g.tenant_id = $1 and g.package_id = s.package_id and g.normalized = s.normalized
         )
         update package p set refs_digest = null, rereads = coalesce(rereads, 0) + 1
         where p.tenant_id = $1 and p.repository_url is not null
           and p.id in (select coalesce(c.parent_id, c.id) from package c join shown s on s.package_id = c.id where c.tenant_id = $1)
         returning p.id, p.name",
        tenant,
        sha256.to_hex()
    )
    .fetch_all(transaction.connection())
    .await?;
    let mut names = Vec::with_capacity(packages.len());
    for package in packages {
        jobs::enqueue(transaction, SYNC_PACKAGE, PackageId(package.id), Priority::Again).await?;
        names.push(package.name);
    }
    Ok(names)
}
