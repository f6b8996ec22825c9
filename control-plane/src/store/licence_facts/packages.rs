//! Packages and their versions, without what only Composer reads of them.

use cargoman_composer::name::PackageName;
use cargoman_composer::version::Version as NormalizedVersion;
use cargoman_licence::VersionFacts;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Facts;
use crate::store::StoreError;

/// A package with its versions, as far as rules look at them.
#[derive(Debug, Clone, PartialEq)]
pub struct PackageFacts {
    /// Its name.
    pub name: PackageName,
    /// Newest first.
    pub versions: Vec<StoredVersion>,
}

/// One version with all its references.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredVersion {
    /// Normalized.
    pub version: NormalizedVersion,
    /// As its author writes it.
    pub pretty: String,
    /// Further normalized names it goes by.
    pub aliases: Vec<NormalizedVersion>,
    /// The current one first, then the earlier ones of a branch, newest first.
    pub references: Vec<ReferenceFacts>,
    /// Whether it was taken out of metadata.
    pub yanked: bool,
    /// Set when it was taken down: why.
    pub taken_down: Option<String>,
}

/// One reference of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceFacts {
    /// The commit.
    pub reference: String,
    /// When this registry first saw it.
    pub published_at: DateTime<Utc>,
    /// Whether it stands in metadata; earlier ones of a branch can only be installed.
    pub current: bool,
}

impl PackageFacts {
    /// Everything that can be seen or installed of it: each version with each of its references.
    pub fn facts(&self) -> impl Iterator<Item = (&StoredVersion, &ReferenceFacts, VersionFacts<'_>)> {
        self.versions.iter().flat_map(|version| {
            version.references.iter().map(move |reference| (version, reference, version.facts(reference)))
        })
    }
}

impl StoredVersion {
    /// What the rules are asked about this version at one of its references.
    #[must_use]
    pub fn facts<'a>(&'a self, reference: &'a ReferenceFacts) -> VersionFacts<'a> {
        VersionFacts {
            version: &self.version,
            aliases: &self.aliases,
            reference: &reference.reference,
            published_at: reference.published_at,
            yanked: self.yanked,
            taken_down: self.taken_down.as_deref(),
        }
    }
}

impl Facts<'_> {
    /// These packages by name, with their versions; what is no package or has no version is left out.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn packages(&mut self, names: &[PackageName]) -> Result<Vec<PackageFacts>, StoreError> {
        let names: Vec<String> = names.iter().map(|name| name.as_str().to_owned()).collect();
        let rows = sqlx::query!(
            r#"select p.name, v.id, v.normalized, v.pretty, v.aliases, v.yanked_at, v.taken_down_at, v.taken_down_reason
                    , r.reference, r.published_at, r.reference = v.reference as "current!"
               from package p
               join version v on v.tenant_id = p.tenant_id and v.package_id = p.id and v.held_at is null
               join version_reference r on r.tenant_id = v.tenant_id and r.version_id = v.id
               where p.tenant_id = $1 and p.name = any($2)
               order by p.name, v.id, r.reference = v.reference desc, r.published_at desc, r.reference"#,
            self.tenant.0,
            &names
        )
        .fetch_all(&mut *self.connection)
        .await?;
        let mut packages: Vec<PackageFacts> = Vec::new();
        let mut last: Option<Uuid> = None;
        for row in rows {
            if packages.last().is_none_or(|package| package.name.as_str() != row.name) {
                let name = row.name.parse().map_err(|error| StoreError::inconsistent("package", error))?;
                packages.push(PackageFacts { name, versions: Vec::new() });
            }
            let Some(package) = packages.last_mut() else { continue };
            if last.replace(row.id) != Some(row.id) {
                package.versions.push(StoredVersion {
                    version: NormalizedVersion::from_normalized(&row.normalized),
                    pretty: row.pretty,
                    aliases: row.aliases.iter().map(|alias| NormalizedVersion::from_normalized(alias)).collect(),
                    references: Vec::new(),
                    yanked: row.yanked_at.is_some(),
                    taken_down: row.taken_down_at.map(|_| row.taken_down_reason.unwrap_or_default()),
                });
            }
            if let Some(version) = package.versions.last_mut() {
                version.references.push(ReferenceFacts {
                    reference: row.reference,
                    published_at: row.published_at,
                    current: row.current,
                });
            }
        }
        for package in &mut packages {
            package.versions.sort_by(|a, b| b.version.cmp(&a.version));
        }
        Ok(packages)
    }

    /// The names of all packages of the tenant, in order.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn directory(&mut self) -> Result<Vec<PackageName>, StoreError> {
        let names = sqlx::query_scalar!("select name from package where tenant_id = $1", self.tenant.0)
            .fetch_all(&mut *self.connection)
            .await?;
        let names = names.iter().map(|name| name.parse()).collect::<Result<Vec<PackageName>, _>>();
        let mut names = names.map_err(|error| StoreError::inconsistent("package", error))?;
        // The order of names, which is not that of the database's language.
        names.sort_unstable();
        Ok(names)
    }
}
