//! The first sync of a repository in this machine's file system, which is what Composer reads beside it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cargoman_testkit::git::{Repository, Shape};
use cargoman_tests::{Customer, World};
use serde::Serialize;
use serde_json::{Value, json};

use super::{composer, median, worker};

const LIMIT: Duration = Duration::from_secs(300);

/// One repository.
#[derive(Debug, Serialize)]
pub(super) struct First {
    pub(super) repository: &'static str,
    pub(super) tags: usize,
    pub(super) branches: usize,
    /// From the worker's start to the last manifest.
    pub(super) manifests_ms: f64,
    /// From the package's creation to ten versions on the edge.
    pub(super) ten_ms: f64,
    /// … to all of them, with their zips.
    pub(super) all_ms: f64,
    /// Once more, nothing changed.
    pub(super) unchanged_ms: f64,
    /// Composer reading the metadata of the same repository, without any zip.
    pub(super) composer_ms: f64,
}

/// A registry, and a customer who sees whatever is added.
pub(super) fn registry() -> (World, Customer) {
    let world = World::start();
    let operator = world.operator();
    operator.post("/collections", &json!({"name": "All", "slug": "all", "packages": ["bench/*"]}));
    let customer = operator.customer("Customer");
    operator.grant(&customer, &json!({"collection": "all", "minimum_stability": "dev"}));
    (world, customer)
}

/// Adds a package, whose first sync begins with that; gives the sync's task.
pub(super) fn add(world: &World, name: &str, repository: &Repository) -> Result<String> {
    let made = world.operator().post("/packages", &json!({"repository_url": repository.path(), "name": name}));
    Ok(made["task"].as_str().context("no task")?.to_owned())
}

/// Waits until the edge shows so many versions.
fn wait_for(world: &World, customer: &Customer, name: &str, count: usize) -> Result<()> {
    let (reader, until) = (world.reader(customer), Instant::now() + LIMIT);
    let shown = |suffix: &str| {
        let answer = reader.get(&format!("/p2/{name}{suffix}.json"));
        if answer.status == 200 { String::from_utf8_lossy(&answer.body).matches("\"version\":").count() } else { 0 }
    };
    // The newest ten are tags and branches.
    while shown("") + shown("~dev") < count {
        if Instant::now() > until {
            bail!("{count} versions of {name} do not come");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

impl First {
    pub(super) fn measure(repository: &'static str, shape: &Shape, rounds: usize) -> Result<Self> {
        eprintln!("first syncs of a repository {repository}: {} tags", shape.tags);
        let folder = tempfile::tempdir()?;
        let (world, customer) = registry();
        let (mut manifests, mut ten, mut all, mut unchanged, mut composer) = (vec![], vec![], vec![], vec![], vec![]);
        for round in 0..rounds {
            let name = format!("bench/round-{round}");
            let shape = Shape { name: name.clone(), seed: shape.seed + round as u64, ..shape.clone() };
            let made = Repository::shaped(&shape);
            let began = Instant::now();
            let task = add(&world, &name, &made)?;
            wait_for(&world, &customer, &name, 10)?;
            ten.push(began.elapsed().as_secs_f64() * 1e3);
            let result = world.operator().finished(&task)["result"].clone();
            all.push(began.elapsed().as_secs_f64() * 1e3);
            let added = result["added"].as_array().map_or(0, Vec::len);
            if added != shape.tags + shape.branches {
                bail!("{added} of {} versions: {result}", shape.tags + shape.branches);
            }
            unchanged.extend(again(&world, &name)?);
            manifests.push(worker::manifests(made.path(), &folder.path().join(round.to_string()))?);
            composer.push(composer::read(made.path())?);
        }
        Ok(Self {
            repository,
            tags: shape.tags,
            branches: shape.branches,
            manifests_ms: median(manifests),
            ten_ms: median(ten),
            all_ms: median(all),
            unchanged_ms: median(unchanged),
            composer_ms: median(composer),
        })
    }
}

/// Milliseconds of syncs that find nothing, by the job's own clock.
pub(super) fn again(world: &World, name: &str) -> Result<Vec<f64>> {
    let found = |_| {
        let result: Value = world.operator().sync(name);
        match (result["unchanged"].as_bool(), result["took_ms"].as_f64()) {
            (Some(true), Some(took)) => Ok(took),
            _ => bail!("a sync found something new: {result}"),
        }
    };
    (0..3).map(found).collect()
}
