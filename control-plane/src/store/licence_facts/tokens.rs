//! Tokens, as far as rules look at them.

use cargoman_credential::Digest;
use cargoman_edge_protocol::Revision;
use cargoman_licence::{Access, TenantPolicy, Token};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Facts, globs};
use crate::domain;
use crate::domain::id::{CustomerId, TokenId};
use crate::store::StoreError;

/// A token, whose it is, and that customer's revision.
pub(in crate::store) struct TokenOf {
    pub(in crate::store) token: Token,
    pub(in crate::store) customer: CustomerId,
    pub(in crate::store) revision: Revision,
}

struct Row {
    id: Uuid,
    last_four: String,
    scope: String,
    package_scopes: Vec<String>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    customer_id: Uuid,
    revision: i64,
}

impl Row {
    fn token(self) -> Result<TokenOf, StoreError> {
        let token = Token {
            id: TokenId(self.id).to_string(),
            last_four: self.last_four,
            scope: domain::access::scope(&self.scope).map_err(|error| StoreError::inconsistent("token", error))?,
            package_scopes: globs(&self.package_scopes, "token")?,
            expires_at: self.expires_at,
            revoked_at: self.revoked_at,
        };
        Ok(TokenOf { token, customer: CustomerId(self.customer_id), revision: Revision(self.revision) })
    }
}

impl Facts<'_> {
    /// The token with this digest.
    pub(in crate::store) async fn token_of_digest(&mut self, digest: Digest) -> Result<Option<TokenOf>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"select t.id, t.last_four, t.scope, t.package_scopes, t.expires_at, t.revoked_at, t.customer_id
                  , greatest(c.revision, t.revision) as "revision!"
             from token t join customer c on c.tenant_id = t.tenant_id and c.id = t.customer_id
             where t.tenant_id = $1 and t.digest = $2"#,
            self.tenant.0,
            digest.to_hex()
        )
        .fetch_optional(&mut *self.connection)
        .await?;
        row.map(Row::token).transpose()
    }

    /// What the bearer of this token may do.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn access_of_token(&mut self, id: TokenId, policy: TenantPolicy) -> Result<Option<Access>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"select t.id, t.last_four, t.scope, t.package_scopes, t.expires_at, t.revoked_at, t.customer_id
                  , greatest(c.revision, t.revision) as "revision!"
             from token t join customer c on c.tenant_id = t.tenant_id and c.id = t.customer_id
             where t.tenant_id = $1 and t.id = $2"#,
            self.tenant.0,
            id.0
        )
        .fetch_optional(&mut *self.connection)
        .await?;
        match row {
            Some(row) => self.with_customer(row.token()?, policy).await,
            None => Ok(None),
        }
    }

    /// A token together with what its customer has.
    pub(in crate::store) async fn with_customer(
        &mut self,
        token: TokenOf,
        policy: TenantPolicy,
    ) -> Result<Option<Access>, StoreError> {
        let access = self.customers(&[token.customer], policy).await?.pop();
        Ok(access.map(|(_, access)| Access { token: token.token, ..access }))
    }
}
