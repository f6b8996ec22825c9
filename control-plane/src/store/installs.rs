//! How often Composer said it installed a version: by day, and by customer.

use std::collections::BTreeSet;

use cargoman_composer::name::PackageName;
use cargoman_edge_protocol::InstallReport;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::id::{CustomerId, PackageId, TokenId};
use crate::store::{Page, StoreError, System, TenantTransaction};

/// What somebody said he installed.
#[derive(Debug, Clone)]
pub struct Report {
    /// Whose registry.
    pub tenant: Uuid,
    /// The token that said it, if it can be one of ours.
    pub token: Option<TokenId>,
    /// Name and normalized version of each package.
    pub installs: Vec<(PackageName, String)>,
    /// When.
    pub at: DateTime<Utc>,
}

impl System {
    /// Adds one report.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_installs(&self, report: &InstallReport, at: DateTime<Utc>) -> Result<(), StoreError> {
        let token = report.token.parse().ok();
        let report = Report { tenant: report.tenant.0, token, installs: report.installs.clone(), at };
        let mut transaction = crate::store::database::begin(&self.pool, None).await?;
        add(&mut transaction, &[report]).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Adds reports. Names that are no packages of the tenant count for nothing, a token that is none has no customer, and twice in
/// one report is once. Rows are written in one order, so that two callers at once do not wait for each other in a circle.
pub(super) async fn add(connection: &mut PgConnection, reports: &[Report]) -> Result<(), StoreError> {
    let (mut tenants, mut tokens, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let (mut names, mut versions) = (Vec::new(), Vec::new());
    for report in reports {
        let installs: BTreeSet<_> = report.installs.iter().collect();
        for (name, version) in installs {
            tenants.push(report.tenant);
            tokens.push(report.token.map(|token| token.0));
            times.push(report.at);
            names.push(name.as_str().to_owned());
            versions.push(version.clone());
        }
    }
    sqlx::query!(
        "insert into install_count (tenant_id, package_name, normalized, day, installs)
         select p.tenant_id, p.name, v.normalized, (said.at at time zone 'UTC')::date, count(*)
         from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[]) as said (tenant_id, name, normalized, at)
         join package p on p.tenant_id = said.tenant_id and p.name = said.name
         join version v on v.tenant_id = p.tenant_id and v.package_id = p.id and v.normalized = said.normalized
         group by 1, 2, 3, 4 order by 1, 2, 3, 4
         on conflict (tenant_id, package_name, normalized, day) do update
         set installs = install_count.installs + excluded.installs",
        &tenants,
        &names,
        &versions,
        &times
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into customer_install (tenant_id, customer_id, package_name, normalized, installs, last_at)
         select p.tenant_id, t.customer_id, p.name, v.normalized, count(*), max(said.at)
         from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::uuid[])
              as said (tenant_id, name, normalized, at, token_id)
         join package p on p.tenant_id = said.tenant_id and p.name = said.name
         join version v on v.tenant_id = p.tenant_id and v.package_id = p.id and v.normalized = said.normalized
         join token t on t.tenant_id = p.tenant_id and t.id = said.token_id
         group by 1, 2, 3, 4 order by 1, 3, 4, 2
         on conflict (tenant_id, package_name, normalized, customer_id) do update
         set installs = customer_install.installs + excluded.installs
           , last_at = greatest(customer_install.last_at, excluded.last_at)",
        &tenants,
        &names,
        &versions,
        &times,
        &tokens as &[Option<Uuid>]
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which versions of these packages these customers said they installed within the last 30 days: customer, package, normalized
/// version.
///
/// # Errors
/// When the database refuses.
pub async fn recent(
    transaction: &mut TenantTransaction,
    customers: &[CustomerId],
    packages: &[String],
) -> Result<Vec<(CustomerId, String, String)>, StoreError> {
    let tenant = transaction.tenant().0;
    let customers: Vec<Uuid> = customers.iter().map(|customer| customer.0).collect();
    let rows = sqlx::query!(
        "select customer_id, package_name, normalized from customer_install
         where tenant_id = $1 and package_name = any($2) and customer_id = any($3) and last_at > now() - interval '30 days'",
        tenant,
        packages,
        &customers
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(rows.into_iter().map(|row| (CustomerId(row.customer_id), row.package_name, row.normalized)).collect())
}

/// Who said he installed a version.
#[derive(Debug, Clone)]
pub struct Installer {
    /// Who.
    pub customer: CustomerId,
    /// His name.
    pub name: String,
    /// How often.
    pub installs: i64,
    /// When last.
    pub last_at: DateTime<Utc>,
}

/// Who said he installed a version of a package, the latest first; and how many customers that are.
///
/// # Errors
/// When the database refuses.
pub async fn of_version(
    transaction: &mut TenantTransaction,
    package: PackageId,
    normalized: &str,
    page: Page,
) -> Result<(Vec<Installer>, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        "select c.id, c.name, i.installs, i.last_at
         from package p
         join customer_install i on i.tenant_id = p.tenant_id and i.package_name = p.name and i.normalized = $3
         join customer c on c.tenant_id = i.tenant_id and c.id = i.customer_id
         where p.tenant_id = $1 and p.id = $2 order by i.last_at desc, c.id limit $4 offset $5",
        tenant,
        package.0,
        normalized,
        page.limit,
        page.offset
    )
    .fetch_all(transaction.connection())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "count!"
           from package p
           join customer_install i on i.tenant_id = p.tenant_id and i.package_name = p.name and i.normalized = $3
           join customer c on c.tenant_id = i.tenant_id and c.id = i.customer_id
           where p.tenant_id = $1 and p.id = $2"#,
        tenant,
        package.0,
        normalized
    )
    .fetch_one(transaction.connection())
    .await?;
    let installers = rows.into_iter().map(|row| Installer {
        customer: CustomerId(row.id),
        name: row.name,
        installs: row.installs,
        last_at: row.last_at,
    });
    Ok((installers.collect(), total))
}
