//! The packages of a monorepo: known from earlier syncs, or made by this one as their folders are found.

use std::collections::BTreeMap;

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::Change;
use serde_json::json;

use super::batch::Batch;
use super::plan::Plan;
use super::{Run, SyncError};
use crate::domain::id::PackageId;
use crate::git::protocol::{self, Monorepo, SkipCode};
use crate::store::{TenantTransaction, monorepos, tenants, vendors};

/// One package, what was known of it, and what a sync finds of it.
pub(super) struct One {
    pub(super) id: PackageId,
    pub(super) plan: Plan,
    pub(super) batch: Batch,
}

impl One {
    pub(super) fn new(id: PackageId, plan: Plan) -> Self {
        Self { id, batch: Batch::new(&plan), plan }
    }
}

/// The packages that earlier syncs of `parent` have made, by name.
pub(super) async fn known(
    transaction: &mut TenantTransaction,
    parent: PackageId,
) -> Result<BTreeMap<String, (One, String)>, SyncError> {
    let mut known = BTreeMap::new();
    for child in monorepos::children(transaction, parent).await? {
        let plan = Plan::read(transaction, child.id).await?;
        known.insert(child.name, (One::new(child.id, plan), child.path));
    }
    Ok(known)
}

/// What the worker is told of them.
pub(super) async fn told(
    transaction: &mut TenantTransaction,
    (parent, plan): (PackageId, &Plan),
    children: &BTreeMap<String, (One, String)>,
) -> Result<Option<Monorepo>, SyncError> {
    let Some(patterns) = plan.package.monorepo.clone() else { return Ok(None) };
    let child = |(name, (one, path)): (&String, &(One, String))| protocol::Child {
        name: name.clone(),
        path: path.clone(),
        known: one.plan.known(),
    };
    let taken = monorepos::other_names(transaction, parent).await?;
    let vendors = vendors::list(transaction).await?;
    Ok(Some(Monorepo {
        patterns,
        tags: plan.package.tag_pattern.clone(),
        children: children.iter().map(child).collect(),
        taken: taken.into_iter().collect(),
        vendors: vendors.into_iter().map(|vendor| vendor.name.as_str().to_owned()).collect(),
    }))
}

impl Run<'_> {
    /// The default branch has a package in the folder `path`.
    pub(super) async fn member(&mut self, name: String, path: &str) -> Result<(), SyncError> {
        let mut transaction = super::begin(self.state, self.job).await?;
        if let Some((one, known)) = self.children.get_mut(&name) {
            if known != path {
                monorepos::moved(&mut transaction, one.id, path).await?;
                transaction.commit().await?;
                path.clone_into(known);
            }
            return Ok(());
        }
        let parsed = PackageName::parse(&name).map_err(|error| SyncError::Member(name.clone(), error.to_string()))?;
        let id = match monorepos::insert(&mut transaction, self.root.id, &parsed, path).await {
            Ok(id) => id,
            // Somebody took the name a moment ago.
            Err(error) if error.is_conflict("package_name_taken") => {
                drop(transaction);
                self.refused(path, format!("`{name}` is another package of this registry"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let tenant = transaction.tenant();
        transaction.changed(&Change::Package { tenant, name: parsed });
        tenants::directory_changed(&mut transaction).await?;
        let detail = json!({"parent": self.root.plan.package.name.as_str(), "path": path});
        transaction.audit("package.create", &name, detail);
        let plan = Plan::read(&mut transaction, id).await?;
        transaction.commit().await?;
        self.created.push(name.clone());
        self.children.insert(name, (One::new(id, plan), path.to_owned()));
        Ok(())
    }

    fn refused(&mut self, path: &str, reason: String) {
        self.root.batch.skip(protocol::Skipped {
            package: None,
            name: path.to_owned(),
            name_hex: None,
            oid: String::new(),
            code: SkipCode::Duplicate,
            reason,
        });
    }

    /// Where what was found of a package goes; none when the package was refused after all.
    pub(super) fn of(&mut self, package: Option<&str>) -> Option<&mut One> {
        match package {
            None => Some(&mut self.root),
            Some(name) => self.children.get_mut(name).map(|(one, _)| one),
        }
    }
}
