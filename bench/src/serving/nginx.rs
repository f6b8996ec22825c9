//! The peer: nginx serving the same bytes as static files behind Basic auth, as a vendor with Satis would.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use cargoman_testkit::deadline::poll_until;

use super::process;
use super::world::{Scenario, World};

pub(crate) struct Nginx {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Nginx {
    pub(crate) fn start(world: &World) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("cargoman-bench-nginx-{}", std::process::id()));
        for scenario in world.scenarios() {
            let file = folder.join("root").join(scenario.path.trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().context("a folder")?)?;
            std::fs::write(&file, &scenario.body)?;
            if let Some(known) = &scenario.known {
                // nginx says 304 by the date of the file.
                Command::new("touch").arg("-d").arg(known).arg(&file).status()?;
            }
        }
        open_to_workers(&folder)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        std::fs::write(folder.join("users"), user_line(&world.token)?)?;
        let configuration = folder.join("nginx.conf");
        std::fs::write(&configuration, self::configuration(&folder, port))?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&configuration)
            .stderr(Stdio::inherit())
            .spawn()
            .context("cannot run nginx; ./dev bench installs it")?;
        poll_until("nginx listens", Duration::from_secs(10), || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Ok(Self { child, port, folder })
    }

    pub(crate) fn url(&self, scenario: &Scenario) -> String {
        format!("http://127.0.0.1:{}{}", self.port, scenario.path)
    }

    /// The workers: the master does nothing.
    pub(crate) fn processes(&self) -> Vec<u32> {
        process::children(self.child.id())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.child.kill().ok();
        for worker in self.processes() {
            Command::new("kill").arg(worker.to_string()).status().ok();
        }
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// Workers run as another user.
fn open_to_workers(folder: &std::path::Path) -> Result<()> {
    Command::new("chmod").args(["-R", "a+rX"]).arg(folder).status()?;
    Ok(())
}

/// One line in the scheme that costs nginx least.
fn user_line(token: &str) -> Result<String> {
    let script = "import sys,hashlib,base64;print('token:{SHA}'+base64.b64encode(hashlib.sha1(sys.argv[1].encode()).digest()).decode())";
    let made = Command::new("python3").args(["-c", script, token]).output().context("cannot run python3")?;
    Ok(String::from_utf8(made.stdout)?)
}

fn configuration(folder: &std::path::Path, port: u16) -> String {
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
        listen 127.0.0.1:{port};
        root {folder}/root;
        auth_basic registry;
        auth_basic_user_file {folder}/users;
    }}
}}
"
    )
}
