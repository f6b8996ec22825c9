//! How often Composer said it installed a version, by day.

use cargoman_edge_protocol::InstallReport;
use chrono::NaiveDate;
use uuid::Uuid;

use crate::domain::id::CustomerId;
use crate::store::{StoreError, System, TenantTransaction};

impl System {
    /// Adds a report. Names that are no packages of the tenant count for nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn count_installs(&self, report: &InstallReport, day: NaiveDate) -> Result<(), StoreError> {
        // Sorted, so that two reports at once lock their rows in the same order.
        let mut installs = report.installs.clone();
        installs.sort();
        installs.dedup();
        let names: Vec<String> = installs.iter().map(|(name, _)| name.as_str().to_owned()).collect();
        let versions: Vec<String> = installs.into_iter().map(|(_, version)| version).collect();
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
            day
        )
        .execute(&self.pool)
        .await?;
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
