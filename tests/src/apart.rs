//! Edge and control plane as programs of their own, as they run on several machines, on sockets that the test holds.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cargoman_credential::{Kind, Secret};
use cargoman_testkit::cargoman::{ADMIN_TOKEN, command};

/// A program on sockets of ours, as systemd would start it; killed when dropped.
#[derive(Debug)]
pub struct Program(Child);

impl Program {
    /// Runs `command` with one or two sockets of these names; its log goes to `log`.
    #[track_caller]
    pub fn start(command: &Command, names: &str, sockets: &[&TcpListener], log: &Path) -> Self {
        // The numbers 3 and 4, and nothing at 0 and 1: no safe way to do that in Rust.
        let script = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_PID=$$; export LISTEN_PID; exec \"$@\"";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args()).env_clear();
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("RUST_LOG", "warn").env("LISTEN_FDNAMES", names).env("LISTEN_FDS", sockets.len().to_string());
        let given = |number: usize| match sockets.get(number) {
            Some(socket) => Stdio::from(OwnedFd::from(socket.try_clone().unwrap())),
            None => Stdio::null(),
        };
        let log = std::fs::File::options().append(true).create(true).open(log).unwrap();
        Self(shell.stdin(given(0)).stdout(given(1)).stderr(log).spawn().unwrap())
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub fn stop(mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(asked.success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Best effort: it may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A new credential of edges.
pub fn credential() -> Secret {
    Secret::generate(Kind::Edge, &ring::rand::SystemRandom::new()).unwrap()
}

/// A control plane whose edges are at `edge`. `server` is more TOML for the section of that name.
pub fn control_plane(folder: &Path, edge: SocketAddr, credential: &Secret, database: &str, server: &str) -> Command {
    let file = folder.join("control-plane.toml");
    let text = format!(
        "[server]\npublic_url = \"http://{edge}\"\n{server}\n[storage]\nroot = {:?}\n[git]\nroot = {:?}\n",
        folder.join("storage"),
        folder.join("git")
    );
    std::fs::write(&file, text).unwrap();
    let mut command = command();
    command.arg("control-plane").arg("--config").arg(file);
    command.env("ADMIN_TOKEN", ADMIN_TOKEN).env("DATABASE_URL", database);
    command.env("CARGOMAN_EDGE_CREDENTIAL", credential.expose());
    command
}

/// An edge without a credential. `control_plane` is the TOML of the section of that name.
pub fn edge(folder: &Path, name: &str, control_plane: &str) -> Command {
    let file = folder.join(format!("{name}.toml"));
    let text = format!(
        "[edge]\nname = {name:?}\n[control_plane]\n{control_plane}\n[cache]\ndirectory = {:?}\n",
        folder.join(name).join("cache")
    );
    std::fs::write(&file, text).unwrap();
    let mut command = command();
    command.arg("edge").arg("--config").arg(file);
    command
}
