//! `cargoman up`: edge, control plane, job workers and a private PostgreSQL in one process, from one folder.
//!
//! A plain function on the main thread: Pingora makes its own runtimes and must not be called from inside one. The control
//! plane has a thread and a runtime of its own, and its pools are made inside it.

mod announce;
mod control_plane;
mod database;
mod demo;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use cargoman_control_plane::config::{Config, LinkConfig, StorageKind};
use cargoman_control_plane::server::Start;
use cargoman_control_plane::state::Secrets;
use cargoman_credential::Secret;
use cargoman_listeners::Listeners;
use cargoman_proxy::config::EdgeConfig;
use cargoman_proxy::plugin;
use cargoman_proxy::server::Edge;
use clap::Args;
use tokio::sync::{oneshot, watch};

use crate::configuration::Layers;
use crate::control_plane::{git_worker, handed_over, install_crypto};
use crate::credentials::{self, AdminToken};
use crate::data_folder;
use crate::exit::Failure;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The folder that holds everything.
    #[arg(long, env = "CARGOMAN_DATA", default_value = "/var/lib/cargoman")]
    data: PathBuf,
    /// Where Composer is answered.
    #[arg(long, env = "CARGOMAN_LISTEN")]
    listen: Option<SocketAddr>,
    /// Where the control plane's own API listens.
    #[arg(long, env = "CARGOMAN_CONTROL_LISTEN")]
    control_listen: Option<SocketAddr>,
    /// The address at which Composer reaches this registry; `http://<listen>` without it.
    #[arg(long, env = "BASE_URL")]
    public_url: Option<String>,
    /// A file that holds the admin token; else ADMIN_TOKEN, else DATA/admin-token.
    #[arg(long)]
    admin_token_file: Option<PathBuf>,
    /// A configuration file with sections of control plane and edge.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Makes a package from a git repository in the data folder, a customer and a token, and prints how to install it.
    #[arg(long)]
    demo: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    // Before there are threads.
    let listeners = Listeners::from_parent().map_err(Failure::usage);
    cargoman_telemetry::start();
    install_crypto();
    let layers = Layers::read(arguments.config.as_deref())?;
    let mut config = layers.both()?;
    let data = data_folder::prepare(&arguments.data)?;
    let _ours = data_folder::lock(&data)?;
    fill(&mut config, &arguments, &data, &layers);
    let config = config.check().map_err(Failure::usage)?;
    if config.jobs.workers == 0 {
        return Err(Failure::usage("jobs.workers must be at least 1 here: nobody else would read repositories"));
    }
    if config.server.edge_tls_certificate.is_some() {
        return Err(Failure::usage(
            "server.edge_tls_certificate is for `cargoman control-plane`: here the edge is in the same process",
        ));
    }
    let admin = credentials::admin_token(arguments.admin_token_file.as_deref(), Some(&data))?;
    if admin.new {
        show_new_token(&admin, &data);
    }
    let up = Up {
        arguments: &arguments,
        layers: &layers,
        data: &data,
        admin: &admin,
        public_url: config.server.public_url.clone(),
        stop: watch::channel(false).0,
    };
    up.serve(config, listeners?)
}

/// Fills in what follows from the flags and the folder.
fn fill(config: &mut Config, arguments: &Arguments, data: &Path, layers: &Layers) {
    let said =
        |section: &str, key: &str| layers.control_plane.get(section).and_then(|section| section.get(key)).is_some();
    match arguments.control_listen {
        Some(listen) => config.server.listen = listen,
        None if !said("server", "listen") && arguments.listen.is_some_and(|listen| listen.port() == 0) => {
            config.server.listen.set_port(0);
        }
        None => {}
    }
    if !said("server", "edge_listen") {
        // Only this process talks to it.
        config.server.edge_listen.set_port(0);
    }
    if let Some(url) = &arguments.public_url {
        config.server.public_url = Some(url.clone());
    }
    if config.storage.kind == StorageKind::Fs {
        config.storage.root.get_or_insert_with(|| data.join("storage"));
    }
    config.git.root.get_or_insert_with(|| data.join("git"));
    config.git.allow_local |= arguments.demo;
}

fn show_new_token(admin: &AdminToken, data: &Path) {
    eprintln!(
        "cargoman: made an admin token, kept in {} and shown this once:\n\n    {}\n",
        data.join("admin-token").display(),
        admin.text
    );
}

/// What every part of `up` is told.
struct Up<'a> {
    arguments: &'a Arguments,
    layers: &'a Layers,
    data: &'a Path,
    admin: &'a AdminToken,
    /// The configured public address.
    public_url: Option<String>,
    stop: watch::Sender<bool>,
}

