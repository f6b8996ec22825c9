//! Every dist that there is, and who needs it: for those who go through the storage.

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;

use crate::store::{StoreError, System};

/// A dist that is said to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DistRow {
    /// Whose.
    pub tenant: TenantId,
    /// Its digest.
    pub sha256: Digest,
    /// In bytes.
    pub size: u64,
}

/// A version that needs a dist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Short name of the tenant.
    pub tenant: String,
    /// The package.
    pub package: String,
    /// The version, as written.
    pub version: String,
    /// Whether it was uploaded: then no repository has it.
    pub uploaded: bool,
    /// Whether the version shows it now; else it is an earlier commit of a branch.
    pub current: bool,
}

impl System {
    /// How many dists there are, and their bytes.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_dists(&self) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query!(r#"select count(*) as "count!", coalesce(sum(size), 0)::bigint as "bytes!" from dist"#)
            .fetch_one(&self.pool)
            .await?;
        Ok((u64::try_from(row.count).unwrap_or_default(), u64::try_from(row.bytes).unwrap_or_default()))
    }

    /// Dists of all tenants, after the last of the page before.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn all_dists(&self, after: Option<DistRow>, limit: i64) -> Result<Vec<DistRow>, StoreError> {
        let (tenant, sha256) = after.map(|last| (last.tenant.0, last.sha256.to_hex())).unwrap_or_default();
        let rows = sqlx::query!(
            "select tenant_id, sha256, size from dist where (tenant_id, sha256) > ($1, $2) order by tenant_id, sha256 limit $3",
            tenant,
            sha256,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let wrong = |error: &dyn std::fmt::Display| StoreError::inconsistent("dist", error);
                let sha256 =
                    row.sha256.parse().map_err(|error: cargoman_credential::ParseDigestError| wrong(&error))?;
                let size = u64::try_from(row.size).map_err(|error| wrong(&error))?;
                Ok(DistRow { tenant: TenantId(row.tenant_id), sha256, size })
            })
            .collect()
    }

    /// Who needs a dist, by package and version.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn users_of_dist(&self, tenant: TenantId, sha256: Digest) -> Result<Vec<User>, StoreError> {
        let rows = sqlx::query!(
            r#"select t.slug, p.name, v.pretty, v.kind = 'upload' as "uploaded!", v.reference = r.reference as "current!"
               from version_reference r
               join version v on v.tenant_id = r.tenant_id and v.id = r.version_id
               join package p on p.tenant_id = v.tenant_id and p.id = v.package_id
               join tenant t on t.id = r.tenant_id
               where r.tenant_id = $1 and r.dist_sha256 = $2 order by p.name, v.normalized, r.reference"#,
            tenant.0,
            sha256.to_hex()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| User {
                tenant: row.slug,
                package: row.name,
                version: row.pretty,
                uploaded: row.uploaded,
                current: row.current,
            })
            .collect())
    }
}
