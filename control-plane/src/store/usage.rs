//! What edges served. A batch is one transaction, and counts once however often it comes; so does each download, whatever batch it
//! comes in. What names nobody and nothing of ours counts for nothing and never fails the rest.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cargoman_edge_protocol::{Batch, Download, UsageEvent};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::id::{CustomerId, TokenId};
use crate::store::installs::{self, Report};
use crate::store::token_uses::{self, Use};
use crate::store::{StoreError, System};

/// An event that says to be older is of this age: no clock of an edge moves a count further back.
const OLDEST: TimeDelta = TimeDelta::days(400);

/// No dist is larger; nonsense must not make sums overflow.
const MOST_BYTES: i64 = 1 << 50;

impl System {
    /// Counts a batch, unless it was counted before.
    ///
    /// # Errors
    /// When the database refuses; then nothing of it is counted.
    pub async fn count_usage(&self, batch: &Batch, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut transaction = crate::store::database::begin(&self.pool, None).await?;
        let new = new_tenants(&mut transaction, batch).await?;
        if new.is_empty() {
            return Ok(());
        }
        let counted = Counted::of(batch, &new, now);
        counted.downloads.insert(&mut transaction).await?;
        installs::add(&mut transaction, &counted.reports).await?;
        token_uses::note(&mut transaction, &counted.uses).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets batches and single downloads that have served their time; how many there were.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn purge_usage(&self) -> Result<u64, StoreError> {
        let batches = sqlx::query!("delete from usage_batch where at <= now() - interval '30 days'");
        let batches = batches.execute(&self.pool).await?.rows_affected();
        let downloads = sqlx::query!("delete from download where at <= now() - interval '90 days'");
        Ok(batches + downloads.execute(&self.pool).await?.rows_affected())
    }
}

/// The tenants of a batch that are ours and for which it was not counted yet. Whoever sends it at the same moment waits here.
async fn new_tenants(connection: &mut PgConnection, batch: &Batch) -> Result<BTreeSet<Uuid>, StoreError> {
    let tenants: BTreeSet<Uuid> = batch.events.iter().filter_map(tenant_of).collect();
    let tenants: Vec<Uuid> = tenants.into_iter().collect();
    let new = sqlx::query_scalar!(
        "insert into usage_batch (tenant_id, id) select id, $2 from tenant where id = any($1) order by id
         on conflict do nothing returning tenant_id",
        &tenants,
        batch.id
    )
    .fetch_all(connection)
    .await?;
    Ok(new.into_iter().collect())
}

fn tenant_of(event: &UsageEvent) -> Option<Uuid> {
    match event {
        UsageEvent::Download(download) => Some(download.tenant.0),
        UsageEvent::Installed(installed) => Some(installed.tenant.0),
        UsageEvent::TokenUsed(used) => Some(used.tenant.0),
        UsageEvent::Unknown => None,
    }
}

/// What is to be written of a batch.
#[derive(Default)]
struct Counted {
    downloads: Downloads,
    reports: Vec<Report>,
    uses: Vec<Use>,
}

impl Counted {
    fn of(batch: &Batch, tenants: &BTreeSet<Uuid>, now: DateTime<Utc>) -> Self {
        let mut counted = Self::default();
        let of_ours = |event: &&UsageEvent| tenant_of(event).is_some_and(|tenant| tenants.contains(&tenant));
        for event in batch.events.iter().filter(of_ours) {
            counted.add(event, now);
        }
        counted
    }

