//! What a sync made of each ref: so that the next one need not look at what still points to the same object, and so that what is no version
//! is shown with the reason.

use crate::domain::id::PackageId;
use crate::store::{StoreError, TenantTransaction};

/// What a sync made of a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledRef {
    /// Its full name; what cannot be printed is escaped.
    pub name: String,
    /// The object it points to.
    pub oid: String,
    /// The version it gives.
    pub normalized: Option<String>,
    /// Whether it was the default branch.
    pub default_branch: bool,
    /// Why it is no version, for programs.
    pub skip_code: Option<String>,
    /// Why it is no version, for people.
    pub skip_reason: Option<String>,
}

/// What the last sync made of each ref, in order of names.
///
/// # Errors
/// When the database refuses.
pub async fn settled_refs(
    transaction: &mut TenantTransaction,
    package: PackageId,
) -> Result<Vec<SettledRef>, StoreError> {
    let tenant = transaction.tenant().0;
    Ok(sqlx::query_as!(
        SettledRef,
        r#"select name, oid, normalized, default_branch, skip_code, skip_reason
           from git_ref where tenant_id = $1 and package_id = $2 order by name collate "C""#,
        tenant,
        package.0
    )
    .fetch_all(transaction.connection())
    .await?)
}

/// Notes what became of refs.
///
/// # Errors
/// When the database refuses.
pub async fn settle_refs(
    transaction: &mut TenantTransaction,
    package: PackageId,
    refs: &[SettledRef],
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    let names: Vec<String> = refs.iter().map(|one| one.name.clone()).collect();
    let oids: Vec<String> = refs.iter().map(|one| one.oid.clone()).collect();
    let normalized: Vec<Option<String>> = refs.iter().map(|one| one.normalized.clone()).collect();
    let default: Vec<bool> = refs.iter().map(|one| one.default_branch).collect();
    let codes: Vec<Option<String>> = refs.iter().map(|one| one.skip_code.clone()).collect();
    let reasons: Vec<Option<String>> = refs.iter().map(|one| one.skip_reason.clone()).collect();
    sqlx::query!(
        "insert into git_ref (tenant_id, package_id, name, oid, normalized, default_branch, skip_code, skip_reason)
         select $1, $2, f.name, f.oid, f.normalized, f.default_branch, f.skip_code, f.skip_reason
         from unnest($3::text[], $4::text[], $5::text[], $6::bool[], $7::text[], $8::text[])
              as f (name, oid, normalized, default_branch, skip_code, skip_reason)
         on conflict (tenant_id, package_id, name) do update
         set oid = excluded.oid, normalized = excluded.normalized, default_branch = excluded.default_branch
           , skip_code = excluded.skip_code, skip_reason = excluded.skip_reason",
        tenant,
        package.0,
        &names,
        &oids,
        &normalized as &[Option<String>],
        &default,
        &codes as &[Option<String>],
        &reasons as &[Option<String>]
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Forgets the refs that are not among `names`.
///
/// # Errors
/// When the database refuses.
pub async fn forget_other_refs(
    transaction: &mut TenantTransaction,
    package: PackageId,
    names: &[String],
) -> Result<(), StoreError> {
    let tenant = transaction.tenant().0;
    sqlx::query!(
        "delete from git_ref where tenant_id = $1 and package_id = $2 and name <> all($3)",
        tenant,
        package.0,
        names
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
