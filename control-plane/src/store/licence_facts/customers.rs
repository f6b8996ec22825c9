//! Customers with their grants.

use std::collections::HashMap;
use std::str::FromStr;

use cargoman_composer::constraint::Constraint;
use cargoman_composer::name::PackageName;
use cargoman_licence::{Access, Customer, CustomerStatus, Freeze, Grant, GrantStatus, Target, TenantPolicy, Token};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Facts, stability};
use crate::domain::id::{CollectionId, CustomerId, GrantId};
use crate::store::StoreError;

impl Facts<'_> {
    /// What each of these customers may do, by id, as if his token narrowed nothing. Who is not there is left out. The policy is
    /// put in as it stands: edges get it with the tenant, everyone else takes [`Facts::policy`].
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn customers(
        &mut self,
        ids: &[CustomerId],
        policy: TenantPolicy,
    ) -> Result<Vec<(CustomerId, Access)>, StoreError> {
        self.customers_on(ids, None, policy).await
    }

    /// The same with no other grants than those that may be on this package: on itself, and on any collection.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn customers_on(
        &mut self,
        ids: &[CustomerId],
        package: Option<&PackageName>,
        policy: TenantPolicy,
    ) -> Result<Vec<(CustomerId, Access)>, StoreError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query!(
            r#"select id, name, suspended_at, suspended_reason, expires_at, minimum_stability, source
                    , frozen as "frozen: Json<Freeze>"
               from customer where tenant_id = $1 and id = any($2) order by id"#,
            self.tenant.0,
            &ids
        )
        .fetch_all(&mut *self.connection)
        .await?;
        let mut grants = self.grants(&ids, package).await?;
        rows.into_iter()
            .map(|row| {
                let id = CustomerId(row.id);
                let status = match row.suspended_at {
                    Some(_) => CustomerStatus::Suspended { reason: row.suspended_reason },
                    None => CustomerStatus::Active,
                };
                let customer = Customer {
                    id: id.to_string(),
                    name: row.name,
                    status,
                    expires_at: row.expires_at,
                    minimum_stability: stability(row.minimum_stability.as_deref(), "customer")?,
                    lapsed_at: row.suspended_at,
                    frozen: row.frozen.map(|frozen| frozen.0),
                    source_shown: row.source.map(|source| source == "show"),
                };
                let grants = grants.remove(&row.id).unwrap_or_default();
                Ok((id, Access { token: Token::of_no_one(), customer, grants, policy }))
            })
            .collect()
    }

    /// Grants by customer, oldest first.
    async fn grants(
        &mut self,
        customers: &[Uuid],
        package: Option<&PackageName>,
    ) -> Result<HashMap<Uuid, Vec<Grant>>, StoreError> {
        let rows = sqlx::query!(
            r#"select g.customer_id, g.id, p.name as "package?", g.collection_id, g.version_constraint, g.minimum_stability
                    , g.updates_until, g.external_id, g.suspended_at, g.suspended_reason
               from access_grant g left join package p on p.tenant_id = g.tenant_id and p.id = g.package_id
               where g.tenant_id = $1 and g.customer_id = any($2)
                 and ($3::text is null or g.collection_id is not null or p.name = $3)
               order by g.created_at, g.id"#,
            self.tenant.0,
            customers,
            package.map(PackageName::as_str)
        )
        .fetch_all(&mut *self.connection)
        .await?;
        let mut grants: HashMap<Uuid, Vec<Grant>> = HashMap::new();
        // Thousands of grants say the same few words.
        let mut constraints: HashMap<String, Constraint> = HashMap::new();
        let mut names: HashMap<String, PackageName> = HashMap::new();
        for row in rows {
            let wrong = |error: &dyn std::fmt::Display| StoreError::inconsistent("access_grant", error);
            let target = match (row.package, row.collection_id) {
                (Some(name), _) => Target::Package(read(&mut names, name).map_err(|error| wrong(&error))?),
                (None, Some(collection)) => Target::Collection(CollectionId(collection).into()),
                (None, None) => return Err(wrong(&"a grant on nothing")),
            };
            let status = match row.suspended_at {
                Some(_) => GrantStatus::Suspended { reason: row.suspended_reason, since: row.suspended_at },
                None => GrantStatus::Active,
            };
            grants.entry(row.customer_id).or_default().push(Grant {
                id: GrantId(row.id).to_string(),
                target,
                constraint: read(&mut constraints, row.version_constraint).map_err(|error| wrong(&error))?,
                minimum_stability: stability(row.minimum_stability.as_deref(), "access_grant")?,
                updates_until: row.updates_until,
                status,
                external_id: row.external_id,
            });
        }
        Ok(grants)
    }
}

/// Reads a text, unless it was read before.
fn read<T: FromStr + Clone>(known: &mut HashMap<String, T>, text: String) -> Result<T, T::Err> {
    if let Some(value) = known.get(&text) {
        return Ok(value.clone());
    }
    let value: T = text.parse()?;
    known.insert(text, value.clone());
    Ok(value)
}