    fn add(&mut self, event: &UsageEvent, now: DateTime<Utc>) {
        let when = |at: DateTime<Utc>| at.clamp(now - OLDEST, now);
        let mut used = |tenant: Uuid, token: &str, at, address: Option<IpAddr>| {
            if let Ok(token) = token.parse::<TokenId>() {
                self.uses.push(Use { tenant, token, at: when(at), address });
            }
        };
        match event {
            UsageEvent::Download(download) => {
                used(download.tenant.0, &download.token, download.at, download.address);
                self.downloads.push(download, when(download.at));
            }
            UsageEvent::Installed(installed) => {
                used(installed.tenant.0, &installed.token, installed.at, installed.address);
                self.reports.push(Report {
                    tenant: installed.tenant.0,
                    token: installed.token.parse().ok(),
                    installs: installed.installs.clone(),
                    at: when(installed.at),
                });
            }
            UsageEvent::TokenUsed(token) => used(token.tenant.0, &token.token, token.at, token.address),
            UsageEvent::Unknown => {}
        }
    }
}

/// Downloads, one column each.
#[derive(Default)]
struct Downloads {
    tenants: Vec<Uuid>,
    ids: Vec<Uuid>,
    customers: Vec<Uuid>,
    tokens: Vec<Uuid>,
    packages: Vec<String>,
    versions: Vec<String>,
    references: Vec<String>,
    bytes: Vec<i64>,
    times: Vec<DateTime<Utc>>,
    addresses: Vec<Option<String>>,
    user_agents: Vec<String>,
}

impl Downloads {
    fn push(&mut self, download: &Download, at: DateTime<Utc>) {
        let ids = (download.customer.parse::<CustomerId>(), download.token.parse::<TokenId>());
        let (Ok(customer), Ok(token)) = ids else { return };
        self.tenants.push(download.tenant.0);
        self.ids.push(download.id);
        self.customers.push(customer.0);
        self.tokens.push(token.0);
        self.packages.push(download.package.as_str().to_owned());
        self.versions.push(download.version.clone());
        self.references.push(download.reference.clone());
        self.bytes.push(i64::try_from(download.bytes).unwrap_or(MOST_BYTES).min(MOST_BYTES));
        self.times.push(at);
        self.addresses.push(download.address.map(|address| address.to_string()));
        self.user_agents.push(download.user_agent.clone());
    }

    /// Keeps those that are new, of a customer and a package that are there or were deleted a while ago, and counts them. Each
    /// table is written in the order of its key, so that two batches at once do not wait for each other in a circle.
    async fn insert(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        sqlx::query!(
            "with fresh as (
               insert into download
                   (tenant_id, id, customer_id, token_id, package_name, normalized, reference, bytes, at, address, user_agent)
               select d.tenant_id, d.id, d.customer_id, d.token_id, d.package_name, d.normalized, d.reference, d.bytes, d.at
                    , d.address::inet, d.user_agent
               from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[]
                         , $9::timestamptz[], $10::text[], $11::text[])
                    as d (tenant_id, id, customer_id, token_id, package_name, normalized, reference, bytes, at, address, user_agent)
               where (exists (select from token t
                              where t.tenant_id = d.tenant_id and t.id = d.token_id and t.customer_id = d.customer_id)
                      or exists (select from deletion x
                                 where x.tenant_id = d.tenant_id and x.subject = d.customer_id and x.kind = 'customer'))
                 and (exists (select from package p where p.tenant_id = d.tenant_id and p.name = d.package_name)
                      or exists (select from deletion x
                                 where x.tenant_id = d.tenant_id and x.kind = 'package' and x.name = d.package_name))
               order by d.tenant_id, d.id
               on conflict do nothing
               returning tenant_id, customer_id, package_name, normalized, (at at time zone 'UTC')::date as day, bytes
             ), counted as (
               insert into download_count (tenant_id, package_name, normalized, day, downloads, bytes)
               select tenant_id, package_name, normalized, day, count(*), sum(bytes) from fresh group by 1, 2, 3, 4 order by 1, 2, 3, 4
               on conflict (tenant_id, package_name, normalized, day) do update
               set downloads = download_count.downloads + excluded.downloads, bytes = download_count.bytes + excluded.bytes
             )
             insert into traffic (tenant_id, day, customer_id, downloads, bytes)
             select tenant_id, day, customer_id, count(*), sum(bytes) from fresh group by 1, 2, 3 order by 1, 2, 3
             on conflict (tenant_id, day, customer_id) do update
             set downloads = traffic.downloads + excluded.downloads, bytes = traffic.bytes + excluded.bytes",
            &self.tenants,
            &self.ids,
            &self.customers,
            &self.tokens,
            &self.packages,
            &self.versions,
            &self.references,
            &self.bytes,
            &self.times,
            &self.addresses as &[Option<String>],
            &self.user_agents
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}
