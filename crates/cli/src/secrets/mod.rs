//! `cargoman secrets …`: the master keys, and what is sealed with them. Works on key file and database itself, beside a registry that
//! may be running: a key must never travel over the API.

mod database;
mod report;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cargoman_control_plane::config::Config;
use cargoman_control_plane::resealing::{self, Found, ResealError};
use cargoman_control_plane::secrets::{KeyId, Keyring, MasterKey, key_file};
use cargoman_control_plane::store::Database;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use self::report::Report;
use crate::configuration::Layers;
use crate::credentials::{self, MASTER_KEY};
use crate::exit::Failure;

/// A request that began before a new key came has stored what it sealed with the old one by then.
const SETTLED: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The folder of `cargoman up`: its key file, and its database unless DATABASE_URL names another.
    #[arg(long, env = "CARGOMAN_DATA", global = true)]
    data: Option<PathBuf>,
    /// The configuration file, which may name the key file.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// Answers as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells with which key how many secrets are sealed, and whether all of them open.
    Check,
    /// Puts a new key on top of the key file and seals every secret anew with it. Registries may go on running. Broken off, it is
    /// simply run again.
    Rotate {
        /// Adds no key: seals with the newest there is.
        #[arg(long)]
        reseal_only: bool,
        /// Adds no key, and removes those with which nothing is sealed any more.
        #[arg(long)]
        retire: bool,
    },
    /// Prints a new key, for CARGOMAN_MASTER_KEY or for key files on several machines.
    NewKey,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if matches!(arguments.command, Command::NewKey) {
        println!("{}", *new_key()?);
        return Ok(());
    }
    let keyring = keyring(arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    let source = database::Source::find(arguments.data.as_deref())?;
    let report = runtime.block_on(async {
        let connected = source.connect().await?;
        let report = work(arguments, &keyring, &connected).await;
        connected.close().await;
        report
    });
    source.end()?;
    report?.show(arguments.json)
}

fn new_key() -> Result<impl std::ops::Deref<Target = String>, Failure> {
    MasterKey::generate(&ring::rand::SystemRandom::new()).map_err(Failure::failed)
}

fn keyring(arguments: &Arguments) -> Result<Keyring, Failure> {
    let config: Config = match &arguments.config {
        Some(path) => Layers::read(Some(path))?.control_plane()?,
        None => Layers::read(None)?.control_plane()?,
    };
    let in_data = arguments.data.as_ref().map(|data| data.join(MASTER_KEY)).filter(|path| path.exists());
    let keyring = credentials::keyring(config.secrets.key_file.or(in_data).as_deref(), None)?;
    match keyring.ids().is_empty() {
        false => Ok(keyring),
        true => Err(Failure::usage(
            "no master key: name the data folder with --data, a configuration with secrets.key_file with --config, or set CARGOMAN_MASTER_KEY",
        )),
    }
}

async fn work(arguments: &Arguments, keyring: &Keyring, database: &Database) -> Result<Report, Failure> {
    match arguments.command {
        Command::Check | Command::NewKey => {
            Ok(Report { found: go_through(database, keyring, false).await?, ..Report::of(keyring) })
        }
        Command::Rotate { retire: true, .. } => retire(database, keyring).await,
        Command::Rotate { reseal_only, .. } => rotate(database, keyring, reseal_only).await,
    }
}

async fn rotate(database: &Database, keyring: &Keyring, reseal_only: bool) -> Result<Report, Failure> {
    let before = go_through(database, keyring, false).await?;
    let newest = keyring.ids().first().copied();
    // An older key that still seals something is a rotation that was broken off: it goes on, with the key that it added.
    let unfinished =
        before.values.keys().any(|key| *key != newest && key.is_some_and(|key| keyring.ids().contains(&key)));
    let added = if reseal_only || unfinished { None } else { Some(add(keyring)?) };
    let found = go_through(database, keyring, true).await?;
    Ok(Report { found, added, went_on: unfinished && !reseal_only, ..Report::of(keyring) })
}

fn add(keyring: &Keyring) -> Result<KeyId, Failure> {
    let path = file(
        keyring,
        "put a new key (`cargoman secrets new-key`) and a comma before it, start every registry with that, then run: cargoman secrets rotate --reseal-only",
    )?;
    let added = key_file::add(path, &new_key()?).map_err(Failure::failed)?;
    keyring.read_again().map_err(Failure::failed)?;
    Ok(added)
}

async fn retire(database: &Database, keyring: &Keyring) -> Result<Report, Failure> {
    let path = file(keyring, "take those keys out of it with which `cargoman secrets check` finds nothing sealed")?;
    let written = key_file::written_at(path).map_err(Failure::failed)?;
    let age = SystemTime::now().duration_since(written).unwrap_or_default();
    if keyring.ids().len() > 1 && age < SETTLED {
        return Err(Failure::failed(format!(
            "the key file was changed {} seconds ago, and a request under way may still store a secret sealed with an older key; run this again in {} seconds",
            age.as_secs(),
            (SETTLED - age).as_secs() + 1
        )));
    }
    go_through(database, keyring, true).await?;
    let found = go_through(database, keyring, false).await?;
    let retired = key_file::retire(path, |id| found.values.contains_key(&Some(id))).map_err(Failure::failed)?;
    keyring.read_again().map_err(Failure::failed)?;
    Ok(Report { found, retired, ..Report::of(keyring) })
}

fn file<'a>(keyring: &'a Keyring, instead: &str) -> Result<&'a Path, Failure> {
    keyring.file().ok_or_else(|| {
        Failure::usage(format!(
            "the keys come from CARGOMAN_MASTER_KEY, which no program can change for you: {instead}"
        ))
    })
}

async fn go_through(database: &Database, keyring: &Keyring, reseal: bool) -> Result<Found, Failure> {
    let bar = match std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        true => ProgressBar::new(0).with_style(style()),
        false => ProgressBar::hidden(),
    };
    bar.set_message(if reseal { "sealing" } else { "checking" });
    let mut progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let found = resealing::run(database.system(), keyring, reseal, &mut progress).await;
    bar.finish_and_clear();
    found.map_err(|error| match error {
        ResealError::Store(_) => Failure::database(error),
        ResealError::Secrets(_) => Failure::failed(error),
    })
}

fn style() -> ProgressStyle {
    // An error would be one of this line; the standard bar does as well.
    ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}").unwrap_or_else(|_| ProgressStyle::default_bar())
}
