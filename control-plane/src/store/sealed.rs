//! Every column that holds sealed secrets, and how all of them are gone through when a master key is replaced. What seals and opens them
//! is `crate::secrets`; here they are bytes.

use cargoman_edge_protocol::TenantId;
use sqlx::{AssertSqlSafe, Row as _};
use uuid::Uuid;

use crate::secrets::{KeyId, Place, key_of};
use crate::store::{StoreError, System};

/// A column of sealed secrets. Its table has the key (`tenant_id`, `id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedColumn {
    /// `table.column`: what its values are bound to, so neither may ever be renamed without sealing them anew.
    pub name: &'static str,
}

/// Passwords and private keys for git servers.
pub const GIT_CREDENTIAL_SECRET: SealedColumn = SealedColumn { name: "git_credential.secret" };

/// What the signatures of deliveries are checked with.
pub const HOOK_SECRET: SealedColumn = SealedColumn { name: super::hooks::SECRET };

/// All of them: a rotation goes through these and no others. A test holds this list against the schema.
pub const SEALED_COLUMNS: &[SealedColumn] = &[GIT_CREDENTIAL_SECRET, HOOK_SECRET];

impl SealedColumn {
    /// Where the value of one row lies.
    #[must_use]
    pub const fn place(self, tenant: TenantId, row: Uuid) -> Place {
        Place { tenant, row, column: self.name }
    }

    /// Names from the list above alone ever come into a statement.
    fn parts(self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or((self.name, "secret"))
    }
}

/// A sealed value and its row.
#[derive(Debug, Clone)]
pub struct SealedValue {
    /// Where it lies.
    pub place: Place,
    /// Sealed.
    pub bytes: Vec<u8>,
}

impl SealedValue {
    /// Which key sealed it; none when it is no sealed value.
    #[must_use]
    pub fn key(&self) -> Option<KeyId> {
        key_of(&self.bytes)
    }
}

impl System {
    /// How many values of a column there are.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_sealed(&self, column: SealedColumn) -> Result<u64, StoreError> {
        let (table, name) = column.parts();
        let query = format!("select count(*) from {table} where {name} is not null");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.pool).await?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// The next values of a column, in the order of its key, after the row `after`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn sealed_after(
        &self,
        column: SealedColumn,
        after: Option<(TenantId, Uuid)>,
        most: i64,
    ) -> Result<Vec<SealedValue>, StoreError> {
        let (table, name) = column.parts();
        let (tenant, row) = after.map_or((Uuid::nil(), Uuid::nil()), |(tenant, row)| (tenant.0, row));
        let query = format!(
            "select tenant_id, id, {name} from {table} where {name} is not null and (tenant_id, id) > ($1, $2)
             order by tenant_id, id limit $3"
        );
        let rows = sqlx::query(AssertSqlSafe(query)).bind(tenant).bind(row).bind(most).fetch_all(&self.pool).await?;
        let value = |row: &sqlx::postgres::PgRow| {
            Ok(SealedValue { place: column.place(TenantId(row.try_get(0)?), row.try_get(1)?), bytes: row.try_get(2)? })
        };
        rows.iter().map(value).collect::<Result<_, sqlx::Error>>().map_err(Into::into)
    }

    /// Puts `new` into the place of a value, unless somebody wrote another one meanwhile: then false, and nothing is done.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn replace_sealed(
        &self,
        column: SealedColumn,
        old: &SealedValue,
        new: &[u8],
    ) -> Result<bool, StoreError> {
        let (table, name) = column.parts();
        let query = format!("update {table} set {name} = $4 where tenant_id = $1 and id = $2 and {name} = $3");
        let done = sqlx::query(AssertSqlSafe(query))
            .bind(old.place.tenant.0)
            .bind(old.place.row)
            .bind(&old.bytes)
            .bind(new)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
