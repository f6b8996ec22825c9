//! What was downloaded: sums by day, package, version and customer. Days are those of UTC.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::domain::id::CustomerId;
use crate::store::{StoreError, TenantTransaction};

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Amount {
    /// Dists.
    pub downloads: i64,
    /// Their bytes, as far as they were sent.
    pub bytes: i64,
}

/// How much lately; each window ends with today and holds the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Lately {
    /// Since midnight.
    pub today: Amount,
    /// In seven days.
    pub last_7_days: Amount,
    /// In thirty days.
    pub last_30_days: Amount,
}

/// One row of sums by window; what lies outside of all windows is not asked for.
struct Row {
    downloads_1: i64,
    bytes_1: i64,
    downloads_7: i64,
    bytes_7: i64,
    downloads_30: i64,
    bytes_30: i64,
}

impl From<Row> for Lately {
    fn from(row: Row) -> Self {
        Self {
            today: Amount { downloads: row.downloads_1, bytes: row.bytes_1 },
            last_7_days: Amount { downloads: row.downloads_7, bytes: row.bytes_7 },
            last_30_days: Amount { downloads: row.downloads_30, bytes: row.bytes_30 },
        }
    }
}

/// Of the whole tenant.
///
/// # Errors
/// When the database refuses.
pub async fn lately(transaction: &mut TenantTransaction, today: NaiveDate) -> Result<Lately, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        r#"select coalesce(sum(downloads) filter (where day = $2), 0)::bigint as "downloads_1!"
                , coalesce(sum(bytes) filter (where day = $2), 0)::bigint as "bytes_1!"
                , coalesce(sum(downloads) filter (where day > $2 - 7), 0)::bigint as "downloads_7!"
                , coalesce(sum(bytes) filter (where day > $2 - 7), 0)::bigint as "bytes_7!"
                , coalesce(sum(downloads), 0)::bigint as "downloads_30!"
                , coalesce(sum(bytes), 0)::bigint as "bytes_30!"
           from traffic where tenant_id = $1 and day > $2 - 30 and day <= $2"#,
        tenant,
        today
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(row.into())
}

/// Of a package, or of one version of it.
///
/// # Errors
/// When the database refuses.
pub async fn lately_of(
    transaction: &mut TenantTransaction,
    package: &str,
    version: Option<&str>,
    today: NaiveDate,
) -> Result<Lately, StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query_as!(
        Row,
        r#"select coalesce(sum(downloads) filter (where day = $4), 0)::bigint as "downloads_1!"
                , coalesce(sum(bytes) filter (where day = $4), 0)::bigint as "bytes_1!"
                , coalesce(sum(downloads) filter (where day > $4 - 7), 0)::bigint as "downloads_7!"
                , coalesce(sum(bytes) filter (where day > $4 - 7), 0)::bigint as "bytes_7!"
                , coalesce(sum(downloads), 0)::bigint as "downloads_30!"
                , coalesce(sum(bytes), 0)::bigint as "bytes_30!"
           from download_count
           where tenant_id = $1 and package_name = $2 and ($3::text is null or normalized = $3) and day > $4 - 30 and day <= $4"#,
        tenant,
        package,
        version,
        today
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok(row.into())
}

/// Versions of a package that were ever downloaded, by their normalized name, the most wanted first.
///
/// # Errors
/// When the database refuses.
pub async fn versions_of(
    transaction: &mut TenantTransaction,
    package: &str,
) -> Result<Vec<(String, Amount)>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        r#"select normalized, sum(downloads)::bigint as "downloads!", sum(bytes)::bigint as "bytes!"
           from download_count where tenant_id = $1 and package_name = $2
           group by normalized order by 2 desc, normalized"#,
        tenant,
        package
    )
    .fetch_all(transaction.connection())
    .await?;
    let amount = |downloads, bytes| Amount { downloads, bytes };
    Ok(rows.into_iter().map(|row| (row.normalized, amount(row.downloads, row.bytes))).collect())
}

/// How many packages and customers there are.
///
/// # Errors
/// When the database refuses.
pub async fn inventory(transaction: &mut TenantTransaction) -> Result<(i64, i64), StoreError> {
    let tenant = transaction.tenant().0;
    let row = sqlx::query!(
        r#"select (select count(*) from package where tenant_id = $1) as "packages!"
                , (select count(*) from customer where tenant_id = $1) as "customers!""#,
        tenant
    )
    .fetch_one(transaction.connection())
    .await?;
    Ok((row.packages, row.customers))
}

/// One day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Day {
    /// Which.
    pub date: NaiveDate,
    /// How much.
    #[serde(flatten)]
    pub amount: Amount,
}

/// Every day from one to the other, both included, those without downloads too.
///
/// # Errors
/// When the database refuses.
pub async fn daily(
    transaction: &mut TenantTransaction,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<Day>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        r#"select d::date as "day!", coalesce(sum(downloads), 0)::bigint as "downloads!", coalesce(sum(bytes), 0)::bigint as "bytes!"
           from generate_series($2::date, $3::date, interval '1 day') as d
           left join traffic on tenant_id = $1 and day = d::date
           group by d order by d"#,
        tenant,
        from,
        to
    )
    .fetch_all(transaction.connection())
    .await?;
    let day = |date, downloads, bytes| Day { date, amount: Amount { downloads, bytes } };
    Ok(rows.into_iter().map(|row| day(row.day, row.downloads, row.bytes)).collect())
}

/// What a customer downloaded of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfPackage {
    /// Which.
    pub package: String,
    /// How much.
    #[serde(flatten)]
    pub amount: Amount,
    /// When last.
    pub last_at: DateTime<Utc>,
}

/// What a customer downloaded since an instant, by package, the most wanted first.
///
/// # Errors
/// When the database refuses.
pub async fn of_customer(
    transaction: &mut TenantTransaction,
    customer: CustomerId,
    since: DateTime<Utc>,
) -> Result<Vec<OfPackage>, StoreError> {
    let tenant = transaction.tenant().0;
    let rows = sqlx::query!(
        r#"select package_name, count(*) as "downloads!", sum(bytes)::bigint as "bytes!", max(at) as "last_at!"
           from download where tenant_id = $1 and customer_id = $2 and at >= $3
           group by package_name order by 2 desc, package_name"#,
        tenant,
        customer.0,
        since
    )
    .fetch_all(transaction.connection())
    .await?;
    let of = |package, downloads, bytes, last_at| OfPackage { package, amount: Amount { downloads, bytes }, last_at };
    Ok(rows.into_iter().map(|row| of(row.package_name, row.downloads, row.bytes, row.last_at)).collect())
}
