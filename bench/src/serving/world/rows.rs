//! The many: rows that are written into the database itself.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargoman_credential::{Kind, Secret};
use ring::rand::SystemRandom;
use serde_json::json;
use uuid::Uuid;

use super::packages::MODEL;
use super::{Size, World};

/// Distinct sets of rights among the customers: each may have versions up to another one.
pub(crate) const SETS: usize = 20;

pub(super) fn fill(world: &mut World, size: Size) -> Result<()> {
    let tenant = world.registry.database.query("select id from tenant where is_default").trim().to_owned();
    for number in 0..size.packages {
        world.names.push(format!("acme/p{number:04}"));
    }
    copy_packages(world, &tenant, size.packages)?;
    let collections = (0..SETS).map(|set| collection(world, set)).collect::<Result<Vec<_>>>()?;
    let (mut customers, mut grants, mut tokens) = (String::new(), String::new(), String::new());
    let random = SystemRandom::new();
    for number in 0..size.customers {
        let id = Uuid::from_u128(1 << 100 | number as u128);
        writeln!(customers, "{tenant}\t{id}\tCustomer {number}")?;
        writeln!(grants, "{tenant}\t{id}\t{id}\t{}\t*", collections.get(number % SETS).context("a collection")?)?;
    }
    for number in 0..size.tokens {
        let (id, customer) = (Uuid::from_u128(2 << 100 | number as u128), number % size.customers);
        let customer = Uuid::from_u128(1 << 100 | customer as u128);
        let secret = Secret::generate(Kind::Token, &random).ok().context("random bytes")?;
        writeln!(tokens, "{tenant}\t{id}\t{customer}\tCI\tdownload\t{}\t{}", secret.digest(), secret.last_four())?;
        world.tokens.push(secret.expose().to_owned());
    }
    copy(world, "customer (tenant_id, id, name)", &customers)?;
    copy(world, "access_grant (tenant_id, id, customer_id, collection_id, version_constraint)", &grants)?;
    copy(world, "token (tenant_id, id, customer_id, name, scope, digest, last_four)", &tokens)
}

fn collection(world: &World, set: usize) -> Result<String> {
    let body = json!({
        "slug": format!("set-{set}"), "name": format!("Set {set}"), "packages": ["acme/*"],
        "constraint": format!("<1.{}", 100 - set),
    });
    let id = world.call("POST", "collections", &body)?["id"].as_str().context("no collection")?.to_owned();
    // As the database has it.
    Ok(id.trim_start_matches(|c| c != '_').trim_start_matches('_').to_owned())
}

/// The model's rows under other names; their dists are the model's.
fn copy_packages(world: &World, tenant: &str, count: usize) -> Result<()> {
    let sql = format!(
        "create temporary table model as select id from package where tenant_id = '{tenant}' and name = '{MODEL}';
         create temporary table copied as select gen_random_uuid() as id, 'acme/p' || lpad(n::text, 4, '0') as name
           from generate_series(0, {count} - 1) n;
         insert into package (tenant_id, id, name, repository_type, repository_url, default_branch, first_synced_at, synced_at)
           select p.tenant_id, c.id, c.name, p.repository_type, p.repository_url, p.default_branch, p.first_synced_at, p.synced_at
           from copied c, package p where p.id = (select id from model);
         create temporary table versions as select v.id as model, gen_random_uuid() as id, c.id as package_id, c.name
           from copied c, version v where v.package_id = (select id from model);
         insert into version (tenant_id, id, package_id, normalized, pretty, stability, kind, ref_name, default_branch, aliases,
                              metadata, reference)
           select v.tenant_id, n.id, n.package_id, v.normalized, v.pretty, v.stability, v.kind, v.ref_name, v.default_branch,
                  v.aliases, replace(v.metadata::text, '{MODEL}', n.name)::json, v.reference
           from versions n join version v on v.id = n.model;
         insert into version_reference (tenant_id, version_id, reference, published_at, dist_sha256)
           select r.tenant_id, n.id, r.reference, r.published_at, r.dist_sha256
           from versions n join version_reference r on r.version_id = n.model;"
    );
    world.registry.database.query(&sql);
    let made = world.registry.database.query("select count(*) from version where pretty like '%1.99%'");
    if made.trim().parse::<usize>().unwrap_or_default() < count {
        bail!("the model has fewer versions than it should");
    }
    Ok(())
}

/// Puts lines of tab-separated fields into a table.
fn copy(world: &World, table: &str, lines: &str) -> Result<()> {
    let file = world.folder.path().join("rows");
    std::fs::write(&file, lines)?;
    let command = format!("\\copy {table} from '{}'", file.display());
    let copied = Command::new("psql").args(["-q", "-X", world.registry.database.url(), "-c", &command]).status()?;
    if !copied.success() {
        bail!("rows could not be copied into {table}");
    }
    Ok(std::fs::remove_file(file)?)
}
