//! The peer: nginx serving the same bytes as static files behind Basic auth, as a vendor with Satis would.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::port;

use super::process;
use super::protocol::Protocol;
use super::world::{Scenario, World};

pub(crate) struct Nginx {
    child: Child,
    plain: String,
    tls: String,
    folder: PathBuf,
}

impl Nginx {
    pub(crate) fn start(world: &World, scenarios: &[Scenario]) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("cargoman-bench-nginx-{}", std::process::id()));
        for scenario in scenarios {
            write(&folder, scenario)?;
        }
        std::fs::write(folder.join("users"), user_line(&world.token)?)?;
        std::fs::copy(&world.certificate, folder.join("certificate.pem"))?;
        std::fs::copy(&world.key, folder.join("key.pem"))?;
        open_to_workers(&folder)?;
        let address = || format!("127.0.0.1:{}", port::free());
        let (plain, tls) = (address(), address());
        let configuration = folder.join("nginx.conf");
        std::fs::write(&configuration, self::configuration(&folder, &plain, &tls))?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&configuration)
            .stderr(Stdio::inherit())
            .spawn()
            .context("cannot run nginx; ./dev bench installs it")?;
        poll_until("nginx listens", Duration::from_secs(10), || std::net::TcpStream::connect(&plain).ok());
        Ok(Self { child, plain, tls, folder })
    }

    /// `host:port`.
    pub(crate) fn address(&self, protocol: Protocol) -> &str {
        match protocol {
            Protocol::Plain => &self.plain,
            Protocol::Tls | Protocol::Http2 => &self.tls,
        }
    }

    /// Where its files lie.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Lets the workers read what was written.
    pub(crate) fn open_to_workers(&self) -> Result<()> {
        open_to_workers(&self.folder)
    }

    /// The workers: the master does nothing.
    pub(crate) fn processes(&self) -> Vec<u32> {
        process::children(self.child.id())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The list is gone with the master.
        let workers = self.processes();
        self.child.kill().ok();
        for worker in workers {
            Command::new("kill").arg(worker.to_string()).status().ok();
        }
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The bytes of an answer, and beside them the compressed ones, which nginx then takes as they are.
fn write(folder: &Path, scenario: &Scenario) -> Result<()> {
    let file = folder.join("root").join(scenario.path.trim_start_matches('/'));
    std::fs::create_dir_all(file.parent().context("a folder")?)?;
    let packed = file.with_file_name(format!("{}.gz", file.file_name().unwrap_or_default().to_string_lossy()));
    std::fs::write(&file, &scenario.identity)?;
    if let Some(gzip) = &scenario.gzip {
        std::fs::write(&packed, gzip)?;
    }
    if let Some(known) = &scenario.known {
        // nginx says 304 by the date of the file.
        for file in [&file, &packed].into_iter().filter(|file| file.exists()) {
            Command::new("touch").arg("-d").arg(known).arg(file).status()?;
        }
    }
    Ok(())
}

/// Workers run as another user.
fn open_to_workers(folder: &Path) -> Result<()> {
    Command::new("chmod").args(["-R", "a+rX"]).arg(folder).status()?;
    Ok(())
}

/// One line in the scheme that costs nginx least.
fn user_line(token: &str) -> Result<String> {
    let script = "import sys,hashlib,base64;print('token:{SHA}'+base64.b64encode(hashlib.sha1(sys.argv[1].encode()).digest()).decode())";
    let made = Command::new("python3").args(["-c", script, token]).output().context("cannot run python3")?;
    Ok(String::from_utf8(made.stdout)?)
}

fn configuration(folder: &Path, plain: &str, tls: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    gzip_static on;
    ssl_session_cache shared:sessions:10m;
    keepalive_requests 100000000;
    open_file_cache max=1000;
    open_file_cache_valid 60s;
    default_type application/json;
    if_modified_since exact;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {plain};
        listen {tls} ssl http2;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        root {folder}/root;
        auth_basic registry;
        auth_basic_user_file {folder}/users;
    }}
}}
"
    )
}
