//! What was found and stored but is not visible yet, and what the whole run did.

use std::collections::{BTreeMap, BTreeSet};

use cargoman_composer::version::{self, Version as NormalizedVersion};
use cargoman_edge_protocol::Change;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::SyncError;
use super::plan::{self, Plan};
use crate::clock::now;
use crate::domain::id::PackageId;
use crate::domain::job::SyncResult;
use crate::git::protocol::{Kind, ListedRef, Skipped, Version};
use crate::store::publish::{self, FoundVersion, Published};
use crate::store::settled_refs::{self, SettledRef};
use crate::store::{StoreError, TenantTransaction, dists, package_syncs, packages, vendors};

/// Whether the package was still there.
pub(super) enum Outcome {
    Published,
    Gone,
}

pub(super) struct Batch {
    pub(super) default_branch: Option<String>,
    first_sync: bool,
    versions: Vec<Version>,
    settled: Vec<SettledRef>,
    /// Refs that do not have the package any more.
    absent: BTreeSet<String>,
    result: SyncResult,
    requires: BTreeSet<String>,
    seen: BTreeMap<String, SettledRef>,
}

impl Batch {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            default_branch: None,
            first_sync: !plan.package.synced_before,
            versions: Vec::new(),
            settled: Vec::new(),
            absent: BTreeSet::new(),
            result: SyncResult::default(),
            requires: BTreeSet::new(),
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn skip(&mut self, skipped: Skipped) {
        let code = serde_json::to_value(skipped.code).ok().and_then(|code| code.as_str().map(str::to_owned));
        self.settle(SettledRef {
            name: skipped.name,
            oid: skipped.oid,
            normalized: None,
            default_branch: false,
            skip_code: code,
            skip_reason: Some(skipped.reason),
        });
    }

    pub(super) fn add(&mut self, version: Version) {
        self.requires.extend(version.requires.iter().cloned());
        self.versions.push(version);
    }

    fn settle(&mut self, settled: SettledRef) {
        self.seen.insert(settled.name.clone(), settled.clone());
        self.settled.push(settled);
    }

    /// Versions that are stored and not visible yet.
    pub(super) fn waiting(&self) -> usize {
        self.versions.len()
    }

