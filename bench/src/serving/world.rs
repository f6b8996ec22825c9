//! A registry with packages of several sizes, filled through its own API from generated git repositories.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cargoman_testkit::cargoman::Registry;
use cargoman_testkit::git::Repository;
use cargoman_testkit::raw_http;
use serde_json::{Value, json};

/// One thing that is asked again and again.
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Path at the edge.
    pub(crate) path: String,
    /// Sent as `If-Modified-Since`.
    pub(crate) known: Option<String>,
    /// What the edge answers: nginx serves the same bytes.
    pub(crate) body: Vec<u8>,
    /// Whether the right token goes along.
    pub(crate) authorized: bool,
}

pub(crate) struct World {
    pub(crate) registry: Registry,
    /// `Basic …`
    pub(crate) authorization: String,
    pub(crate) token: String,
    scenarios: Vec<Scenario>,
    _repositories: Vec<Repository>,
}

/// Packages and how many versions each has.
const PACKAGES: [(&str, usize); 3] = [("acme/small", 8), ("acme/middle", 90), ("acme/large", 900)];

impl World {
    pub(crate) fn build() -> Result<Self> {
        let registry = Registry::builder().config("[git]\nallow_local = true\n").start();
        let made = call(&registry, "POST", "customers", &json!({"name": "Load"}))?;
        let customer = made["id"].as_str().context("no customer")?.to_owned();
        let token = made["token"].as_str().context("no token")?.to_owned();
        let mut repositories = Vec::new();
        for (name, versions) in PACKAGES {
            let repository = repository(name, versions);
            let body = json!({"repository_url": repository.path(), "name": name});
            call(&registry, "POST", "packages", &body)?;
            let synced = call(&registry, "POST", &format!("packages/{name}/sync?wait=true"), &Value::Null)?;
            if synced["state"] != "succeeded" {
                bail!("{name}: {synced}");
            }
            call(&registry, "POST", &format!("customers/{customer}/packages"), &json!({"package": name}))?;
            repositories.push(repository);
        }
        let authorization = format!("Basic {}", STANDARD.encode(format!("token:{token}")));
        let mut world = Self { registry, authorization, token, scenarios: Vec::new(), _repositories: repositories };
        world.scenarios = world.make_scenarios()?;
        Ok(world)
    }

    pub(crate) fn scenarios(&self) -> impl Iterator<Item = &Scenario> {
        self.scenarios.iter()
    }

    pub(crate) fn edge_url(&self, scenario: &Scenario) -> String {
        format!("{}{}", self.registry.edge_url(), scenario.path)
    }

    fn make_scenarios(&self) -> Result<Vec<Scenario>> {
        let mut all = Vec::new();
        for (name, _) in PACKAGES {
            let path = format!("/p2/{name}.json");
            let (body, modified) = self.fetch(&path)?;
            let kib = body.len().div_ceil(1024);
            all.push(scenario(&format!("p2 {kib} KiB 200"), &path, None, &body, true));
            all.push(scenario(&format!("p2 {kib} KiB 304"), &path, modified, &body, true));
        }
        let (body, _) = self.fetch("/packages.json")?;
        all.push(scenario("packages.json 200", "/packages.json", None, &body, true));
        all.push(scenario("packages.json without token 401", "/packages.json", None, &body, false));
        let (p2, _) = self.fetch("/p2/acme/small.json")?;
        let p2: Value = serde_json::from_slice(&p2)?;
        let url = p2["packages"]["acme/small"][0]["dist"]["url"].as_str().context("no dist")?;
        let path = url.trim_start_matches(self.registry.edge_url()).to_owned();
        let (body, _) = self.fetch(&path)?;
        all.push(scenario(&format!("dist {} KiB 200", body.len().div_ceil(1024)), &path, None, &body, true));
        Ok(all)
    }

    fn fetch(&self, path: &str) -> Result<(Vec<u8>, Option<String>)> {
        let url = format!("{}{path}", self.registry.edge_url());
        let response = raw_http::get(&url, &[("Authorization", self.authorization.as_str())]);
        if response.status != 200 {
            bail!("{path}: {}", response.status);
        }
        let modified = response.header("last-modified").map(str::to_owned);
        Ok((response.body, modified))
    }
}

fn scenario(name: &str, path: &str, known: Option<String>, body: &[u8], authorized: bool) -> Scenario {
    Scenario { name: name.to_owned(), path: path.to_owned(), known, body: body.to_vec(), authorized }
}

fn call(registry: &Registry, method: &str, path: &str, body: &Value) -> Result<Value> {
    let (status, mut answer) =
        registry.api(method, &format!("/api/v1/{path}"), Some(body).filter(|body| !body.is_null()));
    if !(200..300).contains(&status) {
        bail!("{method} {path}: {status} {answer}");
    }
    Ok(answer["data"].take())
}

/// A library whose composer.json says something else with each version, as real ones do now and then.
fn repository(name: &str, versions: usize) -> Repository {
    let repository = Repository::bare();
    for version in 0..versions {
        let manifest = json!({
            "name": name,
            "description": format!("A library with {versions} versions"),
            "license": "MIT",
            "require": {"php": ">=7.4", "psr/log": format!("^1.{}", version / 10)},
            "autoload": {"psr-4": {"Acme\\": "src/"}},
        });
        let mut source = String::from("<?php\n");
        for line in 0..400 {
            // Writing to a string cannot fail.
            let _ = writeln!(source, "// {version} {line} {:x}", (line * 2_654_435_761_u64) ^ version as u64);
        }
        repository.write("composer.json", manifest.to_string()).write("src/Code.php", source);
        repository.commit(&format!("Release {version}")).tag(&format!("v1.{version}.0"));
    }
    repository
}
