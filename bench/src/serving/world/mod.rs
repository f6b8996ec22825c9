//! The world that is served: one control plane, one edge, and behind them 1,000 packages of 100 versions, 100,000 customers and
//! 500,000 tokens. A few packages come the way every package comes, through git; the many are rows copied from one of them, as
//! are customers and tokens, because asking the API for each would take an hour.

mod packages;
mod rows;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cargoman_testkit::cargoman::ScaleOut;
use cargoman_testkit::{port, raw_http};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) use self::rows::SETS;
use super::protocol::Protocol;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) packages: usize,
    pub(crate) customers: usize,
    pub(crate) tokens: usize,
}

impl Size {
    /// What the figures are for.
    pub(crate) const WHOLE: Self = Self { packages: 1_000, customers: 100_000, tokens: 500_000 };
    /// To see that it works.
    pub(crate) const QUICK: Self = Self { packages: 50, customers: 1_000, tokens: 5_000 };
}

/// One thing that is asked again and again.
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Path at both servers.
    pub(crate) path: String,
    /// Sent as `If-Modified-Since`.
    pub(crate) known: Option<String>,
    /// What the edge answers without and with compression: nginx serves the same bytes.
    pub(crate) identity: Vec<u8>,
    pub(crate) gzip: Option<Vec<u8>>,
    /// Whether the right token goes along.
    pub(crate) authorized: bool,
}

impl Scenario {
    /// Whether the answer goes out in one piece.
    pub(crate) fn fits_one_write(&self) -> bool {
        self.gzip.as_ref().unwrap_or(&self.identity).len() <= 32 << 10
    }
}

pub(crate) struct World {
    pub(crate) registry: ScaleOut,
    /// Of one who may have everything.
    pub(crate) token: String,
    /// Of the many; each customer has one of [`SETS`] sets of rights.
    pub(crate) tokens: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    tls_address: String,
    // After the processes that use it.
    pub(crate) folder: TempDir,
}

impl World {
    pub(crate) fn build(size: Size) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (certificate, key) = certificate(folder.path())?;
        let tls_address = format!("127.0.0.1:{}", port::free());
        // Both ways are measured side by side, so none is sent to the other.
        let edge = format!(
            "[tls]\nlisten = [\"{tls_address}\"]\nredirect = false\n[[tls.certificates]]\ncertificate = {certificate:?}\nkey = {key:?}\n"
        );
        let registry = ScaleOut::start_with_edge_config(1, 1, &edge);
        let mut world = Self {
            registry,
            token: String::new(),
            tokens: Vec::new(),
            names: Vec::new(),
            certificate,
            key,
            tls_address,
            folder,
        };
        eprintln!("packages from git");
        packages::publish(&world)?;
        world.call("POST", "collections", &json!({"slug": "all", "name": "All", "packages": ["acme/*"]}))?;
        let made = world.call("POST", "customers", &json!({"name": "Load"}))?;
        world.token = made["token"].as_str().context("no token")?.to_owned();
        let grants = format!("customers/{}/packages", made["id"].as_str().context("no customer")?);
        world.call("POST", &grants, &json!({"collection": "all"}))?;
        eprintln!("{} packages, {} customers, {} tokens", size.packages, size.customers, size.tokens);
        rows::fill(&mut world, size)?;
        // Rows that come in behind its back are told to nobody: the edge begins anew, and the planner learns how many there are.
        world.registry.database.query("analyze");
        world.begin_anew()?;
        Ok(world)
    }

    /// `host:port` at the edge.
    pub(crate) fn address(&self, protocol: Protocol) -> &str {
        match protocol {
            Protocol::Plain => self.registry.edges[0].address(),
            Protocol::Tls | Protocol::Http2 => &self.tls_address,
        }
    }

    /// The edge's process.
    pub(crate) fn edge(&self) -> u32 {
        self.registry.edges[0].pid()
    }

    pub(crate) fn empty_log(&self) -> Result<()> {
        Ok(std::fs::write(self.registry.edges[0].log_path(), "")?)
    }

    /// Starts the edge with nothing in memory and nothing in its folder.
    pub(crate) fn begin_anew(&mut self) -> Result<()> {
        self.registry.edges[0].stop();
        std::fs::remove_dir_all(self.registry.edge_state(0))?;
        self.registry.edges[0].start();
        Ok(())
    }

    /// What everybody is asked for in turn.
    pub(crate) fn scenarios(&self) -> Result<Vec<Scenario>> {
        let mut all = Vec::new();
        for (name, size) in packages::DOCUMENTS {
            all.push(self.scenario(&format!("p2 {size} 200"), &format!("/p2/{name}.json"))?);
        }
        for (name, size) in packages::DOCUMENTS.into_iter().take(2) {
            let path = format!("/p2/{name}.json");
            let known = self.fetch(&path, false)?.header("last-modified").map(str::to_owned);
            all.push(Scenario { known, ..self.scenario(&format!("p2 {size} 304"), &path)? });
        }
        all.push(self.scenario("packages.json 200", "/packages.json")?);
        all.push(Scenario { authorized: false, ..self.scenario("packages.json 401", "/packages.json")? });
        for (name, size) in packages::ARCHIVES {
            all.push(self.scenario(&format!("dist {size} 200"), &self.dist_path(name)?)?);
        }
        Ok(all)
    }

    /// Where the first version of a package lies.
    pub(crate) fn dist_path(&self, name: &str) -> Result<String> {
        let document: Value = serde_json::from_slice(&self.fetch(&format!("/p2/{name}.json"), false)?.body)?;
        let url = document["packages"][name][0]["dist"]["url"].as_str().context("no dist")?;
        Ok(url.trim_start_matches("http://").trim_start_matches(self.address(Protocol::Plain)).to_owned())
    }

    fn scenario(&self, name: &str, path: &str) -> Result<Scenario> {
        let identity = self.fetch(path, false)?.body;
        let packed = self.fetch(path, true)?;
        let gzip = packed.header("content-encoding").is_some().then_some(packed.body);
        let bytes = gzip.as_ref().unwrap_or(&identity).len();
        Ok(Scenario {
            name: format!("{name} ({bytes} bytes)"),
            path: path.to_owned(),
            known: None,
            identity,
            gzip,
            authorized: true,
        })
    }

    pub(crate) fn fetch(&self, path: &str, gzip: bool) -> Result<raw_http::Response> {
        let authorization = basic(&self.token);
        let mut headers = vec![("Authorization", authorization.as_str())];
        if gzip {
            headers.push(("Accept-Encoding", "gzip"));
        }
        let response = raw_http::get(&format!("http://{}{path}", self.address(Protocol::Plain)), &headers);
        if response.status != 200 {
            bail!("{path}: {}", response.status);
        }
        Ok(response)
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = Some(body).filter(|body| !body.is_null());
        let (status, mut answer) = self.registry.api(0, method, &format!("/api/v1/{path}"), body);
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status} {answer}");
        }
        Ok(answer["data"].take())
    }
}

/// `Basic …`
pub(crate) fn basic(token: &str) -> String {
    basic_as("token", token)
}

/// The same with another name.
pub(crate) fn basic_as(name: &str, token: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{token}")))
}

/// Both servers show the same one: ECDSA P-256.
fn certificate(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, own.cert.pem())?;
    std::fs::write(&key, own.signing_key.serialize_pem())?;
    Ok((certificate, key))
}
