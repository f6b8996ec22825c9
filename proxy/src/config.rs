//! Decides what may stand in `edge.toml`. Every problem is reported at once; secrets come by file or environment only.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cargoman_credential::{Kind, Secret};
use ipnet::IpNet;
use rustls::pki_types::CertificateDer;
use toml::{Table, Value};
use url::Url;

pub use self::tls::Tls;
pub use self::traces::{Share, Traces};
use crate::join::{self, Joining};
use crate::link;
use crate::settings::{self, Section};

/// Sections of an edge's configuration; those of the control plane have other names, so that one file may hold both.
pub const SECTIONS: [&str; 7] = ["edge", "tls", "control_plane", "cache", "limits", "metrics", "traces"];

/// Everything an edge needs to know before it starts.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// HTTPS, if this edge speaks it itself.
    pub tls: Tls,
    /// Threads that serve requests.
    pub threads: usize,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long requests in flight may go on after the signal to stop.
    pub drain: Duration,
    /// What people call this edge.
    pub name: String,
    /// What the edge keeps between its runs; one process at a time.
    pub state_directory: PathBuf,
    /// Bytes of disk for uses that the control plane has not counted yet.
    pub spool_bytes: u64,
    /// How long it may serve after its lease, whatever the control plane grants.
    pub longest_grace: Duration,
    /// Whether it gives up its membership when it stops. Not in a program that stops the control plane along with it.
    pub leave_at_stop: bool,
    /// The control plane.
    pub control_plane: ControlPlane,
    /// What is kept.
    pub cache: Cache,
    /// What a client may use up.
    pub limits: Limits,
    /// Where metrics are asked for; nowhere: they are not served. Not for the public.
    pub metrics_listen: Option<SocketAddr>,
    /// Where traces go; nowhere: none are made.
    pub traces: Option<Traces>,
    /// The plugins, in their order.
    pub plugins: Vec<PluginEntry>,
}

/// Where the control plane is, and how the edge proves itself to it.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    /// Edge APIs of its instances, at least one.
    pub edge_urls: Vec<Url>,
    /// Public APIs of its instances, for what is passed through; at least one.
    pub public_urls: Vec<Url>,
    /// This edge's credential.
    pub credential: EdgeCredential,
    /// Authorities of one's own that vouch for the edge API, beside the public ones.
    pub authorities: Vec<CertificateDer<'static>>,
    /// How long one read may take.
    pub timeout: Duration,
}

/// An edge's `cme_…` credential; never printed.
#[derive(Clone)]
pub struct EdgeCredential(Secret);

impl EdgeCredential {
    /// Recognises a credential.
    ///
    /// # Errors
    /// When it is no `cme_…` secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        match Secret::parse(text.trim()) {
            Ok(secret) if secret.kind() == Kind::Edge => Ok(Self(secret)),
            _ => Err("is no credential of an edge (cme_…): issue one in the control plane".to_owned()),
        }
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for EdgeCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is kept, and how much of it.
#[derive(Debug, Clone)]
pub struct Cache {
    /// Where dists lie; may be emptied whenever the edge does not run.
    pub directory: PathBuf,
    /// Bytes of memory for facts and rendered documents.
    pub metadata_bytes: u64,
    /// Bytes of disk for dists.
    pub dist_bytes: u64,
}

/// What a client may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; further ones are closed at once.
    pub connections: usize,
    /// Connections of one address at a time (for IPv6: of one /64); those of trusted proxies are not counted.
    pub connections_per_address: usize,
    /// How long the head of a request may take from its first byte, or a new connection until then.
    pub head: Duration,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// How long one read or write on a connection may stall.
    pub stall: Duration,
}

/// One `[[plugins]]` entry.
#[derive(Debug, Clone)]
pub struct PluginEntry {
    /// Its name in the registry table.
    pub name: String,
    /// Tenants it is for, by slug; empty: all.
    pub tenants: Vec<String>,
    /// Listeners it is for; empty: all.
    pub listeners: Vec<SocketAddr>,
    /// Its own settings.
    pub settings: Table,
}

