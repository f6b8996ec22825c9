//! Decides how the worker speaks with a git server over ssh: by the system's own client, with nothing of the machine's configuration, to
//! one checked address, with one key, and only to a host whose key is known.
//!
//! A host that is not in `git.known_hosts` is believed the first time it is seen, and from then on nobody else is (G-N6).

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::address::AllowedHosts;
use super::super::failure::Result;
use super::super::protocol::{Credential, Failed, FailureCode, Limits, Request};
use super::super::refs::advertisement::{Advertisement, SERVICE};
use super::super::text::printable;
use super::super::url::SshAddress;
use super::meter::Meter;
use super::watch::Watch;

/// Where the client lies: the worker has no search path.
const CLIENTS: [&str; 3] = ["/usr/bin/ssh", "/usr/local/bin/ssh", "/bin/ssh"];
/// Of what the client says on its error output.
const MOST_WORDS: u64 = 8 << 10;

/// A git server, asked over ssh.
pub(in crate::git) struct SshRemote {
    address: SshAddress,
    to: IpAddr,
    key: KeyFile,
    /// The operator's, and what was seen first.
    known_hosts: Vec<PathBuf>,
    limits: Limits,
    deadline: Instant,
    /// Bytes of packs received so far, over all connections.
    received: Arc<AtomicU64>,
}

/// The key on disk for as long as it is used: the client takes it from nowhere else.
struct KeyFile(PathBuf);

impl Drop for KeyFile {
    fn drop(&mut self) {
        // Whoever asked for the sync removes the folder too.
        let _ = fs::remove_file(&self.0);
    }
}

impl SshRemote {
    /// For the repository at `address`, which has passed the rules for addresses.
    pub(in crate::git) fn new(address: SshAddress, request: &Request, allowed: &AllowedHosts) -> Result<Self> {
        let Some(Credential::SshKey { private_key, .. }) = &request.credential else {
            return Err(Failed::new(
                FailureCode::Authentication,
                "the repository is read over ssh, which needs a key",
                "make a git credential of the kind ssh, give its public half to the forge, and the credential to the package",
            ));
        };
        let to = checked(&address, allowed)?;
        let file = request.output.join("ssh-key");
        let written = write_key(&file, private_key);
        let key = KeyFile(file);
        written.map_err(|error| Failed::machine("writing the key for ssh", error))?;
        let seen = request.mirror.parent().unwrap_or(&request.mirror).join("known_hosts");
        let known_hosts = [seen].into_iter().chain(request.network.known_hosts.clone()).collect();
        let limits = request.limits.clone();
        let deadline = Instant::now() + Duration::from_secs(limits.network_seconds);
        Ok(Self { address, to, key, known_hosts, limits, deadline, received: Arc::default() })
    }

    /// Branches, tags and HEAD. The connection is over afterwards.
    pub(in crate::git) fn list(&self) -> Result<Advertisement> {
        let mut session = self.connect()?;
        let advertisement = session.advertisement()?;
        // Nothing is wanted.
        session.write_all(b"0000").and_then(|()| session.flush()).ok();
        Ok(advertisement)
    }

    /// A connection whose advertisement was read.
    pub(in crate::git) fn session(&self) -> Result<Session> {
        let mut session = self.connect()?;
        session.advertisement()?;
        session.meter.bound = Some((Arc::clone(&self.received), self.limits.pack_bytes));
        Ok(session)
    }

