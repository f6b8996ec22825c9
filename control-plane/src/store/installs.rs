//! How often Composer said it installed a version: by day, and by customer.

use cargoman_edge_protocol::InstallReport;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::id::{CustomerId, PackageId, TokenId};
use crate::store::{Page, StoreError, System, TenantTransaction};

impl System {
    /// Adds a report. Names that are no packages of the tenant count for nothing, and a token that is none has no customer.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_installs(&self, report: &InstallReport, at: DateTime<Utc>) -> Result<(), StoreError> {
        // Sorted, so that two reports at once lock their rows in the same order.
        let mut installs = report.installs.clone();
        installs.sort();
        installs.dedup();
        let names: Vec<String> = installs.iter().map(|(name, _)| name.as_str().to_owned()).collect();
        let versions: Vec<String> = installs.into_iter().map(|(_, version)| version).collect();
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "insert into install_count (tenant_id, package_name, normalized, day, installs)
             select p.tenant_id, p.name, v.normalized, $4, 1
             from unnest($2::text[], $3::text[]) as said (name, normalized)
             join package p on p.tenant_id = $1 and p.name = said.name
             join version v on v.tenant_id = p.tenant_id and v.package_id = p.id and v.normalized = said.normalized
             order by p.name, v.normalized
             on conflict (tenant_id, package_name, normalized, day) do update set installs = install_count.installs + 1",
            report.tenant.0,
            &names,
            &versions,
            at.date_naive()
        )
        .execute(&mut *transaction)
        .await?;
        if let Ok(token) = report.token.parse::<TokenId>() {
            sqlx::query!(
                "insert into customer_install (tenant_id, customer_id, package_name, normalized, installs, last_at)
                 select p.tenant_id, t.customer_id, p.name, v.normalized, 1, $5
                 from unnest($2::text[], $3::text[]) as said (name, normalized)
                 join package p on p.tenant_id = $1 and p.name = said.name
                 join version v on v.tenant_id = p.tenant_id and v.package_id = p.id and v.normalized = said.normalized
                 join token t on t.tenant_id = p.tenant_id and t.id = $4
                 order by p.name, v.normalized
                 on conflict (tenant_id, package_name, normalized, customer_id) do update
                 set installs = customer_install.installs + 1, last_at = greatest(customer_install.last_at, excluded.last_at)",
                report.tenant.0,
                &names,
                &versions,
                token.0,
                at
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
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