/// Why a configuration is refused: one line per problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} problem(s):\n  {}", .0.len(), .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

impl EdgeConfig {
    /// A configuration with every default, for a program that embeds an edge: its cache in `directory`, its state beside that.
    #[must_use]
    pub fn new(listen: Vec<SocketAddr>, control_plane: ControlPlane, directory: PathBuf) -> Self {
        Self {
            listen,
            tls: Tls::default(),
            threads: default_threads(),
            trusted_proxies: Vec::new(),
            drain: Duration::from_secs(5),
            name: default_name(),
            state_directory: beside(&directory),
            spool_bytes: 1 << 30,
            longest_grace: LONGEST_GRACE,
            leave_at_stop: true,
            control_plane,
            cache: Cache { directory, metadata_bytes: 416 << 20, dist_bytes: 10 << 30 },
            limits: Limits {
                connections: 10_000,
                connections_per_address: 2_500,
                head: Duration::from_secs(10),
                keep_alive: Duration::from_secs(75),
                stall: Duration::from_secs(30),
            },
            metrics_listen: None,
            traces: None,
            plugins: Vec::new(),
        }
    }

    /// Reads a file's text alone, without the environment.
    ///
    /// # Errors
    /// With every problem there is.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::from_toml_and_variables(text, [])
    }

    /// Reads a file's text and lays environment variables (`CARGOMAN_SECTION__KEY`) over it.
    ///
    /// # Errors
    /// With every problem there is.
    pub fn from_toml_and_variables(
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut root: Table = toml::from_str(text).map_err(|error| ConfigError(vec![error.to_string()]))?;
        let mut problems = Vec::new();
        let config = Self::take(&mut root, variables, &mut problems);
        problems.extend(root.keys().map(|key| format!("`{key}` is no section")));
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError(problems)),
        }
    }

    /// What the edge still has to join with: a join token is configured, and there is no credential yet. What is wrong with the
    /// rest of the configuration is said when it is read as a whole.
    pub(crate) fn joining(text: &str, variables: impl IntoIterator<Item = (String, String)>) -> Option<Joining> {
        let mut root: Table = toml::from_str(text).ok()?;
        settings::overlay(&mut root, &SECTIONS, variables);
        let mut problems = Vec::new();
        let mut edge = Section::take(&mut root, "edge", &mut problems);
        let name = edge.read("name", settings::text).unwrap_or_else(default_name);
        let state_directory = edge.read("state_directory", settings::path);
        let mut cache = Section::take(&mut root, "cache", &mut problems);
        let directory = cache.read("directory", settings::path).unwrap_or_else(|| PathBuf::from(CACHE_DIRECTORY));
        let state_directory = state_directory.unwrap_or_else(|| beside(&directory));
        let mut section = Section::take(&mut root, "control_plane", &mut problems);
        let has_one = section.read("credential", settings::text).is_some()
            || section.read("credential_file", settings::path).is_some()
            || state_directory.join(join::CREDENTIAL).exists();
        if has_one {
            return None;
        }
        let by_file =
            section.read("join_token_file", settings::path).and_then(|path| std::fs::read_to_string(path).ok());
        let token = section.read("join_token", settings::text).or(by_file)?;
        let addresses = origins(&mut section, "edge_url", "edge_urls")?;
        let token = join::parse_token(&token).ok()?;
        let authorities = section.read("ca_file", authorities).unwrap_or_default();
        // What is wrong here is said when everything is read.
        problems.is_empty().then_some(Joining { name, token, addresses, authorities, state_directory })
    }

    /// Takes the edge's sections out of a file that may hold others' too. None only where `problems` grew.
    pub fn take(
        root: &mut Table,
        variables: impl IntoIterator<Item = (String, String)>,
        problems: &mut Vec<String>,
    ) -> Option<Self> {
        if root.get("control_plane").and_then(|section| section.get("credential")).is_some() {
            problems.push(
                "control_plane.credential must not stand in a file: use control_plane.credential_file or the variable \
                 CARGOMAN_CONTROL_PLANE__CREDENTIAL"
                    .to_owned(),
            );
        }
        settings::overlay(root, &SECTIONS, variables);
        let plugins = take_plugins(root, problems);

        let tls = Tls::take(root, problems);
        let without_tls = tls.listen.is_empty();
        let mut edge = Section::take(root, "edge", problems);
        let listen: Option<settings::Addresses> = edge.list("listen", settings::SOCKET_ADDRESS);
        let listen = listen.unwrap_or_else(|| vec![SocketAddr::from(([127, 0, 0, 1], 8080))]);
        if listen.is_empty() && without_tls {
            edge.problem("listen", "must name at least one address");
        }
        let threads = edge.read("threads", settings::number(1)).and_then(|threads| usize::try_from(threads).ok());
        let trusted_proxies = edge.list("trusted_proxies", "network such as 10.0.0.0/8").unwrap_or_default();
        let drain = edge.read("drain_seconds", settings::seconds);
        let name = edge.read("name", settings::text).unwrap_or_else(default_name);
        let state_directory = edge.read("state_directory", settings::path);
        let spool_bytes = edge.read("spool_bytes", settings::bytes);
        let longest_grace = edge.read("longest_grace_seconds", settings::seconds);
        edge.finish();

        let mut cache = Section::take(root, "cache", problems);
        let directory = cache.read("directory", settings::path).unwrap_or_else(|| PathBuf::from(CACHE_DIRECTORY));
        let metadata_bytes = cache.read("metadata_bytes", settings::bytes);
        let dist_bytes = cache.read("dist_bytes", settings::bytes);
        cache.finish();

        let state_directory = state_directory.unwrap_or_else(|| beside(&directory));
        let control_plane = take_control_plane(root, &state_directory, problems);

        let mut limits = Section::take(root, "limits", problems);
        let connections = limits.read("connections", settings::number(1)).and_then(|count| usize::try_from(count).ok());
        let per_address = limits.read("connections_per_address", settings::number(1));
        let per_address = per_address.and_then(|count| usize::try_from(count).ok());
        let head = limits.read("head_seconds", settings::seconds);
        let keep_alive = limits.read("keep_alive_seconds", settings::seconds);
        let stall = limits.read("stall_seconds", settings::seconds);
        limits.finish();

        let mut metrics = Section::take(root, "metrics", problems);
        let metrics_listen = metrics.read("listen", settings::socket_address);
        metrics.finish();

        let traces = Traces::take(root, problems);

        let defaults = Self::new(listen, control_plane?, directory);
        Some(Self {
            tls,
            threads: threads.unwrap_or(defaults.threads),
            trusted_proxies,
            drain: drain.unwrap_or(defaults.drain),
            name,
            state_directory,
            spool_bytes: spool_bytes.unwrap_or(defaults.spool_bytes),
            longest_grace: longest_grace.unwrap_or(defaults.longest_grace),
            leave_at_stop: defaults.leave_at_stop,
            cache: Cache {
                metadata_bytes: metadata_bytes.unwrap_or(defaults.cache.metadata_bytes),
                dist_bytes: dist_bytes.unwrap_or(defaults.cache.dist_bytes),
                directory: defaults.cache.directory,
            },
            limits: Limits {
                connections: connections.unwrap_or(defaults.limits.connections),
                connections_per_address: per_address.unwrap_or(defaults.limits.connections_per_address),
                head: head.unwrap_or(defaults.limits.head),
                keep_alive: keep_alive.unwrap_or(defaults.limits.keep_alive),
                stall: stall.unwrap_or(defaults.limits.stall),
            },
            metrics_listen,
            traces,
            plugins,
            listen: defaults.listen,
            control_plane: defaults.control_plane,
        })
    }
}

