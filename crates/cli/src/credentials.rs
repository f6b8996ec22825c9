//! The secrets a program starts with: the `ADMIN_TOKEN`, the credential between edge and control plane, and the master keys.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cargoman_control_plane::secrets::{Keyring, MasterKey, key_file};
use cargoman_credential::{Digest, Kind, Secret};

use crate::exit::Failure;

const SHORTEST: usize = 16;
/// The file of master keys in the data folder.
pub(crate) const MASTER_KEY: &str = "master-key";

/// The token and whether it was made just now.
pub(crate) struct AdminToken {
    pub(crate) text: String,
    pub(crate) new: bool,
}

impl AdminToken {
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }
}

/// From the environment, else the named file, else the one in the data folder, which is made at the first start.
pub(crate) fn admin_token(file: Option<&Path>, data: Option<&Path>) -> Result<AdminToken, Failure> {
    // An empty variable is none, as with DATABASE_URL: compose files pass on what is not set as empty.
    if let Some(text) = std::env::var("ADMIN_TOKEN").ok().filter(|text| !text.is_empty()) {
        return check(&text, "ADMIN_TOKEN");
    }
    if let Some(file) = file {
        return check(&read(file)?, &file.display().to_string());
    }
    let Some(data) = data else {
        return Err(Failure::usage("no admin token: set ADMIN_TOKEN or name a file with --admin-token-file"));
    };
    let kept = data.join("admin-token");
    if kept.exists() {
        return check(&read(&kept)?, &kept.display().to_string());
    }
    let secret = generate(Kind::Operator)?;
    write_secret(&kept, secret.expose())?;
    Ok(AdminToken { text: secret.expose().to_owned(), new: true })
}

/// The credential between the two parts of `up`, made at the first start: what an edge kept is sealed with it, and must open
/// at the next start.
pub(crate) fn edge_credential(data: &Path) -> Result<Secret, Failure> {
    let kept = data.join("edge-credential");
    if kept.exists() {
        return match Secret::parse(read(&kept)?.trim()) {
            Ok(secret) if secret.kind() == Kind::Edge => Ok(secret),
            _ => Err(Failure::usage(format!(
                "{} holds no well-formed cme_… secret; delete it and a new one is made",
                kept.display()
            ))),
        };
    }
    let secret = generate(Kind::Edge)?;
    write_secret(&kept, secret.expose())?;
    Ok(secret)
}

/// The master keys: from the environment, else the named file, else the one in the data folder, which is made at the first start.
/// Without all three there is none, and whatever needs one says so.
pub(crate) fn keyring(file: Option<&Path>, data: Option<&Path>) -> Result<Keyring, Failure> {
    if let Some(text) = std::env::var("CARGOMAN_MASTER_KEY").ok().filter(|text| !text.is_empty()) {
        return Keyring::from_variable(&text).map_err(Failure::usage);
    }
    if let Some(file) = file {
        return Keyring::from_file(file).map_err(Failure::usage);
    }
    let Some(kept) = data.map(|data| data.join(MASTER_KEY)) else { return Ok(Keyring::absent()) };
    if !kept.exists() {
        let key = MasterKey::generate(&ring::rand::SystemRandom::new()).map_err(Failure::failed)?;
        key_file::create(&kept, &key).map_err(Failure::failed)?;
        tracing::info!(file = %kept.display(), "made a master key; keep a copy of it apart from the database's backups");
    }
    Keyring::from_file(&kept).map_err(Failure::usage)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}

fn check(text: &str, source: &str) -> Result<AdminToken, Failure> {
    let text = text.trim();
    if text.starts_with("$argon2") {
        return Err(Failure::usage(format!("{source}: Argon2 strings are not supported yet; give the token itself")));
    }
    if text.len() < SHORTEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage(format!(
            "{source}: the admin token needs {SHORTEST} or more printable characters without spaces"
        )));
    }
    Ok(AdminToken { text: text.to_owned(), new: false })
}

/// A new secret from the operating system.
pub(crate) fn generate(kind: Kind) -> Result<Secret, Failure> {
    Secret::generate(kind, &ring::rand::SystemRandom::new())
        .map_err(|_| Failure::failed("the operating system gives no random bytes"))
}

/// Writes a file that only its owner may read; whole or not at all.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    let unfinished = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)
    };
    written().map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}