impl Up<'_> {
    /// Runs everything until a signal, or until a part ends. The listeners come first and the edge with them: it may serve
    /// what it knows long before the database is there.
    fn serve(&self, config: Config, mut listeners: Listeners) -> Result<(), Failure> {
        let credential = credentials::edge_credential(self.data)?;
        let keyring = credentials::keyring(config.secrets.key_file.as_deref(), Some(self.data))?;
        let source = database::Source::find(self.data)?;
        let mut config = config;
        if source.is_private() {
            // The edge lives and dies with this process: an hour without its own database is no reason to answer nobody.
            config.link.grace_hours.get_or_insert(LinkConfig::ENDLESS_HOURS);
        }
        let handed_over = handed_over(&mut listeners)?;
        let for_edge = listeners.take_edge();
        let start = Start {
            config,
            git_worker: git_worker()?,
            secrets: Secrets { admin: self.admin.digest(), edge: credential.digest() },
            keyring,
            handed_over,
            first_tenant: if self.arguments.demo { ("demo", "Demo") } else { ("default", "Default") },
        };
        let (access, known) = oneshot::channel();
        let end = watch::channel(false).0;
        let signals = control_plane::Signals { access: known, end: end.subscribe(), stop_all: self.stop.clone() };
        let mut control_plane = control_plane::Thread::start(start, signals)?;
        // None: it ended before it could listen; joining it tells why.
        let Some(addresses) = control_plane.addresses() else { return control_plane.join() };
        let opened = self.edge(addresses, &credential, for_edge).and_then(|edge| {
            let database = database::Thread::start(source, access, self.stop.clone())?;
            Ok((edge, database))
        });
        let (served, database) = match opened {
            Ok((edge, database)) => (self.serve_edge(edge, &mut control_plane, addresses), Some(database)),
            Err(failure) => (Err(failure), None),
        };
        // The edge has drained: nobody needs the control plane any more, and then nobody the database.
        end.send_replace(true);
        let ended = control_plane.join();
        let stopped = database.map_or(Ok(()), database::Thread::stop);
        ended.and(served).and(stopped)
    }

    fn edge_is_named(&self) -> bool {
        let in_file = self.layers.edge.get("edge").is_some_and(|section| section.get("name").is_some());
        in_file || self.layers.edge_variables.iter().any(|(name, _)| name == "CARGOMAN_EDGE__NAME")
    }

    fn edge(
        &self,
        addresses: control_plane::Addresses,
        credential: &Secret,
        handed_over: Vec<TcpListener>,
    ) -> Result<Edge, Failure> {
        let mut table = self.layers.edge.clone();
        let mut set = |section: &str, key: &str, value: toml::Value, only_if_missing: bool| {
            let entry = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            if let Some(section) = entry.as_table_mut().filter(|section| !only_if_missing || !section.contains_key(key))
            {
                section.insert(key.to_owned(), value);
            }
        };
        let listen = self.arguments.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080)));
        set("edge", "listen", vec![listen.to_string()].into(), self.arguments.listen.is_none());
        set("cache", "directory", self.data.join("edge").to_string_lossy().into_owned().into(), true);
        let state = self.data.join("edge-state").to_string_lossy().into_owned();
        set("edge", "state_directory", state.into(), true);
        set("control_plane", "edge_url", format!("http://{}", addresses.edge).into(), false);
        set("control_plane", "public_url", format!("http://{}", addresses.public).into(), false);
        // What ties the two parts together is ours to say; the rest of the environment holds.
        let secret = ("CARGOMAN_CONTROL_PLANE__CREDENTIAL".to_owned(), credential.expose().to_owned());
        let others = self.layers.edge_variables.iter();
        let others = others.filter(|(name, _)| !name.starts_with("CARGOMAN_CONTROL_PLANE__"));
        let variables = others.cloned().chain([secret]);
        let mut config = EdgeConfig::from_toml_and_variables(&table.to_string(), variables).map_err(Failure::usage)?;
        // Whatever could revoke something stops along with it, so its saved state stays good.
        config.leave_at_stop = false;
        if !self.edge_is_named() {
            config.name = "up".to_owned();
        }
        Edge::with_listeners(config, &plugin::registry(), handed_over).map_err(Failure::failed)
    }

    /// Serves on the calling thread; a second one listens to signals and tells when everything is ready.
    fn serve_edge(
        &self,
        edge: Edge,
        control_plane: &mut control_plane::Thread,
        addresses: control_plane::Addresses,
    ) -> Result<(), Failure> {
        let listening = edge.local_addresses().first().copied();
        let listening = listening.ok_or_else(|| Failure::failed("the edge listens nowhere: check edge.listen"))?;
        let url = format!("http://{}", reachable(listening));
        control_plane.serve(&url);
        let announcement = announce::Announcement {
            edge: url.clone(),
            control: format!("http://{}", reachable(addresses.public)),
            public_url: self.public_url.clone().unwrap_or(url),
            demo: self.arguments.demo.then(|| self.data.join("demo")),
            admin_token: self.admin.text.clone(),
        };
        let (stop, stopped) = (self.stop.clone(), self.stop.subscribe());
        let watcher = std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || announce::until_stopped(&announcement, &stop, stopped))
            .map_err(Failure::failed)?;
        let served = edge.run(self.stop.subscribe()).map_err(Failure::failed);
        // However the edge ended, everything ends with it.
        self.stop.send_replace(true);
        watcher.join().map_err(|_| Failure::failed("the thread for signals panicked"))??;
        served
    }
}

/// An address that can be asked: whoever listens everywhere is reached on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