/// As long as the control plane grants: a hundred years are more.
const LONGEST_GRACE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Where dists lie unless the configuration says so.
const CACHE_DIRECTORY: &str = "edge-cache";

/// The state folder, unless the configuration names it.
fn beside(cache: &Path) -> PathBuf {
    cache.with_file_name("edge-state")
}

/// What the machine is called.
fn default_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "edge".to_owned() } else { name }
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn take_control_plane(root: &mut Table, state: &Path, problems: &mut Vec<String>) -> Option<ControlPlane> {
    let mut section = Section::take(root, "control_plane", problems);
    // Used up by then: see `joining`.
    section.read("join_token_file", settings::path);
    section.read("join_token", settings::text);
    let edge_urls = origins(&mut section, "edge_url", "edge_urls");
    let public_urls = origins(&mut section, "public_url", "public_urls");
    let timeout = section.read("timeout_seconds", settings::seconds).unwrap_or(Duration::from_secs(3));
    let authorities = section.read("ca_file", authorities).unwrap_or_default();
    let by_variable = section.read("credential", settings::text);
    let by_file = section.read("credential_file", |value| {
        let path = settings::path(value)?;
        std::fs::read_to_string(&path).map_err(|error| format!("cannot be read from {}: {error}", path.display()))
    });
    let by_joining = || std::fs::read_to_string(state.join(join::CREDENTIAL)).ok();
    let credential = match by_variable.or(by_file).or_else(by_joining) {
        Some(text) => EdgeCredential::parse(&text).map_err(|wrong| section.problem("credential", &wrong)).ok(),
        None => {
            section.problem(
                "credential_file",
                "is missing: name the file that holds this edge's credential, or a join_token_file to get one with",
            );
            None
        }
    };
    section.finish();
    Some(ControlPlane {
        edge_urls: edge_urls?,
        public_urls: public_urls?,
        credential: credential?,
        authorities,
        timeout,
    })
}

