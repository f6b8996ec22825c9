//! Making a new cluster. It is made beside its place and moved there when complete, so that a program killed in
//! the middle leaves nothing that looks like a cluster.

use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::Output;

use crate::account::Account;
use crate::binaries::{Binaries, cluster_major};
use crate::database::ROLE;
use crate::error::StartError;
use crate::log::last_lines;
use crate::settings::{Durability, Layout};

/// Written once, into `postgresql.conf`: an operator may change these. What must hold is on the command line.
const TUNING: &str = "
# Written by cargoman when it made this cluster; yours to change.
shared_buffers = '128MB'
effective_cache_size = '1GB'
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
log_min_duration_statement = '5s'
";

/// Makes the cluster unless there is one. The caller holds the lock.
pub(crate) fn create_if_missing(
    layout: &Layout,
    binaries: &Binaries,
    account: &Account,
    durability: Durability,
) -> Result<(), StartError> {
    if cluster_major(&layout.data)?.is_some() {
        return Ok(());
    }
    let not_empty = std::fs::read_dir(&layout.data).is_ok_and(|mut entries| entries.next().is_some());
    if not_empty || (layout.data.exists() && !layout.data.is_dir()) {
        return Err(StartError::NotACluster { data: layout.data.clone() });
    }
    let new = layout.beside(".new");
    make_cluster(&new, layout, binaries, account, durability)?;
    // Replaces an empty folder too.
    std::fs::rename(&new, &layout.data)
        .map_err(|source| StartError::io("move the new cluster to", &layout.data, source))?;
    if durability == Durability::Full {
        let parent = layout.parent();
        File::open(parent)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| StartError::io("sync", parent, source))?;
    }
    Ok(())
}

fn make_cluster(
    new: &Path,
    layout: &Layout,
    binaries: &Binaries,
    account: &Account,
    durability: Durability,
) -> Result<(), StartError> {
    let mut output = initdb(new, "C.UTF-8", binaries, account, durability)?;
    if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("locale") {
        // Not every system has C.UTF-8; C sorts the same.
        output = initdb(new, "C", binaries, account, durability)?;
    }
    if !output.status.success() {
        let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        return Err(StartError::Create { data: layout.data.clone(), output: last_lines(&text) });
    }
    let configuration = new.join("postgresql.conf");
    let append = || -> std::io::Result<()> {
        let mut file = File::options().append(true).open(&configuration)?;
        file.write_all(TUNING.as_bytes())?;
        if durability == Durability::Full { file.sync_all() } else { Ok(()) }
    };
    append().map_err(|source| StartError::io("write", &configuration, source))
}

fn initdb(
    new: &Path,
    locale: &str,
    binaries: &Binaries,
    account: &Account,
    durability: Durability,
) -> Result<Output, StartError> {
    // What a killed predecessor left.
    match std::fs::remove_dir_all(new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(StartError::io("remove", new, error)),
        _ => {}
    }
    DirBuilder::new().mode(0o700).create(new).map_err(|source| StartError::io("create", new, source))?;
    account.own(new)?;
    let program = binaries.program("initdb");
    let mut command = account.command(&program);
    command.arg("--pgdata").arg(new).args(["--username", ROLE, "--encoding", "UTF8", "--locale", locale]);
    command.args(["--auth-local", "trust", "--auth-host", "reject", "--data-checksums", "--no-instructions"]);
    if durability == Durability::None {
        command.arg("--no-sync");
    }
    command.output().map_err(|source| StartError::io("run", &program, source))
}
