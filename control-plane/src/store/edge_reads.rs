//! What edges read. For each fact the revision is read first and what it stands for afterwards: at worst a reader holds newer
//! facts under an older number and reads once more, never the reverse.

use cargoman_composer::version::Version as NormalizedVersion;
use cargoman_credential::Digest;
use cargoman_edge_protocol::{
    Abandoned, Access, Collection, Directory, Dist, Package, PastReference, Revision, Source, Tenant, TenantId, Vendor,
    Version,
};
use cargoman_licence::TenantPolicy;
use sqlx::types::Json;
use std::collections::HashMap;
use uuid::Uuid;

use crate::domain;
use crate::domain::id::CollectionId;
use crate::store::licence_facts::Facts;
use crate::store::{StoreError, System};

/// A fact with its revision, or only the news that the reader's revision still holds.
#[derive(Debug)]
pub enum Fact<T> {
    /// The reader's revision still holds.
    Unchanged,
    /// The fact.
    Found(Revision, T),
}

impl System {
    /// What an edge knows of a tenant, but for its address, which is configuration.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn edge_tenant(
        &self,
        tenant: TenantId,
        known: Option<Revision>,
        canonical_url: impl FnOnce(&str, bool) -> String,
    ) -> Result<Option<Fact<Tenant>>, StoreError> {
        let row = sqlx::query!(
            "select slug, is_default, status, status_reason, settings, revision from tenant where id = $1",
            tenant.0
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let revision = Revision(row.revision);
        if known == Some(revision) {
            return Ok(Some(Fact::Unchanged));
        }
        let settings: domain::tenant::Settings =
            serde_json::from_value(row.settings).map_err(|error| StoreError::inconsistent("tenant", error))?;
        let vendors = self.edge_vendors(tenant).await?;
        let suspended = (row.status == "suspended")
            .then(|| row.status_reason.unwrap_or_else(|| "This registry is suspended.".to_owned()));
        Ok(Some(Fact::Found(
            revision,
            Tenant {
                id: tenant,
                canonical_url: canonical_url(&row.slug, row.is_default),
                slug: row.slug,
                suspended,
                vendors,
                source: settings.source,
                policy: settings.policy(),
                messages: settings.words(),
                outage: settings.outage,
                dist_redirects: settings.dist_redirects,
            },
        )))
    }

    async fn edge_vendors(&self, tenant: TenantId) -> Result<Vec<Vendor>, StoreError> {
        let rows = sqlx::query!(
            "select name, exclusive, public_names from vendor where tenant_id = $1 order by name",
            tenant.0
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let wrong = |error| StoreError::inconsistent("vendor", error);
                let public_names = row.public_names.iter().map(|name| name.parse().map_err(wrong));
                Ok(Vendor {
                    name: row.name.parse().map_err(wrong)?,
                    exclusive: row.exclusive,
                    public_names: public_names.collect::<Result<_, _>>()?,
                })
            })
            .collect()
    }

    /// What the bearer of a token may do.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn edge_access(
        &self,
        tenant: TenantId,
        digest: Digest,
        known: Option<Revision>,
    ) -> Result<Option<Fact<Access>>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let mut facts = Facts::of(&mut connection, tenant);
        let Some(token) = facts.token_of_digest(digest).await? else { return Ok(None) };
        let revision = token.revision;
        if known == Some(revision) {
            return Ok(Some(Fact::Unchanged));
        }
        let access = facts.with_customer(token, TenantPolicy::default()).await?;
        Ok(access.map(|access| Fact::Found(revision, access)))
    }

    /// One package with all its versions, newest first.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn edge_package(
        &self,
        tenant: TenantId,
        name: &cargoman_composer::name::PackageName,
        known: Option<Revision>,
    ) -> Result<Option<Fact<Package>>, StoreError> {
        let row = sqlx::query!(
            "select id, abandoned, replacement, repository_url, source, revision from package where tenant_id = $1 and name = $2",
            tenant.0,
            name.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let revision = Revision(row.revision);
        if known == Some(revision) {
            return Ok(Some(Fact::Unchanged));
        }
        let package = Package {
            name: name.clone(),
            abandoned: row.abandoned.then_some(Abandoned { replacement: row.replacement }),
            source_url: row.repository_url,
            source: row.source.as_deref().map(source).transpose()?,
            versions: self.edge_versions(tenant, row.id).await?,
        };
        Ok(Some(Fact::Found(revision, package)))
    }

    /// One collection.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn edge_collection(
        &self,
        tenant: TenantId,
        id: CollectionId,
        known: Option<Revision>,
    ) -> Result<Option<Fact<Collection>>, StoreError> {
        let row =
            sqlx::query_scalar!("select revision from collection where tenant_id = $1 and id = $2", tenant.0, id.0);
        let Some(revision) = row.fetch_optional(&self.pool).await?.map(Revision) else { return Ok(None) };
        if known == Some(revision) {
            return Ok(Some(Fact::Unchanged));
        }
        let mut connection = self.pool.acquire().await?;
        let collection = Facts::of(&mut connection, tenant).collection(id).await?;
        Ok(collection.map(|collection| Fact::Found(revision, collection)))
    }

    /// The names of all packages.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn edge_directory(
        &self,
        tenant: TenantId,
        known: Option<Revision>,
    ) -> Result<Option<Fact<Directory>>, StoreError> {
        let row = sqlx::query_scalar!("select directory_revision from tenant where id = $1", tenant.0);
        let Some(revision) = row.fetch_optional(&self.pool).await?.map(Revision) else { return Ok(None) };
        if known == Some(revision) {
            return Ok(Some(Fact::Unchanged));
        }
        let mut connection = self.pool.acquire().await?;
        let packages = Facts::of(&mut connection, tenant).directory().await?;
        Ok(Some(Fact::Found(revision, Directory { packages })))
    }

    async fn edge_versions(&self, tenant: TenantId, package: Uuid) -> Result<Vec<Version>, StoreError> {
        let mut past = self.edge_past_references(tenant, package).await?;
        let rows = sqlx::query!(
            r#"select v.id, v.normalized, v.aliases, v.yanked_at, v.taken_down_at, v.taken_down_reason, v.deprecated_at, v.replacement
                  , v.reference, v.metadata as "metadata: Json<Box<serde_json::value::RawValue>>"
                  , r.published_at, d.sha256, d.sha1, d.size
             from version v
             join version_reference r on r.tenant_id = v.tenant_id and r.version_id = v.id and r.reference = v.reference
             join dist d on d.tenant_id = r.tenant_id and d.sha256 = r.dist_sha256
             where v.tenant_id = $1 and v.package_id = $2 and v.held_at is null"#,
            tenant.0,
            package
        )
        .fetch_all(&self.pool)
        .await?;
        let mut versions = Vec::with_capacity(rows.len());
        for row in rows {
            versions.push(Version {
                version: NormalizedVersion::from_normalized(&row.normalized),
                aliases: row.aliases.iter().map(|alias| NormalizedVersion::from_normalized(alias)).collect(),
                published_at: row.published_at,
                yanked: row.yanked_at.is_some(),
                taken_down: row.taken_down_at.map(|_| row.taken_down_reason.unwrap_or_default()),
                deprecated: row.deprecated_at.map(|_| Abandoned { replacement: row.replacement }),
                reference: row.reference,
                dist: dist(&row.sha256, row.sha1, row.size)?,
                metadata: row.metadata.0.into(),
                past: past.remove(&row.id).unwrap_or_default(),
            });
        }
        versions.sort_by(|a, b| b.version.cmp(&a.version));
        Ok(versions)
    }

    async fn edge_past_references(
        &self,
        tenant: TenantId,
        package: Uuid,
    ) -> Result<HashMap<Uuid, Vec<PastReference>>, StoreError> {
        let rows = sqlx::query!(
            "select v.id, r.reference, r.published_at, d.sha256, d.sha1, d.size
             from version v
             join version_reference r on r.tenant_id = v.tenant_id and r.version_id = v.id and r.reference <> v.reference
             join dist d on d.tenant_id = r.tenant_id and d.sha256 = r.dist_sha256
             where v.tenant_id = $1 and v.package_id = $2 order by r.published_at desc",
            tenant.0,
            package
        )
        .fetch_all(&self.pool)
        .await?;
        let mut past: HashMap<Uuid, Vec<PastReference>> = HashMap::new();
        for row in rows {
            past.entry(row.id).or_default().push(PastReference {
                reference: row.reference,
                published_at: row.published_at,
                dist: dist(&row.sha256, row.sha1, row.size)?,
            });
        }
        Ok(past)
    }
}

fn dist(sha256: &str, sha1: String, size: i64) -> Result<Dist, StoreError> {
    Ok(Dist {
        sha256: sha256.parse().map_err(|error| StoreError::inconsistent("dist", error))?,
        sha1,
        size: u64::try_from(size).map_err(|error| StoreError::inconsistent("dist", error))?,
    })
}

fn source(text: &str) -> Result<Source, StoreError> {
    domain::tenant::source(text).map_err(|error| StoreError::inconsistent("package", error))
}
