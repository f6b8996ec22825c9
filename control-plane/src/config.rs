//! The control plane's configuration: one TOML file, then the environment, then flags. Unknown keys are errors.
//!
//! Secrets are never read from the file. Section names are disjoint from the edge's, so that `cargoman up` takes both in one.

mod network;
mod storage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

pub use self::network::{NetworkConfig, TrustConfig};
pub use self::storage::{Addressing, SecretAccessKey, StorageConfig, StorageKind};
use crate::git::address::AllowedHosts;
use crate::git::url::UrlPolicy;

/// Names of the sections that belong to the control plane.
pub const SECTIONS: [&str; 11] =
    ["server", "tenancy", "storage", "git", "trust", "network", "uploads", "jobs", "database", "link", "secrets"];

/// Everything the control plane can be told.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Listeners and public address.
    pub server: ServerConfig,
    /// Hosts of tenants.
    pub tenancy: TenancyConfig,
    /// Where dists lie.
    pub storage: StorageConfig,
    /// How repositories are read.
    pub git: GitConfig,
    /// Whom it believes.
    pub trust: TrustConfig,
    /// Through what it goes.
    pub network: NetworkConfig,
    /// Versions that are uploaded.
    pub uploads: UploadsConfig,
    /// Background work.
    pub jobs: JobsConfig,
    /// The pool of connections.
    pub database: DatabaseConfig,
    /// The link to the edges.
    pub link: LinkConfig,
    /// The secrets of others that the database keeps.
    pub secrets: SecretsConfig,
}

/// Listeners and public address.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// The public API listens here.
    pub listen: SocketAddr,
    /// The edge API listens here; never reachable from outside.
    pub edge_listen: SocketAddr,
    /// The edge API's certificate, PEM, the leaf first; with it the edge API speaks TLS.
    pub edge_tls_certificate: Option<PathBuf>,
    /// The certificate's key, PEM.
    pub edge_tls_key: Option<PathBuf>,
    /// Canonical address of the default tenant, `https://packages.example.com`.
    pub public_url: Option<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            edge_listen: SocketAddr::from(([127, 0, 0, 1], 8082)),
            edge_tls_certificate: None,
            edge_tls_key: None,
            public_url: None,
        }
    }
}

/// Hosts of tenants.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenancyConfig {
    /// With `registry.example`, every tenant answers at `{slug}.registry.example`.
    pub zone: Option<String>,
}

/// How repositories are read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GitConfig {
    /// Allows absolute paths, `file://` and `http://` to loopback.
    pub allow_local: bool,
    /// Hosts and networks that may be reached although their addresses are private.
    pub allowed_hosts: Vec<String>,
    /// Ports that may be reached.
    pub allowed_ports: Vec<u16>,
    /// File of host keys in OpenSSH's form; hosts that are not in it are believed the first time.
    pub known_hosts: Option<PathBuf>,
    /// Folder of the mirrors; without it `git` in the data folder.
    pub root: Option<PathBuf>,
    /// User as whom repositories are read, where we are root.
    pub user: Option<String>,
    /// Wall-clock seconds after which a sync is killed.
    pub timeout_seconds: u64,
    /// How often a repository is looked at of which no webhook tells, in minutes; 0 for never.
    pub poll_minutes: u64,
    /// How often the projects of groups at forges are listed, in minutes; 0 for never.
    pub group_minutes: u64,
}

impl Default for GitConfig {
    fn default() -> Self {
        Self {
            allow_local: false,
            allowed_hosts: Vec::new(),
            allowed_ports: vec![443, 22],
            known_hosts: None,
            root: None,
            user: None,
            timeout_seconds: 900,
            poll_minutes: 15,
            group_minutes: 60,
        }
    }
}