    fn connect(&self) -> Result<Session> {
        let client = CLIENTS.iter().find(|path| Path::new(path).is_file()).ok_or_else(|| {
            Failed::new(
                FailureCode::Machine,
                "the ssh client is not installed on the control plane's machine",
                "install openssh-client there",
            )
        })?;
        let mut child = self.command(client).spawn().map_err(|error| Failed::machine("starting ssh", error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Failed::machine("starting ssh", "it has no pipes"));
        };
        let words = Arc::<Mutex<Vec<u8>>>::default();
        let said = Arc::clone(&words);
        let listening = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.take(MOST_WORDS).read_to_end(&mut text);
            *said.lock().unwrap_or_else(PoisonError::into_inner) = text;
        });
        let watch = Watch::begin(child, self.deadline);
        let meter = Meter::new(self.limits.clone(), self.deadline);
        let host = self.address.host.clone();
        let seen = self.known_hosts.first().cloned().unwrap_or_default();
        Ok(Session { stdin: Some(stdin), stdout, watch, meter, words, listening: Some(listening), host, seen })
    }

    fn command(&self, client: &str) -> Command {
        let SshAddress { user, host, port, path, .. } = &self.address;
        // As a known_hosts file names it.
        let alias = if *port == 22 { host.clone() } else { format!("[{host}]:{port}") };
        let files: Vec<String> = self
            .known_hosts
            .iter()
            .map(|file| format!("\"{}\"", file.display().to_string().replace('"', "")))
            .collect();
        let options = [
            "BatchMode=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "PreferredAuthentications=publickey".to_owned(),
            "StrictHostKeyChecking=accept-new".to_owned(),
            "UpdateHostKeys=no".to_owned(),
            "HashKnownHosts=no".to_owned(),
            "CheckHostIP=no".to_owned(),
            "GlobalKnownHostsFile=none".to_owned(),
            "ClearAllForwardings=yes".to_owned(),
            "PermitLocalCommand=no".to_owned(),
            "ControlMaster=no".to_owned(),
            "ControlPath=none".to_owned(),
            "RequestTTY=no".to_owned(),
            "LogLevel=ERROR".to_owned(),
            "ServerAliveInterval=15".to_owned(),
            format!("ConnectTimeout={}", self.limits.connect_seconds),
            format!("UserKnownHostsFile={}", files.join(" ")),
            format!("HostKeyAlias={alias}"),
        ];
        let mut command = Command::new(client);
        command.args(["-F", "none", "-T", "-p", &port.to_string()]).arg("-i").arg(&self.key.0);
        for option in options {
            command.arg("-o").arg(option);
        }
        command.args(["-l", user, "--", &self.to.to_string(), &format!("git-upload-pack {}", quoted(path))]);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_the_worker(&mut command);
        command
    }
}

/// A worker that is killed takes its client along.
#[expect(unsafe_code, reason = "what runs between fork and exec is one system call")]
fn die_with_the_worker(command: &mut Command) {
    // SAFETY: it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            Ok(())
        });
    }
}

/// The first address of the host; each of them must be one that may be reached.
fn checked(address: &SshAddress, allowed: &AllowedHosts) -> Result<IpAddr> {
    let host = address.host.as_str();
    let bare = host.trim_matches(['[', ']']);
    let found: Vec<SocketAddr> = (bare, address.port)
        .to_socket_addrs()
        .map_err(|error| {
            Failed::new(
                FailureCode::Unreachable,
                format!("{host} cannot be found: {error}"),
                "check the host's name in `repository_url`, and sync it again once it is known",
            )
        })?
        .collect();
    let bad = found.iter().find(|one| !(allowed.name(host) || allowed.address(one.ip())));
    if let Some(bad) = bad {
        return Err(Failed::new(
            FailureCode::ForbiddenAddress,
            format!("repository_url: {host} leads to the address {}, which may not be reached", bad.ip()),
            "use a host with public addresses, or ask the operator of this registry to list it in allowed_hosts",
        ));
    }
    found.first().map(SocketAddr::ip).ok_or_else(|| {
        Failed::new(
            FailureCode::Unreachable,
            format!("{host} has no address"),
            "check the host's name in `repository_url`",
        )
    })
}

