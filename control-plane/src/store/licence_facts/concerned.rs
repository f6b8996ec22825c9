//! Whom a change may concern: found wide, never narrow. What it does to them the rules decide.

use std::collections::BTreeSet;

use cargoman_composer::name::PackageName;
use cargoman_licence::{Access, Target, in_token_scope};
use uuid::Uuid;

use super::{Collections, Facts};
use crate::domain::id::{CollectionId, CustomerId};
use crate::store::StoreError;

/// The packages of `directory` (in order) that a grant of the customer is on, directly or through a collection, and that his
/// token is not narrowed away from; in order.
#[must_use]
pub fn concerned_packages(access: &Access, collections: &Collections, directory: &[PackageName]) -> Vec<PackageName> {
    let mut concerned = BTreeSet::new();
    let mut everything_under = Vec::new();
    let mut names: Vec<&PackageName> = Vec::new();
    for grant in &access.grants {
        match &grant.target {
            Target::Package(name) => names.push(name),
            Target::Collection(id) => {
                let Some(collection) = collections.get(id) else { continue };
                names.extend(collection.packages.names());
                everything_under.extend(collection.packages.patterns());
            }
        }
    }
    concerned.extend(names.into_iter().filter(|name| directory.binary_search(name).is_ok()));
    if !everything_under.is_empty() {
        concerned.extend(directory.iter().filter(|name| everything_under.iter().any(|glob| glob.matches(name))));
    }
    concerned.into_iter().filter(|name| in_token_scope(access, name)).cloned().collect()
}

impl Facts<'_> {
    /// Customers, by id, with a grant on any of these packages (directly, through a collection that names it or through one with
    /// a pattern that takes it in) or on any of these collections. A package need not be there yet, or any more.
    ///
    /// # Errors
    /// When the database refuses or holds what it should not.
    pub async fn concerned_customers(
        &mut self,
        packages: &[PackageName],
        collections: &[CollectionId],
    ) -> Result<Vec<CustomerId>, StoreError> {
        let mut ids: BTreeSet<Uuid> = collections.iter().map(|id| id.0).collect();
        if !packages.is_empty() {
            for (id, collection) in self.collections().await? {
                if packages.iter().any(|name| collection.packages.contains(name)) {
                    let id: CollectionId =
                        id.0.parse().map_err(|error| StoreError::inconsistent("collection", error))?;
                    ids.insert(id.0);
                }
            }
        }
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let names: Vec<String> = packages.iter().map(|name| name.as_str().to_owned()).collect();
        let customers = sqlx::query_scalar!(
            r#"select customer_id as "customer_id!" from access_grant where tenant_id = $1 and collection_id = any($2)
               union
               select g.customer_id from package p join access_grant g on g.tenant_id = p.tenant_id and g.package_id = p.id
               where p.tenant_id = $1 and p.name = any($3)
               order by 1"#,
            self.tenant.0,
            &ids,
            &names
        )
        .fetch_all(&mut *self.connection)
        .await?;
        Ok(customers.into_iter().map(CustomerId).collect())
    }

    /// Every customer, by id.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn everyone(&mut self) -> Result<Vec<CustomerId>, StoreError> {
        let customers = sqlx::query_scalar!("select id from customer where tenant_id = $1 order by id", self.tenant.0)
            .fetch_all(&mut *self.connection)
            .await?;
        Ok(customers.into_iter().map(CustomerId).collect())
    }
}