impl GitConfig {
    /// Which addresses are taken.
    #[must_use]
    pub fn url_policy(&self) -> UrlPolicy {
        UrlPolicy {
            allow_local: self.allow_local,
            allowed_hosts: AllowedHosts::parse(&self.allowed_hosts).unwrap_or_default(),
            allowed_ports: self.allowed_ports.clone(),
        }
    }
}

/// Versions that are uploaded.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UploadsConfig {
    /// Largest zip, in bytes.
    pub max_size: u64,
    /// Folder in which zips wait until they are whole and checked; without it `uploads` beside the mirrors.
    pub root: Option<PathBuf>,
}

impl Default for UploadsConfig {
    fn default() -> Self {
        Self { max_size: 256 << 20, root: None }
    }
}

/// Background work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JobsConfig {
    /// Jobs at once; 0 runs none here.
    pub workers: usize,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self { workers: 2 }
    }
}

/// The pool of connections.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// Connections of each of the two roles.
    pub connections: u32,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { connections: 16 }
    }
}

/// The link to the edges.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkConfig {
    /// How long an edge may believe what it knows without hearing anything, in seconds.
    pub lease_seconds: u64,
    /// How long after that it may go on for tenants who want it, in hours; without it 24.
    pub grace_hours: Option<u64>,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self { lease_seconds: 3, grace_hours: None }
    }
}

impl LinkConfig {
    /// Practically without end: for an edge that lives and dies with its control plane.
    pub const ENDLESS_HOURS: u64 = 87_600;

    /// How long an edge may believe what it knows.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// How long after that it may go on.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_hours.unwrap_or(24) * 3600)
    }
}

/// The secrets of others that the database keeps.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsConfig {
    /// The file of master keys, newest first; `CARGOMAN_MASTER_KEY` goes before it.
    pub key_file: Option<PathBuf>,
}

/// Something in the configuration is not acceptable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not what it should be.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Values that make no sense, all of them.
    #[error("{}", .0.join("\n"))]
    Values(Vec<String>),
}

impl Config {
    /// Reads the sections of the control plane and checks every value.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn from_table(table: toml::Table) -> Result<Self, ConfigError> {
        // Section by section: a misspelt key in one must not hide what is wrong in another.
        let mut problems = Vec::new();
        let mut right = toml::Table::new();
        for (name, section) in table {
            let alone = toml::Table::from_iter([(name.clone(), section.clone())]);
            match alone.try_into::<Self>() {
                Ok(_) => drop(right.insert(name, section)),
                Err(error) => problems.push(format!("{name}: {}", error.to_string().trim_end())),
            }
        }
        let config: Self = right.try_into()?;
        problems.extend(config.problems());
        if problems.is_empty() { Ok(config) } else { Err(ConfigError::Values(problems)) }
    }

    /// Checks every value once more: flags may have changed some.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn check(self) -> Result<Self, ConfigError> {
        let problems = self.problems();
        if problems.is_empty() { Ok(self) } else { Err(ConfigError::Values(problems)) }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = self.storage.problems();
        if let Some(Err(problem)) = self.server.public_url.as_deref().map(check_public_url) {
            problems.push(format!("server.public_url: {problem}"));
        }
        if self.server.edge_tls_certificate.is_some() != self.server.edge_tls_key.is_some() {
            problems.push("server.edge_tls_certificate and server.edge_tls_key: give both or neither".to_owned());
        }
        if let Some(zone) = &self.tenancy.zone {
            let label = |label: &str| crate::domain::text::is_slug(label);
            if zone.len() > 180 || !zone.split('.').all(label) {
                problems.push("tenancy.zone: must be a lower-case host name such as registry.example".to_owned());
            }
        }
        if let Err(error) = AllowedHosts::parse(&self.git.allowed_hosts) {
            problems.push(format!("git.allowed_hosts: {error}"));
        }
        if !(1..=24 * 3600).contains(&self.git.timeout_seconds) {
            problems.push("git.timeout_seconds: must be 1 to 86400".to_owned());
        }
        if self.git.known_hosts.as_ref().is_some_and(|file| !file.is_absolute()) {
            problems.push("git.known_hosts: must be an absolute path".to_owned());
        }
        if self.git.poll_minutes > 7 * 24 * 60 {
            problems.push("git.poll_minutes: must be 0 (never) to 10080 (a week)".to_owned());
        }
        if self.git.group_minutes > 7 * 24 * 60 {
            problems.push("git.group_minutes: must be 0 (never) to 10080 (a week)".to_owned());
        }
        if !(1 << 10..=2 << 30).contains(&self.uploads.max_size) {
            problems.push("uploads.max_size: must be 1024 (1 KiB) to 2147483648 (2 GiB)".to_owned());
        }
        if self.jobs.workers > 64 {
            problems.push("jobs.workers: must be 0 to 64".to_owned());
        }
        if !(2..=500).contains(&self.database.connections) {
            problems.push("database.connections: must be 2 to 500".to_owned());
        }
        if !(2..=60).contains(&self.link.lease_seconds) {
            problems.push("link.lease_seconds: must be 2 to 60".to_owned());
        }
        if self.link.grace_hours.is_some_and(|hours| hours > LinkConfig::ENDLESS_HOURS) {
            problems.push("link.grace_hours: must be 0 to 87600 (ten years)".to_owned());
        }
        problems
    }
}

