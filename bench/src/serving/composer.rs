//! A real `composer update` of a project with 150 packages, from the edge and from a static tree behind nginx, as Satis would
//! have written it.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cargoman_testkit::composer::Composer;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::nginx::Nginx;
use super::protocol::Protocol;
use super::report::{median, round};
use super::world::World;

/// Empty cache, no lock, nothing installed: metadata and dists.
#[derive(Debug, Serialize)]
pub(crate) struct Update {
    packages: usize,
    edge_ms: f64,
    nginx_ms: f64,
    ratio: f64,
}

const PACKAGES: usize = 150;

pub(crate) fn measure(world: &World, nginx: &Nginx, rounds: usize) -> Result<Update> {
    let names: Vec<&String> = world.names.iter().take(PACKAGES).collect();
    eprintln!("composer update of {} packages, {rounds} rounds", names.len());
    let peer = nginx.address(Protocol::Plain);
    names.iter().try_for_each(|name| copy(world, (&nginx.root(), peer), name))?;
    let root = json!({"packages": [], "metadata-url": "/static/p2/%package%.json"});
    std::fs::write(nginx.root().join("static/packages.json"), root.to_string())?;
    nginx.open_to_workers()?;
    let require: Map<String, Value> = names.iter().map(|name| ((*name).clone(), json!("*"))).collect();
    let project = |host: &str, url: &str| {
        let mut composer = Composer::new();
        composer.config_auth(host, "token", &world.token).project_with(url, &Value::Object(require.clone()));
        composer
    };
    let edge = world.address(Protocol::Plain);
    let (ours, theirs) = (project(edge, &format!("http://{edge}")), project(peer, &format!("http://{peer}/static")));
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        our_times.push(update(&ours, names.len())?);
        their_times.push(update(&theirs, names.len())?);
    }
    let (edge_ms, nginx_ms) = (median(&our_times), median(&their_times));
    Ok(Update {
        packages: names.len(),
        edge_ms: edge_ms.round(),
        nginx_ms: nginx_ms.round(),
        ratio: round(edge_ms / nginx_ms),
    })
}

fn update(composer: &Composer, packages: usize) -> Result<f64> {
    composer.clear_cache().uninstall(false);
    let begun = Instant::now();
    let output = composer.run(&["update", "--no-scripts"]);
    let took = begun.elapsed().as_secs_f64() * 1e3;
    if !output.status.success() || composer.installed().len() != packages {
        bail!("composer update failed: {output:?}");
    }
    Ok(took)
}

/// The documents of one package and its newest dist, with nginx's address in them.
fn copy(world: &World, (root, peer): (&Path, &str), name: &str) -> Result<()> {
    let static_root = root.join("static");
    for file in [format!("p2/{name}.json"), format!("p2/{name}~dev.json")] {
        let text = String::from_utf8(world.fetch(&format!("/{file}"), false)?.body)?;
        let moved = text.replace(world.address(Protocol::Plain), &format!("{peer}/static"));
        write(&static_root.join(&file), moved.as_bytes())?;
        Command::new("gzip").args(["-6", "-k"]).arg(static_root.join(&file)).status()?;
    }
    let path = world.dist_path(name)?;
    write(&static_root.join(path.trim_start_matches('/')), &world.fetch(&path, false)?.body)
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::create_dir_all(file.parent().context("a folder")?)?;
    Ok(std::fs::write(file, bytes)?)
}
