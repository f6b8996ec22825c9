//! Making sure the database exists, through `psql` of the same installation.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::binaries::Binaries;
use crate::error::StartError;
use crate::log::last_lines;
use crate::socket;

/// The cluster's superuser and the owner of the database.
pub(crate) const ROLE: &str = "cargoman";

/// Makes the database unless it is there. Its name was checked: it needs no quoting.
pub(crate) fn create_if_missing(binaries: &Binaries, directory: &Path, database: &str) -> Result<(), StartError> {
    let run = |sql: &str| {
        query(binaries, directory, sql).map_err(|output| StartError::Database { database: database.to_owned(), output })
    };
    let found = run(&format!("SELECT 1 FROM pg_database WHERE datname = '{database}'"))?;
    if found.trim() != "1" {
        run(&format!("CREATE DATABASE {database}"))?;
    }
    Ok(())
}

fn query(binaries: &Binaries, directory: &Path, sql: &str) -> Result<String, String> {
    let program = binaries.client();
    let output = Command::new(&program)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LC_ALL", "C")
        .args(["--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"])
        .args(["--set", "ON_ERROR_STOP=1", "--command", sql, "--dbname"])
        .arg(socket::url(directory, "postgres"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {}: {error}; install the PostgreSQL client", program.display()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(last_lines(&String::from_utf8_lossy(&output.stderr)))
    }
}
