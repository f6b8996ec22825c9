//! `cargoman storage …`: goes through the stored dists, beside a server that runs or without one. These commands open database and
//! storage themselves: what they read is too much to go through an API, and it must be possible when nothing else works.

mod open;
mod show;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use cargoman_control_plane::config::{StorageConfig, StorageKind};
use cargoman_control_plane::dists::{collect, migrate, verify};
use cargoman_control_plane::storage::Storage;
use cargoman_control_plane::trust::Trust;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::open::{Opened, Place, open};
use crate::control_plane::install_crypto;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Reads every stored dist and compares it with what the database says; ends with 1 when something is wrong.
    Verify(Verify),
    /// Takes away what nobody needs: dists whose last version went long ago, and bytes older than a day that nothing names.
    Collect(Collect),
    /// Copies every dist to another storage. Beside a running server: copy, change its setting, restart it, copy once more.
    Migrate(Migrate),
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    place: Place,
    /// Reads at most so many MiB a second.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Has packages read again whose dists are missing or damaged; a running server does it.
    #[arg(long)]
    heal: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Collect {
    #[command(flatten)]
    place: Place,
    /// Shows what would go, and takes nothing away.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    place: Place,
    /// A file whose section `[storage]` says where to; the environment is not asked, so a secret stands in a file that it names.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    cargoman_telemetry::start();
    install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        match command {
            Command::Verify(arguments) => {
                let opened = open(&arguments.place).await?;
                let ended = verify_all(&opened, &arguments).await;
                opened.close().await.and(ended)
            }
            Command::Collect(arguments) => {
                let opened = open(&arguments.place).await?;
                let ended = collect_once(&opened, &arguments).await;
                opened.close().await.and(ended)
            }
            Command::Migrate(arguments) => {
                let opened = open(&arguments.place).await?;
                let ended = migrate_all(&opened, &arguments).await;
                opened.close().await.and(ended)
            }
        }
    })
}

async fn verify_all(opened: &Opened, arguments: &Verify) -> Result<(), Failure> {
    let (dists, bytes) = opened.database.system().count_dists().await.map_err(Failure::database)?;
    let bar = bar(bytes, "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}");
    let options = verify::Options { rate: arguments.rate.map(|rate| rate << 20), heal: arguments.heal };
    let report = verify::run(&opened.database, &opened.storage, options, |progress| {
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} of {dists} dists, {} wrong", progress.dists, progress.wrong));
    });
    let report = report.await.map_err(Failure::failed)?;
    bar.finish_and_clear();
    say(arguments.place.json, &report, || show::report(&report, &opened.storage));
    match report.wrong.len() {
        0 => Ok(()),
        wrong => {
            Err(Failure::failed(format!("something is wrong with {wrong} of {dists} dists in {}", opened.storage)))
        }
    }
}

async fn collect_once(opened: &Opened, arguments: &Collect) -> Result<(), Failure> {
    let days = opened.config.retention_days;
    let collected = collect::once(opened.database.system(), &opened.storage, days, arguments.dry_run).await;
    let collected = collected.map_err(Failure::failed)?;
    say(arguments.place.json, &collected, || show::collected(&collected, days, arguments.dry_run));
    Ok(())
}

async fn migrate_all(opened: &Opened, arguments: &Migrate) -> Result<(), Failure> {
    let to = target(arguments, &opened.config, &opened.trust)?;
    to.probe().await.map_err(|error| Failure::usage(format!("{}: {error}", arguments.to.display())))?;
    let system = opened.database.system();
    let (dists, _) = system.count_dists().await.map_err(Failure::database)?;
    let bar = bar(dists, "{bar:30} {pos}/{len} dists {eta}");
    let migrated = migrate::run(system, &opened.storage, &to, |done| bar.set_position(done)).await;
    let migrated = migrated.map_err(Failure::failed)?;
    bar.finish_and_clear();
    say(arguments.place.json, &migrated, || show::migrated(&migrated, &opened.storage, &to));
    match migrated.failed.len() {
        0 => Ok(()),
        failed => Err(Failure::failed(format!(
            "{failed} of {dists} dists could not be copied; run it again: it goes on where it was"
        ))),
    }
}

/// The storage that `--to` names.
fn target(arguments: &Migrate, from: &StorageConfig, trust: &Trust) -> Result<Storage, Failure> {
    let name = arguments.to.display();
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("--to: {name}: {error}"));
    let text = std::fs::read_to_string(&arguments.to).map_err(|error| wrong(&error))?;
    let mut table: toml::Table = text.parse().map_err(|error| wrong(&error))?;
    let section = table.remove("storage").ok_or_else(|| wrong(&"it has no section [storage]"))?;
    let table = toml::Table::from_iter([("storage".to_owned(), section)]);
    let to = cargoman_control_plane::config::Config::from_table(table).map_err(|error| wrong(&error))?.storage;
    if to.kind == StorageKind::Fs && to.root.is_none() {
        return Err(wrong(&"storage.root must be set"));
    }
    let same = |config: &StorageConfig| {
        (config.kind, config.root.clone(), config.bucket.clone(), config.endpoint.clone(), config.prefix.clone())
    };
    if same(&to) == same(from) {
        return Err(wrong(&"it is the storage that dists lie in already"));
    }
    Storage::open(&to, trust).map_err(|error| wrong(&error))
}

/// On a terminal; where nobody looks, nothing.
fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(length) } else { ProgressBar::hidden() };
    // The default style is as good where the template is wrong, which a test would show.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style)
}

fn say(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) {
    let text = match serde_json::to_string_pretty(value) {
        Ok(pretty) if json => pretty,
        _ => text(),
    };
    // Whoever reads it may stop when he has enough; that is no failure.
    writeln!(std::io::stdout(), "{text}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_of_the_bars_are_well_formed() {
        for template in ["{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}", "{bar:30} {pos}/{len} dists {eta}"] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