fn write_key(file: &Path, key: &str) -> io::Result<()> {
    // One that a killed worker left.
    let _ = fs::remove_file(file);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(key.as_bytes())?;
    if !key.ends_with('\n') {
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// As one word to the shell at the other end.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// One connection.
pub(in crate::git) struct Session {
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    watch: Watch,
    meter: Meter,
    words: Arc<Mutex<Vec<u8>>>,
    listening: Option<std::thread::JoinHandle<()>>,
    host: String,
    seen: PathBuf,
}

impl Session {
    /// Reads up to the flush that ends the list of refs.
    fn advertisement(&mut self) -> Result<Advertisement> {
        let limits = self.meter.limits.clone();
        let mut body = SERVICE.to_vec();
        loop {
            let mut length = [0; 4];
            self.exactly(&mut length)?;
            body.extend_from_slice(&length);
            let size = std::str::from_utf8(&length).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
            match size {
                Some(0) => break,
                Some(size @ 4..) => {
                    let mut line = vec![0; size - 4];
                    self.exactly(&mut line)?;
                    body.extend_from_slice(&line);
                }
                _ => return Err(Failed::protocol("its list of refs is cut off or broken")),
            }
            if body.len() as u64 > limits.advertisement_bytes {
                let most = limits.advertisement_bytes >> 20;
                return Err(Failed::limit(format!("the repository's list of refs is larger than {most} MiB")));
            }
        }
        Advertisement::parse(&body, &limits)
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.read_exact(buffer).map_err(|error| self.failure(&error))
    }

    /// Why reading failed: what the client says about it counts more than that the pipe is over.
    pub(in crate::git) fn failure(&mut self, error: &io::Error) -> Failed {
        if let Some(failed) = error.get_ref().and_then(|inner| inner.downcast_ref::<Failed>()) {
            return failed.clone();
        }
        self.stdin = None;
        let overdue = self.watch.end();
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
        if overdue {
            return Failed::new(
                FailureCode::Unreachable,
                format!("{} did not answer in time", self.host),
                "look at the server, and sync it again once it answers",
            );
        }
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        said(&self.host, &String::from_utf8_lossy(&words), &self.seen)
    }
}

/// What the client's words mean.
fn said(host: &str, words: &str, seen: &Path) -> Failed {
    let has = |part: &str| words.contains(part);
    let last =
        printable(words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().as_bytes());
    if has("HOST IDENTIFICATION HAS CHANGED") || has("Host key verification failed") {
        return Failed::new(
            FailureCode::HostKey,
            format!(
                "the key of {host} is another one than before: somebody may stand in between, or the server was set up anew"
            ),
            format!(
                "ask whoever runs {host}; if the new key is right, put it into git.known_hosts, or remove the line of {host} from {}",
                seen.display()
            ),
        );
    }
    if has("Permission denied") || has("Too many authentication failures") {
        return Failed::new(
            FailureCode::Authentication,
            format!("{host} does not accept the repository's key"),
            "give the public half of the git credential to the forge, as a deploy key that may read the repository",
        );
    }
    if has("not appear to be a git repository")
        || has("not found")
        || has("does not exist")
        || has("could not be found")
    {
        return Failed::new(
            FailureCode::NotFound,
            format!("{host} knows no such repository ({last})"),
            "check `repository_url`; many servers also say this when the key may not see a private repository",
        );
    }
    if has("error in libcrypto") || has("invalid format") || has("Load key") {
        return Failed::new(
            FailureCode::Authentication,
            "the key of the git credential cannot be read by ssh",
            "give it without a passphrase and in OpenSSH's form, or let the registry make one",
        );
    }
    let what =
        if last.is_empty() { "closed the connection".to_owned() } else { format!("cannot be spoken with: {last}") };
    Failed::new(
        FailureCode::Unreachable,
        format!("{host} {what}"),
        "look at the server, and sync it again once it answers",
    )
}

impl Read for Session {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.stdout.read(buffer)?;
        self.watch.alive();
        if length > 0 {
            self.meter.count(Instant::now(), length as u64).map_err(io::Error::other)?;
        }
        Ok(length)
    }
}

impl Write for Session {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stdin {
            Some(stdin) => stdin.write(bytes),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdin.as_mut().map_or(Ok(()), Write::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word() {
        assert_eq!(quoted("acme/pay.git"), "'acme/pay.git'");
        assert_eq!(quoted("a'; touch x; '"), r"'a'\''; touch x; '\'''");
    }

    #[test]
    fn what_the_client_says() {
        for (words, code) in [
            (
                "@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@\nHost key verification failed.",
                FailureCode::HostKey,
            ),
            ("git@h: Permission denied (publickey).", FailureCode::Authentication),
            ("ERROR: Repository not found.\nfatal: Could not read", FailureCode::NotFound),
            ("fatal: '/x' does not appear to be a git repository", FailureCode::NotFound),
            ("ssh: connect to host 192.0.2.1 port 22: Connection refused", FailureCode::Unreachable),
            ("Load key \"/x/ssh-key\": error in libcrypto", FailureCode::Authentication),
            ("", FailureCode::Unreachable),
        ] {
            let failed = said("git.example.com", words, Path::new("/data/known_hosts"));
            assert_eq!(failed.code, code, "{words}");
            assert!(!failed.message.contains('\u{1b}'));
        }
    }
}
