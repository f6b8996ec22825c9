//! Adds a package: the same for whoever adds it, an operator or a group at a forge. Decides what else is true from then on; must never
//! decide whether it may be added.

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::Change;
use serde_json::json;

use crate::domain::id::{JobId, PackageId};
use crate::domain::job::{Priority, SYNC_PACKAGE};
use crate::store::packages::{self, PackageFields};
use crate::store::{StoreError, TenantTransaction, jobs, tenants, vendors};

/// Adds a package and asks for its first sync. Conflicts with `package_name_taken`.
///
/// # Errors
/// When the name is taken or the database refuses.
pub(crate) async fn add(
    transaction: &mut TenantTransaction,
    name: &PackageName,
    wanted: &PackageFields,
    priority: Priority,
) -> Result<(PackageId, Option<JobId>), StoreError> {
    let id = packages::insert(transaction, name, wanted).await?;
    if !wanted.fork {
        claim_vendor(transaction, name).await?;
    }
    tenants::directory_changed(transaction).await?;
    let task = match wanted.repository_url {
        Some(_) => Some(jobs::enqueue(transaction, SYNC_PACKAGE, id, priority).await?),
        None => None,
    };
    packages::touch(transaction, id).await?;
    let tenant = transaction.tenant();
    transaction.changed(&Change::Package { tenant, name: name.clone() });
    let detail = json!({
        "type": wanted.repository_type,
        "repository_url": wanted.repository_url,
        "credential": wanted.credential,
    });
    transaction.audit("package.create", name.as_str(), detail);
    Ok((id, task))
}

/// A vendor becomes the tenant's own with the first package under it that is no fork.
///
/// # Errors
/// When the database refuses.
pub(crate) async fn claim_vendor(transaction: &mut TenantTransaction, name: &PackageName) -> Result<(), StoreError> {
    if vendors::claim(transaction, name.vendor()).await? {
        tenants::touch(transaction).await?;
        let tenant = transaction.tenant();
        transaction.changed(&Change::Tenant { tenant });
    }
    Ok(())
}