fn check_public_url(text: &str) -> Result<(), &'static str> {
    const SHAPE: &str = "must be http:// or https://, a host and at most a port: https://packages.example.com";
    let url = url::Url::parse(text).map_err(|_| SHAPE)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !bare || url.host_str().is_none() { Err(SHAPE) } else { Ok(()) }
}

impl ServerConfig {
    /// Where Composer reaches a tenant, without a trailing slash. Never taken from a request.
    #[must_use]
    pub fn canonical_url(&self, tenancy: &TenancyConfig, slug: &str, is_default: bool) -> String {
        let public = self.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
        match (&tenancy.zone, url::Url::parse(public)) {
            (Some(zone), Ok(url)) if !is_default => {
                let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
                format!("{}://{slug}.{zone}{port}", url.scheme())
            }
            _ => public.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        Config::from_table(text.parse().unwrap())
    }

    #[test]
    fn unknown_keys_and_bad_values_are_errors() {
        assert!(read("").is_ok());
        for bad in ["[serve]\n", "[git]\nallow = true", "[storage]\nkind = \"tape\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let Err(error) = read("[server]\npublic_url = \"ftp://x\"\n[tenancy]\nzone = \"A_B\"\n[jobs]\nworkers = 100")
        else {
            panic!("refused")
        };
        assert_eq!(error.to_string().lines().count(), 3, "{error}");
    }

    #[test]
    fn the_documented_file_holds_the_defaults() {
        let documented = include_str!("../../config/control-plane.toml");
        assert_eq!(format!("{:?}", read(documented).unwrap()), format!("{:?}", Config::default()));
        // What is commented out must be a setting all the same.
        let whole: String = documented
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .fold(String::new(), |all, line| all + line + "\n");
        let config = read(&whole).unwrap();
        assert!(config.server.public_url.is_some() && config.tenancy.zone.is_some() && config.storage.root.is_some());
        assert!(config.secrets.key_file.is_some());
    }

    #[test]
    fn addresses_of_tenants() {
        let server =
            ServerConfig { public_url: Some("https://repo.example:8443".to_owned()), ..ServerConfig::default() };
        let none = TenancyConfig::default();
        let zone = TenancyConfig { zone: Some("registry.example".to_owned()) };
        assert_eq!(server.canonical_url(&none, "acme", false), "https://repo.example:8443");
        assert_eq!(server.canonical_url(&zone, "acme", true), "https://repo.example:8443");
        assert_eq!(server.canonical_url(&zone, "acme", false), "https://acme.registry.example:8443");
    }
}
