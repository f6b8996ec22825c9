//! Reads a grant as an operator wrote it, and finds what it is on. Everything wrong is said at its field.

use std::collections::HashMap;

use cargoman_composer::name::PackageName;
use chrono::{DateTime, Utc};

use crate::domain::access;
use crate::domain::grant::{Grant, GrantFields, GrantTarget};
use crate::domain::id::{CollectionId, PackageId};
use crate::domain::text::is_slug;
use crate::error::ApiError;
use crate::http::fields::{Fields, Patch};
use crate::store::TenantTransaction;
use crate::store::grants as store;

/// What a grant is to be on, by name.
#[derive(Debug, Clone)]
pub(super) enum On {
    /// A package.
    Package(PackageName),
    /// A collection, by its slug.
    Collection(String),
}

/// What a grant says besides.
#[derive(Debug, Clone)]
pub(super) struct Words {
    constraint: Patch<String>,
    minimum_stability: Patch<String>,
    updates_until: Patch<DateTime<Utc>>,
    pub(super) external_id: Patch<String>,
}

/// A whole grant as written.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) on: On,
    pub(super) words: Words,
}

const NEEDED: &str =
    "is required: the name of a package, `vendor/name`; or give `collection`, the slug of a collection";

impl On {
    /// Reads `package` or `collection`; none when neither is given or something is wrong, which is then noted.
    pub(super) fn read(fields: &mut Fields) -> Option<Self> {
        let package = fields.string("package", |text| PackageName::parse_lowercasing(text).map_err(|e| e.to_string()));
        let collection = fields.string("collection", |text| match is_slug(text) {
            true => Ok(text.to_owned()),
            false => Err("must be the slug of a collection: lower-case letters, digits and inner hyphens"),
        });
        match (package.value(), collection.value()) {
            (Some(_), Some(_)) => {
                fields.refuse("collection", "must not stand beside `package`: a grant is on one of them");
                None
            }
            (Some(package), None) => Some(Self::Package(package)),
            (None, Some(collection)) => Some(Self::Collection(collection)),
            (None, None) => None,
        }
    }

    /// The same where one of them must be given.
    pub(super) fn required(fields: &mut Fields) -> Option<Self> {
        let given = fields.is_set("package") || fields.is_set("collection");
        let on = Self::read(fields);
        if !given {
            fields.refuse("package", NEEDED);
        }
        on
    }

    /// What is missing where one of them must be given.
    pub(super) fn missing() -> ApiError {
        ApiError::field("package", NEEDED)
    }
}

impl Words {
    pub(super) fn read(fields: &mut Fields) -> Self {
        Self {
            constraint: fields.string("constraint", access::constraint),
            minimum_stability: fields.stability("minimum_stability"),
            updates_until: fields.instant("updates_until"),
            external_id: fields.line("external_id", 255),
        }
    }

    /// The grant that comes of it; what is not mentioned stays as it was before.
    pub(super) fn over(self, target: GrantTarget, before: Option<&Grant>) -> GrantFields {
        let constraint = self.constraint.over(before.map(|grant| grant.constraint.clone()));
        GrantFields {
            target,
            constraint: constraint.unwrap_or_else(|| "*".to_owned()),
            minimum_stability: self.minimum_stability.over(before.and_then(|grant| grant.minimum_stability.clone())),
            updates_until: self.updates_until.over(before.and_then(|grant| grant.updates_until)),
            external_id: self.external_id.over(before.and_then(|grant| grant.external_id.clone())),
        }
    }
}

impl Wanted {
    pub(super) fn read(mut fields: Fields) -> Result<Self, ApiError> {
        let on = On::required(&mut fields);
        let words = Words::read(&mut fields);
        fields.finish()?;
        Ok(Self { on: on.ok_or_else(On::missing)?, words })
    }
}

/// The packages and collections of a request, found by name. They stay until the end of the transaction. They are locked before
/// customers, everywhere.
#[derive(Debug)]
pub(super) struct Found {
    packages: HashMap<String, PackageId>,
    collections: HashMap<String, CollectionId>,
}

impl Found {
    pub(super) async fn of(transaction: &mut TenantTransaction, all: &[&On]) -> Result<Self, ApiError> {
        let (mut packages, mut collections) = (Vec::new(), Vec::new());
        for on in all {
            match on {
                On::Package(name) => packages.push(name.as_str().to_owned()),
                On::Collection(slug) => collections.push(slug.clone()),
            }
        }
        Ok(Self {
            packages: store::keep_packages(transaction, &packages).await?,
            collections: store::keep_collections(transaction, &collections).await?,
        })
    }

    /// What `on` names; `prefix` goes before the field that is at fault.
    pub(super) fn target(&self, prefix: &str, on: &On) -> Result<GrantTarget, ApiError> {
        match on {
            On::Package(name) => self.packages.get(name.as_str()).copied().map(GrantTarget::Package).ok_or_else(|| {
                ApiError::field(format!("{prefix}package"), format!("there is no package `{name}`; add it first"))
            }),
            On::Collection(slug) => self.collections.get(slug).copied().map(GrantTarget::Collection).ok_or_else(|| {
                ApiError::field(format!("{prefix}collection"), format!("there is no collection `{slug}`; add it first"))
            }),
        }
    }
}

/// What one grant is on.
pub(super) async fn resolve(
    transaction: &mut TenantTransaction,
    prefix: &str,
    on: &On,
) -> Result<GrantTarget, ApiError> {
    Found::of(transaction, &[on]).await?.target(prefix, on)
}
