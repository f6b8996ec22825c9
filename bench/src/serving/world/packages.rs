//! The packages that come through git: documents of three sizes and archives of two.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use cargoman_testkit::git::Repository;
use cargoman_testkit::random::Random;
use serde_json::{Value, json};

use super::World;

/// Packages, and about how large their documents are when compressed.
pub(crate) const DOCUMENTS: [(&str, &str); 3] = [("acme/small", "2 KB"), (MODEL, "16 KB"), ("acme/large", "200 KB")];
/// Packages, and about how large their dists are.
pub(crate) const ARCHIVES: [(&str, &str); 2] = [("acme/archive", "100 KB"), ("acme/big-archive", "5 MB")];
/// The one that the many are copied from: 100 versions.
pub(crate) const MODEL: &str = "acme/middle";

/// Versions, letters in each composer.json and bytes in each archive that cannot be compressed.
struct Shape {
    versions: usize,
    noise: usize,
    archive: usize,
}

pub(super) fn publish(world: &World) -> Result<()> {
    let shapes = [
        (DOCUMENTS[0].0, Shape { versions: 8, noise: 120, archive: 2_000 }),
        (DOCUMENTS[1].0, Shape { versions: 100, noise: 60, archive: 2_000 }),
        (DOCUMENTS[2].0, Shape { versions: 1_000, noise: 140, archive: 200 }),
        (ARCHIVES[0].0, Shape { versions: 1, noise: 0, archive: 100_000 }),
        (ARCHIVES[1].0, Shape { versions: 1, noise: 0, archive: 5_000_000 }),
    ];
    for (name, shape) in shapes {
        let repository = repository(name, &shape);
        world.call("POST", "packages", &json!({"repository_url": repository.path(), "name": name}))?;
        let synced = world.call("POST", &format!("packages/{name}/sync?wait=true"), &Value::Null)?;
        if synced["state"] != "succeeded" {
            bail!("{name}: {synced}");
        }
    }
    Ok(())
}

/// A library whose composer.json says something else with each version, as real ones do now and then.
fn repository(name: &str, shape: &Shape) -> Repository {
    let repository = Repository::bare();
    let mut random = Random::new(7);
    for version in 0..shape.versions {
        let manifest = json!({
            "name": name,
            "description": format!("A library with {} versions", shape.versions),
            "license": "MIT",
            "keywords": ["payment", "checkout"],
            "require": {"php": ">=7.4"},
            "suggest": {"psr/log": format!("^1.{}", version / 10)},
            "autoload": {"psr-4": {"Acme\\": "src/"}},
            "extra": {"build": letters(&mut random, shape.noise)},
        });
        repository.write("composer.json", manifest.to_string());
        repository.write("src/noise", letters(&mut random, shape.archive * 4 / 3));
        repository.commit(&format!("Release {version}")).tag(&format!("v1.{version}.0"));
    }
    repository
}

/// Six bits each: a third more letters than bytes that are left of them when compressed.
fn letters(random: &mut Random, count: usize) -> String {
    const SIX_BITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(count + 10);
    while out.len() < count {
        let mut drawn = random.draw();
        for _ in 0..10 {
            out.push(char::from(SIX_BITS[usize::try_from(drawn & 63).unwrap_or_default()]));
            drawn >>= 6;
        }
    }
    out.truncate(count);
    let _ = writeln!(out);
    out.trim_end().to_owned()
}
