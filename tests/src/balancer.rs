//! A balancer in front of several edges: nginx, as operators run it, which asks the next one when one is away.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cargoman_testkit::deadline::poll_until;
use cargoman_testkit::port;
use tempfile::TempDir;

/// A running nginx; ended when dropped.
#[derive(Debug)]
pub struct Balancer {
    nginx: Child,
    address: String,
    _folder: TempDir,
}

impl Balancer {
    /// Before these, each host and port.
    #[track_caller]
    pub fn start(edges: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = port::free_address();
        let servers: String = edges.iter().map(|edge| format!("server {edge} fail_timeout=1s;")).collect();
        // One process: nothing here is to be measured, and killing it ends all of it.
        let configuration = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/log; events {{ }}\n\
             http {{ access_log off; client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;\n\
             uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;\n\
             upstream edges {{ {servers} keepalive 8; }}\n\
             server {{ listen {address}; location / {{ proxy_pass http://edges; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_set_header Host $http_host; }} }} }}\n",
            root = folder.path().display()
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).expect("our own folder");
        let nginx = Command::new("nginx").arg("-c").arg(&file).stderr(Stdio::null()).spawn();
        let balancer =
            Self { nginx: nginx.expect("nginx is needed: apt install nginx-light"), address, _folder: folder };
        poll_until("nginx listens", Duration::from_secs(10), || TcpStream::connect(balancer.address()).ok());
        balancer
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Best effort: it may have ended.
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}
