//! Tenants. Made and listed across tenants; their settings are their own.

use cargoman_edge_protocol::{Change, TenantId};
use uuid::Uuid;

use crate::domain::tenant::{Settings, Tenant};
use crate::store::{Actor, Page, StoreError, System, TenantTransaction, Written};

struct Row {
    id: Uuid,
    slug: String,
    name: String,
    is_default: bool,
    status: String,
    status_reason: Option<String>,
    created_at: chrono::DateTime<chrono::Utc>,
}

impl From<Row> for Tenant {
    fn from(row: Row) -> Self {
        Self {
            id: TenantId(row.id),
            slug: row.slug,
            name: row.name,
            is_default: row.is_default,
            status: row.status,
            status_reason: row.status_reason,
            created_at: row.created_at,
        }
    }
}

/// Whether there is exactly one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnlyTenant {
    /// There is none.
    None,
    /// This one.
    One(TenantId),
    /// There are more.
    Several,
}

impl System {
    /// Makes a tenant. Conflicts with `tenant_slug_taken`, `tenant_one_default`.
    ///
    /// # Errors
    /// When the slug is taken or the database refuses.
    pub async fn insert_tenant(
        &self,
        slug: &str,
        name: &str,
        is_default: bool,
        actor: &Actor,
    ) -> Result<Tenant, StoreError> {
        let mut transaction = crate::store::database::begin(&self.pool, None).await?;
        let row = sqlx::query_as!(
            Row,
            "insert into tenant (id, slug, name, is_default) values ($1, $2, $3, $4)
             returning id, slug, name, is_default, status, status_reason, created_at",
            Uuid::now_v7(),
            slug,
            name,
            is_default
        )
        .fetch_one(&mut *transaction)
        .await?;
        sqlx::query!(
            "insert into audit (tenant_id, actor, action, subject) values ($1, $2, 'tenant.create', $3)",
            row.id,
            actor.to_string(),
            slug
        )
        .execute(&mut *transaction)
        .await?;
        // An edge may have learnt that nobody answers at this name, or that there is no default tenant.
        let change = Change::Hosts { tenant: TenantId(row.id) };
        let keys = serde_json::to_value(&change).map_err(|error| StoreError::inconsistent("outbox", error))?;
        sqlx::query!("insert into outbox (tenant_id, kind, keys) values ($1, $2, $3)", row.id, change.kind(), keys)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Written::note(TenantId(row.id));
        Ok(row.into())
    }

    /// The tenant of that slug.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tenant_by_slug(&self, slug: &str) -> Result<Option<Tenant>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            "select id, slug, name, is_default, status, status_reason, created_at from tenant where slug = $1",
            slug
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }

    /// The tenant of that id.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tenant_by_id(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            "select id, slug, name, is_default, status, status_reason, created_at from tenant where id = $1",
            id.0
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }

    /// The tenant that answers on hosts that are no one else's.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn default_tenant(&self) -> Result<Option<Tenant>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            "select id, slug, name, is_default, status, status_reason, created_at from tenant where is_default"
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }

    /// Whether there is exactly one tenant, who then need not be named.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn only_tenant(&self) -> Result<OnlyTenant, StoreError> {
        let ids = sqlx::query_scalar!("select id from tenant limit 2").fetch_all(&self.pool).await?;
        Ok(match ids.as_slice() {
            [] => OnlyTenant::None,
            [only] => OnlyTenant::One(TenantId(*only)),
            _ => OnlyTenant::Several,
        })
    }

    /// Tenants by slug, and how many there are.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn tenants(&self, page: Page) -> Result<(Vec<Tenant>, i64), StoreError> {
        let rows = sqlx::query_as!(
            Row,
            "select id, slug, name, is_default, status, status_reason, created_at from tenant order by slug limit $1 offset $2",
            page.limit,
            page.offset
        )
        .fetch_all(&self.pool)
        .await?;
        let total = sqlx::query_scalar!(r#"select count(*) as "count!" from tenant"#).fetch_one(&self.pool).await?;
        Ok((rows.into_iter().map(Into::into).collect(), total))
    }
}

/// The transaction's own tenant.
///
/// # Errors
/// When it is gone or the database refuses.
pub async fn own(transaction: &mut TenantTransaction) -> Result<Tenant, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "select id, slug, name, is_default, status, status_reason, created_at from tenant where id = $1",
        tenant
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(row.into())
}

/// Suspends the tenant or takes the suspension back.
///
/// # Errors
/// When the database refuses.
pub async fn set_status(
    transaction: &mut TenantTransaction,
    status: &str,
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update tenant set status = $2, status_reason = $3, revision = nextval('revision') where id = $1",
        tenant,
        status,
        reason
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Renames the tenant.
///
/// # Errors
/// When the database refuses.
pub async fn rename(transaction: &mut TenantTransaction, name: &str) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("update tenant set name = $2, revision = nextval('revision') where id = $1", tenant, name)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// The tenant's choices.
///
/// # Errors
/// When the database refuses or the stored choices cannot be read.
pub async fn settings(transaction: &mut TenantTransaction) -> Result<Settings, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_scalar!("select settings from tenant where id = $1", tenant)
        .fetch_one(transaction.connection())
        .await?;
    serde_json::from_value(row).map_err(|error| StoreError::inconsistent("tenant", error))
}

impl System {
    /// Whether the tenant's customers are sent to the storage itself for dists.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn redirects_dists(&self, tenant: TenantId) -> Result<bool, StoreError> {
        let redirects = sqlx::query_scalar!(
            r#"select coalesce((settings ->> 'dist_redirects')::boolean, false) as "redirects!" from tenant where id = $1"#,
            tenant.0
        );
        Ok(redirects.fetch_optional(&self.pool).await?.unwrap_or(false))
    }
}

/// Replaces the tenant's choices, and tells the edges. When the choice for outages is another one, it is kept which event told it: only
/// an edge that has heard that event is known to go by it.
///
/// # Errors
/// When the database refuses.
pub async fn set_settings(
    transaction: &mut TenantTransaction,
    before: &Settings,
    settings: &Settings,
) -> Result<(), StoreError> {
    let tenant = transaction.tenant();
    let value = serde_json::to_value(settings).map_err(|error| StoreError::inconsistent("tenant", error))?;
    let told = transaction.changed_now(&Change::Tenant { tenant }).await?;
    sqlx::query!(
        "update tenant set settings = $2, revision = nextval('revision'), outage_changed = coalesce($3, outage_changed)
                         , dist_redirects_ended_at = case when $4 then now() else dist_redirects_ended_at end
         where id = $1",
        tenant.0,
        value,
        (before.outage != settings.outage).then_some(told),
        before.dist_redirects && !settings.dist_redirects
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Gives the tenant a new revision: something that edges know of it changed.
///
/// # Errors
/// When the database refuses.
pub async fn touch(transaction: &mut TenantTransaction) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!("update tenant set revision = nextval('revision') where id = $1", tenant)
        .execute(transaction.connection())
        .await?;
    Ok(())
}

/// A package came or went: edges read anew which there are.
///
/// # Errors
/// When the database refuses.
pub async fn directory_changed(transaction: &mut TenantTransaction) -> Result<(), StoreError> {
    let tenant = transaction.tenant();
    sqlx::query!("update tenant set directory_revision = nextval('revision') where id = $1", tenant.0)
        .execute(transaction.connection())
        .await?;
    transaction.changed(&Change::Directory { tenant });
    Ok(())
}
