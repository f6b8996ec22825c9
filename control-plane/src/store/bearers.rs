//! Whose a token is that somebody shows to the public API, and what its customer may do with it.

use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use cargoman_licence::Scope;
use chrono::{DateTime, Utc};

use crate::domain::customer::Token;
use crate::domain::id::{CustomerId, TokenId};
use crate::store::{StoreError, System};

/// A token and what its customer may do with it.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The token.
    pub token: Token,
    /// Its scope.
    pub scope: Scope,
    /// Whose it is.
    pub customer: CustomerId,
    /// His name.
    pub customer_name: String,
    /// Patterns of the packages that he may publish.
    pub may_publish: Vec<String>,
    suspended: bool,
    frozen: bool,
    customer_expires_at: Option<DateTime<Utc>>,
}

impl Bearer {
    /// Whether the customer is neither suspended nor at his end nor frozen at `now`.
    #[must_use]
    pub fn is_active(&self, now: DateTime<Utc>) -> bool {
        !self.frozen && !self.is_lapsed(now)
    }

    /// Whether the customer is suspended or at his end at `now`.
    #[must_use]
    pub fn is_lapsed(&self, now: DateTime<Utc>) -> bool {
        self.suspended || self.customer_expires_at.is_some_and(|at| at <= now)
    }
}

impl System {
    /// Whose token that is: the secret names its tenant.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn bearer_of_digest(&self, digest: Digest) -> Result<Option<(TenantId, Bearer)>, StoreError> {
        let row = sqlx::query!(
            r#"select t.tenant_id, t.id, t.name, t.scope, t.package_scopes, t.last_four, t.created_at, t.expires_at, t.revoked_at, t.last_used_at
                    , host(t.last_used_ip) as last_used_ip, c.id as customer_id, c.name as customer_name, c.may_publish, c.suspended_at is not null as "suspended!"
                    , c.frozen is not null as "frozen!", c.expires_at as customer_expires_at
               from token t join customer c on c.tenant_id = t.tenant_id and c.id = t.customer_id
               where t.digest = $1"#,
            digest.to_hex()
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let scope =
            crate::domain::access::scope(&row.scope).map_err(|error| StoreError::inconsistent("token", error))?;
        let token = Token {
            id: TokenId(row.id),
            name: row.name,
            scope: row.scope,
            package_scopes: row.package_scopes,
            last_four: row.last_four,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
            last_used_ip: row.last_used_ip,
        };
        let bearer = Bearer {
            token,
            scope,
            customer: CustomerId(row.customer_id),
            customer_name: row.customer_name,
            may_publish: row.may_publish,
            suspended: row.suspended,
            frozen: row.frozen,
            customer_expires_at: row.customer_expires_at,
        };
        Ok(Some((TenantId(row.tenant_id), bearer)))
    }
}
