//! How long syncs of generated repositories take, beside Composer's own reading of the same repository.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cargoman_testkit::cargoman::Registry;
use cargoman_testkit::git::{Repository, Shape};
use serde::Serialize;
use serde_json::{Value, json};

use crate::machine;

/// One repository.
#[derive(Debug, Serialize)]
pub(crate) struct Sync {
    repository: &'static str,
    tags: usize,
    versions: usize,
    /// First sync, all dists built and stored.
    first_ms: f64,
    /// Once more, nothing changed.
    unchanged_ms: f64,
    /// Composer reading the metadata of the same repository, without any dist.
    composer_metadata_ms: f64,
}

/// Measures, and writes what it measured to `results`.
pub(crate) fn measure(results: &Path) -> Result<()> {
    let registry = Registry::builder().config("[git]\nallow_local = true\n").start();
    let shapes = [
        ("monolog-shaped", Shape::monolog()),
        ("500 tags", Shape { tags: 500, branches: 5, ..Shape::monolog() }),
        ("console-shaped", Shape::console()),
    ];
    let measured = shapes.into_iter().enumerate().map(|(at, (name, shape))| one(&registry, at, name, shape));
    let syncs = measured.collect::<Result<Vec<_>>>()?;
    let machine = machine::describe();
    let whole = json!({"machine": machine, "syncs": syncs});
    std::fs::write(results.join("syncs.json"), format!("{whole:#}\n"))?;
    let table = table(&machine, &syncs)?;
    std::fs::write(results.join("syncs.md"), &table)?;
    print!("{table}");
    Ok(())
}

fn table(machine: &Value, syncs: &[Sync]) -> Result<String> {
    let mut out = format!("{}.\n\n", machine::line(machine));
    writeln!(out, "| repository | versions | first sync ms | unchanged ms | Composer reading metadata alone ms |")?;
    writeln!(out, "|---|---|---|---|---|")?;
    for sync in syncs {
        let Sync { repository, versions, first_ms, unchanged_ms, composer_metadata_ms, .. } = sync;
        writeln!(out, "| {repository} | {versions} | {first_ms} | {unchanged_ms} | {composer_metadata_ms:.0} |")?;
    }
    Ok(out)
}

fn one(registry: &Registry, at: usize, name: &'static str, shape: Shape) -> Result<Sync> {
    let package = format!("bench/shape-{at}");
    let shape = Shape { name: package.clone(), ..shape };
    let repository = Repository::shaped(&shape);
    eprintln!("sync of {name}: {} tags", shape.tags);
    let body = json!({"repository_url": repository.path(), "name": package});
    let (status, answer) = registry.api("POST", "/api/v1/packages", Some(&body));
    if status != 201 {
        bail!("{answer}");
    }
    // The first sync is queued already; its own clock counts, not ours.
    let task = answer["data"]["task"].as_str().context("no task")?.to_owned();
    let first = cargoman_testkit::deadline::poll_until("the first sync", std::time::Duration::from_secs(300), || {
        let (_, answer) = registry.api("GET", &format!("/api/v1/tasks/{task}"), None);
        (answer["data"]["state"] == "succeeded").then(|| answer["data"]["result"].clone())
    });
    let path = format!("/api/v1/packages/{package}/sync?wait=true");
    let mut unchanged: Vec<f64> = (0..5)
        .map(|_| {
            let (_, answer) = registry.api("POST", &path, None);
            if answer["data"]["unchanged"] != true {
                bail!("the second sync found something: {answer}");
            }
            answer["data"]["took_ms"].as_f64().context("took_ms")
        })
        .collect::<Result<_>>()?;
    unchanged.sort_by(f64::total_cmp);
    Ok(Sync {
        repository: name,
        tags: shape.tags,
        versions: first["added"].as_array().map_or(0, Vec::len),
        first_ms: first["took_ms"].as_f64().context("took_ms")?,
        unchanged_ms: unchanged[unchanged.len() / 2],
        composer_metadata_ms: composer(repository.path())?,
    })
}

/// Composer's own reading of a repository's versions, as Satis and its kin use it.
const READ: &str = r#"
require getenv('COMPOSER_AUTOLOAD') ?: '/usr/share/php/Composer/autoload.php';
$io = new Composer\IO\NullIO();
$config = Composer\Factory::createConfig($io);
$http = new Composer\Util\HttpDownloader($io, $config);
$repository = new Composer\Repository\VcsRepository(['url' => $argv[1], 'type' => 'git'], $io, $config, $http);
echo count($repository->getPackages());
"#;

fn composer(path: &Path) -> Result<f64> {
    let home = std::env::temp_dir().join(format!("cargoman-bench-composer-{}", std::process::id()));
    let begun = Instant::now();
    let read = Command::new("php").args(["-r", READ]).arg(path).env("COMPOSER_HOME", &home).output()?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    std::fs::remove_dir_all(&home).ok();
    if !read.status.success() {
        bail!("Composer could not read it: {}", String::from_utf8_lossy(&read.stdout));
    }
    Ok(took)
}
