//! REST resources under `/api/v1`, one file each.

pub(crate) mod audit;
pub(crate) mod collections;
pub(crate) mod credentials;
pub(crate) mod customers;
pub(crate) mod deletions;
pub(crate) mod edges;
pub(crate) mod explain;
pub(crate) mod forge_groups;
pub(crate) mod git_credentials;
pub(crate) mod github_app;
pub(crate) mod hooks;
pub(crate) mod me;
pub(crate) mod packages;
pub(crate) mod preview;
pub(crate) mod propagation;
pub(crate) mod settings;
pub(crate) mod stats;
pub(crate) mod sync;
pub(crate) mod tasks;
pub(crate) mod tenants;
pub(crate) mod vendors;

use std::str::FromStr;

use cargoman_composer::name::PackageName;

use crate::domain::package::Package;
use crate::error::ApiError;
use crate::store::{TenantTransaction, packages as store};

/// An id in a path; one that is malformed is like one that does not exist.
fn id<T: FromStr>(text: &str, what: &'static str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::NotFound(what))
}

fn package_name(vendor: &str, name: &str) -> Result<PackageName, ApiError> {
    PackageName::parse_lowercasing(&format!("{vendor}/{name}")).map_err(|_| ApiError::NotFound("package"))
}

/// The package that a path names.
async fn package(
    transaction: &mut TenantTransaction,
    vendor: &str,
    name: &str,
) -> Result<(PackageName, Package), ApiError> {
    let name = package_name(vendor, name)?;
    let package = store::find(transaction, &name).await?.ok_or(ApiError::NotFound("package"))?;
    Ok((name, package))
}

/// The same for whoever will write: no other writer comes between.
async fn lock_package(
    transaction: &mut TenantTransaction,
    vendor: &str,
    name: &str,
) -> Result<(PackageName, Package), ApiError> {
    let name = package_name(vendor, name)?;
    let package = store::lock(transaction, &name).await?.ok_or(ApiError::NotFound("package"))?;
    Ok((name, package))
}