fn authorities(value: &Value) -> Result<Vec<CertificateDer<'static>>, String> {
    link::tls::read_authorities(&settings::path(value)?)
}

/// One address under `one`, or the addresses of several instances under `several`.
fn origins(section: &mut Section<'_>, one: &str, several: &str) -> Option<Vec<Url>> {
    let list = section.read(several, |value| {
        let values = value.as_array().filter(|values| !values.is_empty());
        let values = values.ok_or_else(|| "must be a list of addresses".to_owned())?;
        values.iter().map(settings::origin).collect::<Result<Vec<_>, _>>()
    });
    match list {
        Some(list) => {
            if section.read(one, settings::origin).is_some() {
                section.problem(one, &format!("and {several} are both given: remove one"));
            }
            Some(list)
        }
        None => section.require(one, settings::origin).map(|url| vec![url]),
    }
}

fn take_plugins(root: &mut Table, problems: &mut Vec<String>) -> Vec<PluginEntry> {
    let entries = match root.remove("plugins") {
        None => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(_) => {
            problems.push("`plugins` must be a list: write `[[plugins]]`".to_owned());
            Vec::new()
        }
    };
    let mut out = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut wrapper = Table::from_iter([("plugins".to_owned(), entry)]);
        let mut section = Section::take(&mut wrapper, "plugins", problems);
        let name = section.require("name", settings::text);
        let tenants = section.list("tenants", "slug of a tenant").unwrap_or_default();
        let listeners = section.list("listeners", settings::SOCKET_ADDRESS).unwrap_or_default();
        let settings =
            section.read("settings", |value| value.as_table().cloned().ok_or_else(|| "must be a table".to_owned()));
        section.finish();
        if let Some(name) = name {
            out.push(PluginEntry { name, tenants, listeners, settings: settings.unwrap_or_default() });
        }
    }
    out
}

#[cfg(test)]
mod tests;
mod tls;
mod traces;