    /// Whether there is anything to write.
    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.settled.is_empty()
    }

    /// The package is not in a ref's tree any more.
    pub(super) fn absent(&mut self, name: String) {
        self.absent.insert(name);
    }

    /// What was written is visible now.
    pub(super) fn published(&mut self) {
        self.settled.clear();
    }

    /// Writes what is waiting. The caller commits.
    pub(super) async fn publish(
        &mut self,
        transaction: &mut TenantTransaction,
        id: PackageId,
        plan: &Plan,
    ) -> Result<Outcome, SyncError> {
        if !packages::touch(transaction, id).await? {
            return Ok(Outcome::Gone);
        }
        for version in std::mem::take(&mut self.versions) {
            self.publish_one(transaction, id, plan, version).await?;
        }
        settled_refs::settle_refs(transaction, id, &self.settled).await?;
        notify(transaction, plan).await?;
        Ok(Outcome::Published)
    }

    async fn publish_one(
        &mut self,
        transaction: &mut TenantTransaction,
        id: PackageId,
        plan: &Plan,
        found: Version,
    ) -> Result<(), SyncError> {
        let size = i64::try_from(found.dist.size).unwrap_or(i64::MAX);
        dists::insert(transaction, &found.dist.sha256, &found.dist.sha1, size).await?;
        let written = self.found_version(&found);
        let published = publish::version(transaction, id, plan.package.name.as_str(), &written).await?;
        let moved = format!(
            "the tag was moved to another commit after its release; {} keeps its first one, publish a new version instead",
            found.pretty
        );
        let uploaded =
            format!("{} was uploaded before, and the upload stays; publish a new version instead", found.pretty);
        match published {
            Published::Added => self.result.added.push(found.pretty),
            Published::Updated | Published::Replaced => self.result.updated.push(found.pretty),
            Published::Same | Published::Moved | Published::Uploaded => {}
        }
        if published == Published::Replaced {
            transaction.audit(
                "version.replaced",
                plan.package.name.as_str(),
                serde_json::json!({"ref": found.name, "commit": found.commit}),
            );
        }
        if published == Published::Moved {
            tracing::warn!(package = %plan.package.name, r#ref = found.name, "a tag was moved after its release: refused");
            transaction.audit(
                "version.move_refused",
                plan.package.name.as_str(),
                serde_json::json!({"ref": found.name, "commit": found.commit}),
            );
        }
        self.settle(SettledRef {
            name: found.name,
            oid: found.oid,
            normalized: Some(found.normalized),
            default_branch: found.default_branch,
            skip_code: None,
            skip_reason: match published {
                Published::Moved => Some(moved),
                Published::Uploaded => Some(uploaded),
                _ => None,
            },
        });
        Ok(())
    }

    fn found_version(&self, found: &Version) -> FoundVersion {
        FoundVersion {
            normalized: found.normalized.clone(),
            pretty: found.pretty.clone(),
            stability: found.stability.clone(),
            branch: found.kind == Kind::Branch,
            ref_name: found.name.clone(),
            default_branch: found.default_branch,
            aliases: aliases(found),
            metadata: Value::Object(found.metadata.clone()),
            reference: found.commit.clone(),
            published_at: published_at(found, self.first_sync, now()),
            dist_sha256: found.dist.sha256.clone(),
        }
    }

    /// Takes away what is gone and notes that the sync is whole. The caller commits. A package that is `alone` must have versions.
    pub(super) async fn complete(
        mut self,
        transaction: &mut TenantTransaction,
        id: PackageId,
        plan: &Plan,
        (refs, digest): (&[ListedRef], &str),
        alone: bool,
    ) -> Result<SyncResult, SyncError> {
        if !packages::touch(transaction, id).await? {
            return Err(SyncError::Gone);
        }
        let there = refs.iter().map(|listed| listed.name.as_str()).filter(|name| !self.absent.contains(*name));
        let listed: BTreeSet<&str> = there.collect();
        // A branch that is gone takes its version along, unless another branch gives it now (`1.x` renamed to `v1.x`); a tag's
        // version stays, for the locks that hold it.
        let given: BTreeSet<&str> = self.seen.values().filter_map(|one| one.normalized.as_deref()).collect();
        for (normalized, standing) in &plan.standing {
            let gone = !standing.uploaded && !listed.contains(standing.ref_name.as_str());
            if !gone || given.contains(normalized.as_str()) {
                continue;
            }
            if standing.branch || plan.package.deleted_tags == "remove" {
                publish::remove(transaction, standing.id).await?;
                self.result.removed.push(standing.pretty.clone());
            } else if !standing.gone {
                publish::tag_gone(transaction, standing.id).await?;
                transaction.audit(
                    "version.tag_gone",
                    plan.package.name.as_str(),
                    serde_json::json!({"version": standing.pretty}),
                );
            }
        }
        let keep: Vec<String> = listed.iter().map(|name| (*name).to_owned()).chain(self.seen.keys().cloned()).collect();
        settled_refs::forget_other_refs(transaction, id, &keep).await?;
        package_syncs::synced(
            transaction,
            id,
            self.default_branch.as_deref(),
            Some((digest, plan.package.rereads)),
            now(),
        )
        .await?;
        notify(transaction, plan).await?;
        self.result.skipped = plan::skipped(&settled_refs::settled_refs(transaction, id).await?);
        // A package that never had a version and gets none now is of no use to anyone: say so loudly.
        if alone && plan.standing.is_empty() && self.result.added.is_empty() {
            return Err(SyncError::nothing(self.result, self.default_branch.as_deref()));
        }
        self.result.missing_requirements = self.missing_requirements(transaction).await?;
        Ok(self.result)
    }

    /// Names under the tenant's own vendors that are required but neither here nor public: whoever installs will miss them.
    async fn missing_requirements(&self, transaction: &mut TenantTransaction) -> Result<Vec<String>, StoreError> {
        let vendors = vendors::list(transaction).await?;
        let own = |name: &str| {
            let vendor = vendors.iter().find(|vendor| name.split('/').next() == Some(vendor.name.as_str()));
            vendor.is_some_and(|vendor| vendor.exclusive && !vendor.public_names.iter().any(|public| public == name))
        };
        let wanted: Vec<String> = self.requires.iter().filter(|name| own(name)).cloned().collect();
        let here = packages::existing(transaction, &wanted).await?;
        Ok(wanted.into_iter().filter(|name| !here.contains(name)).collect())
    }
}

async fn notify(transaction: &mut TenantTransaction, plan: &Plan) -> Result<(), StoreError> {
    let tenant = transaction.tenant();
    transaction.changed(&Change::Package { tenant, name: plan.package.name.clone() });
    Ok(())
}

/// On a package's very first sync the tag's or commit's own date, never in the future; afterwards the time of first sight, so
/// that nobody dates himself into a licence window.
fn published_at(found: &Version, first_sync: bool, now: DateTime<Utc>) -> DateTime<Utc> {
    let dated = found.tagged_at.as_deref().unwrap_or(&found.time);
    match DateTime::parse_from_rfc3339(dated) {
        Ok(at) if first_sync => at.to_utc().min(now),
        _ => now,
    }
}

fn aliases(found: &Version) -> Vec<String> {
    let normalized = NormalizedVersion::from_normalized(&found.normalized);
    let extra = found.metadata.get("extra").unwrap_or(&Value::Null);
    let alias = version::branch_alias(extra, &normalized, &found.pretty, found.default_branch);
    alias.map(|alias| alias.normalized().to_owned()).into_iter().collect()
}
