//! Hooks: what forges prove themselves with. Secrets lie here sealed, for their row alone.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::domain::id::HookId;
use crate::secrets::Place;
use crate::store::{Page, StoreError, TenantTransaction};
use crate::webhook::Provider;
use crate::webhook::signature::Scheme;

/// Where the secret of a hook is sealed for.
pub const SECRET: &str = "hook.secret";

/// A hook, without its secret.
#[derive(Debug, Clone, Serialize)]
pub struct Hook {
    /// Id.
    pub id: HookId,
    /// Who calls it.
    pub provider: Provider,
    /// Whether deliveries are signed by Standard Webhooks instead of the provider's old way.
    pub signed: bool,
    /// For people.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its secret was last changed.
    pub rotated_at: Option<DateTime<Utc>>,
    /// When the last good delivery came.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When the last delivery came that was refused.
    pub refused_at: Option<DateTime<Utc>>,
    /// Why.
    pub refused_reason: Option<String>,
}

impl Hook {
    /// Where it is called, below the tenant's address.
    #[must_use]
    pub fn path(&self) -> String {
        match self.provider {
            Provider::Packagist => "/api/update-package".to_owned(),
            provider => format!("/api/webhooks/{}/{}", provider.as_str(), self.id),
        }
    }
}

struct Row {
    id: Uuid,
    provider: String,
    scheme: String,
    name: String,
    created_at: DateTime<Utc>,
    rotated_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    refused_at: Option<DateTime<Utc>>,
    refused_reason: Option<String>,
}

impl TryFrom<Row> for Hook {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: HookId(row.id),
            provider: provider(&row.provider)?,
            signed: scheme(&row.scheme) == Scheme::Standard,
            name: row.name,
            created_at: row.created_at,
            rotated_at: row.rotated_at,
            delivered_at: row.delivered_at,
            refused_at: row.refused_at,
            refused_reason: row.refused_reason,
        })
    }
}

fn provider(text: &str) -> Result<Provider, StoreError> {
    Provider::parse(text)
        .ok_or_else(|| StoreError::inconsistent("hook", format_args!("the provider `{text}` is unknown")))
}

fn scheme(text: &str) -> Scheme {
    if text == "standard" { Scheme::Standard } else { Scheme::Own }
}

const fn scheme_text(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Own => "own",
        Scheme::Standard => "standard",
    }
}

/// Where a hook's secret opens.
#[must_use]
pub fn place(transaction: &TenantTransaction, id: HookId) -> Place {
    Place { tenant: transaction.tenant(), row: id.0, column: SECRET }
}

/// Keeps a new hook.
///
/// # Errors
/// When the database refuses.
pub async fn insert(
    transaction: &mut TenantTransaction,
    id: HookId,
    (provider, scheme): (Provider, Scheme),
    name: &str,
    sealed: &[u8],
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "insert into hook (tenant_id, id, provider, scheme, name, secret) values ($1, $2, $3, $4, $5, $6)",
        tenant,
        id.0,
        provider.as_str(),
        scheme_text(scheme),
        name,
        sealed
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Gives a hook another secret.
///
/// # Errors
/// When the database refuses.
pub async fn rotate(
    transaction: &mut TenantTransaction,
    id: HookId,
    scheme: Scheme,
    sealed: &[u8],
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update hook set secret = $3, scheme = $4, rotated_at = now(), refused_at = null, refused_reason = null where tenant_id = $1 and id = $2",
        tenant,
        id.0,
        sealed,
        scheme_text(scheme)
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// One hook.
///
/// # Errors
/// When the database refuses.
pub async fn find(transaction: &mut TenantTransaction, id: HookId) -> Result<Option<Hook>, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        "select id, provider, scheme, name, created_at, rotated_at, delivered_at, refused_at, refused_reason
         from hook where tenant_id = $1 and id = $2",
        tenant,
        id.0
    )
    .fetch_optional(transaction.connection())
    .await?;
    row.map(Hook::try_from).transpose()
}

/// Hooks, newest first; and how many there are.
///
/// # Errors
/// When the database refuses.
pub async fn list(transaction: &mut TenantTransaction, page: Page) -> Result<(Vec<Hook>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query_as!(
        Row,
        "select id, provider, scheme, name, created_at, rotated_at, delivered_at, refused_at, refused_reason
         from hook where tenant_id = $1 order by created_at desc, id desc limit $2 offset $3",
        tenant,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(r#"select count(*) as "count!" from hook where tenant_id = $1"#, tenant)
        .fetch_one(transaction.connection())
        .await?;
    Ok((rows.into_iter().map(Hook::try_from).collect::<Result<_, _>>()?, total))
}

/// Deletes a hook and its deliveries; false when there is none.
///
/// # Errors
/// When the database refuses.
pub async fn delete(transaction: &mut TenantTransaction, id: HookId) -> Result<bool, StoreError> {
    let tenant = transaction.tenant().0;
    let done = sqlx::query!("delete from hook where tenant_id = $1 and id = $2", tenant, id.0)
        .execute(transaction.connection())
        .await?;
    Ok(done.rows_affected() > 0)
}

/// What a delivery is checked against.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Which hook.
    pub id: HookId,
    /// How it signs.
    pub scheme: Scheme,
    /// Its secret, sealed.
    pub sealed: Vec<u8>,
}

/// A delivery that names no hook is checked against so many: the newest.
const MOST: i64 = 50;

/// The hooks of some providers, newest first, or the one that is named.
///
/// # Errors
/// When the database refuses.
pub async fn to_check(
    transaction: &mut TenantTransaction,
    providers: &[Provider],
    named: Option<HookId>,
) -> Result<Vec<Checked>, StoreError> {
    let tenant = transaction.tenant().0;
    let providers: Vec<String> = providers.iter().map(|provider| provider.as_str().to_owned()).collect();
    let rows = sqlx::query!(
        "select id, scheme, secret from hook
         where tenant_id = $1 and provider = any($2) and ($3::uuid is null or id = $3)
         order by created_at desc, id desc limit $4",
        tenant,
        &providers,
        named.map(|id| id.0),
        MOST
    )
    .fetch_all(transaction.connection())
    .await?;
    let checked = |row: (Uuid, String, Vec<u8>)| Checked { id: HookId(row.0), scheme: scheme(&row.1), sealed: row.2 };
    Ok(rows.into_iter().map(|row| checked((row.id, row.scheme, row.secret))).collect())
}

/// Notes that a good delivery came.
///
/// # Errors
/// When the database refuses.
pub async fn delivered(transaction: &mut TenantTransaction, id: HookId) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    // Once in a while is enough, and a storm does not queue up for one row.
    sqlx::query!(
        "update hook set delivered_at = now() where tenant_id = $1 and id = $2 and (delivered_at is null or delivered_at < now() - interval '5 seconds')",
        tenant,
        id.0
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Notes that a delivery was refused, once a minute at most: anybody can send those.
///
/// # Errors
/// When the database refuses.
pub async fn refused(transaction: &mut TenantTransaction, id: HookId, reason: &str) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "update hook set refused_at = now(), refused_reason = $3
         where tenant_id = $1 and id = $2 and (refused_at is null or refused_at < now() - interval '1 minute')",
        tenant,
        id.0,
        reason
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
