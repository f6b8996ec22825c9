//! The facts that licence rules decide upon, as the database holds them. Answers to edges, explanations, previews and freezes
//! read them here and nowhere else: they can then not come to different ends. It must never decide anything itself.

mod concerned;
mod customers;
mod packages;
mod tokens;

use std::collections::HashMap;

use cargoman_composer::stability::Stability;
use cargoman_edge_protocol::TenantId;
use cargoman_licence::{Collection, PackageGlob, TenantPolicy};
use sqlx::PgConnection;
use uuid::Uuid;

pub use concerned::concerned_packages;
pub use packages::{PackageFacts, ReferenceFacts, StoredVersion};

use crate::domain::id::CollectionId;
use crate::domain::tenant::Settings;
use crate::store::{StoreError, TenantTransaction};

/// Collections by their id, as the rules look them up: `&|id| collections.get(id)`.
pub type Collections = HashMap<cargoman_licence::CollectionId, Collection>;

/// Reads the facts of one tenant.
#[derive(Debug)]
pub struct Facts<'c> {
    connection: &'c mut PgConnection,
    tenant: TenantId,
}

impl TenantTransaction {
    /// The facts that licence rules decide upon, as this transaction sees them: with what it wrote.
    pub fn facts(&mut self) -> Facts<'_> {
        let tenant = self.tenant();
        Facts { connection: self.connection(), tenant }
    }
}

impl<'c> Facts<'c> {
    /// The facts of `tenant` over any connection that may see them.
    pub(super) fn of(connection: &'c mut PgConnection, tenant: TenantId) -> Self {
        Self { connection, tenant }
    }

    /// What the tenant chose for all his customers.
    ///
    /// # Errors
    /// When the tenant is gone, the database refuses or the stored choices cannot be read.
    pub async fn policy(&mut self) -> Result<TenantPolicy, StoreError> {
        let settings = sqlx::query_scalar!("select settings from tenant where id = $1", self.tenant.0)
            .fetch_one(&mut *self.connection)
            .await?;
        let settings: Settings =
            serde_json::from_value(settings).map_err(|error| StoreError::inconsistent("tenant", error))?;
        Ok(settings.policy())
    }

    /// Every collection of the tenant.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn collections(&mut self) -> Result<Collections, StoreError> {
        let rows = sqlx::query_as!(
            CollectionRow,
            "select id, packages, version_constraint, minimum_stability from collection where tenant_id = $1",
            self.tenant.0
        )
        .fetch_all(&mut *self.connection)
        .await?;
        rows.into_iter()
            .map(|row| {
                let collection = row.collection()?;
                Ok((collection.id.clone(), collection))
            })
            .collect()
    }

    /// One collection.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn collection(&mut self, id: CollectionId) -> Result<Option<Collection>, StoreError> {
        let row = sqlx::query_as!(
            CollectionRow,
            "select id, packages, version_constraint, minimum_stability from collection where tenant_id = $1 and id = $2",
            self.tenant.0,
            id.0
        )
        .fetch_optional(&mut *self.connection)
        .await?;
        row.map(CollectionRow::collection).transpose()
    }
}

struct CollectionRow {
    id: Uuid,
    packages: Vec<String>,
    version_constraint: Option<String>,
    minimum_stability: Option<String>,
}

impl CollectionRow {
    fn collection(self) -> Result<Collection, StoreError> {
        let constraint = self.version_constraint.as_deref().map(str::parse).transpose();
        Ok(Collection {
            id: CollectionId(self.id).into(),
            packages: globs(&self.packages, "collection")?.into(),
            constraint: constraint.map_err(|error| StoreError::inconsistent("collection", error))?,
            minimum_stability: stability(self.minimum_stability.as_deref(), "collection")?,
        })
    }
}

fn stability(text: Option<&str>, table: &'static str) -> Result<Option<Stability>, StoreError> {
    text.map(str::parse).transpose().map_err(|error| StoreError::inconsistent(table, error))
}

fn globs(texts: &[String], table: &'static str) -> Result<Vec<PackageGlob>, StoreError> {
    let globs = texts.iter().map(|text| PackageGlob::parse(text)).collect::<Result<_, _>>();
    globs.map_err(|error| StoreError::inconsistent(table, error))
}
