//! What came of it, for people.

use std::fmt::Write;

use cargoman_control_plane::dists::collect::{Collected, Counted};
use cargoman_control_plane::dists::migrate::Migrated;
use cargoman_control_plane::dists::verify::Report;
use cargoman_control_plane::storage::Storage;
use indicatif::HumanBytes;

pub(super) fn report(report: &Report, storage: &Storage) -> String {
    let mut out = format!("{} in {storage}: as they should be", counted(report.whole));
    for wrong in &report.wrong {
        let versions = if wrong.versions.is_empty() { "no version".to_owned() } else { wrong.versions.join(", ") };
        let detail = wrong.detail.as_ref().map_or_else(String::new, |detail| format!(": {detail}"));
        // Writing to a string cannot fail.
        write!(out, "\n{} in {}: {versions}{detail}\n  {}\n  {}", wrong.what, wrong.tenant, wrong.sha256, wrong.remedy)
            .ok();
    }
    if report.orphans > 0 {
        write!(out, "\n{} more that nothing names; `cargoman storage collect` takes them away", report.orphans).ok();
    }
    out
}

pub(super) fn collected(collected: &Collected, days: u32, dry_run: bool) -> String {
    let went = if dry_run { "would go" } else { "are gone" };
    let mut out = format!(
        "{} that no version has needed for {days} days, and {} that nothing names, {went}",
        counted(collected.unneeded),
        counted(collected.orphans)
    );
    if collected.young > 0 {
        write!(out, "\n{} that nothing names are younger than a day and stay until then", collected.young).ok();
    }
    if collected.of_strangers > 0 {
        write!(
            out,
            "\n{} are of tenants that this database does not have: left alone; remove them by hand if no other registry uses \
             this place",
            collected.of_strangers
        )
        .ok();
    }
    if collected.unfinished > 0 {
        write!(out, "\n{} unfinished files of a crash are gone", collected.unfinished).ok();
    }
    out
}

pub(super) fn migrated(migrated: &Migrated, from: &Storage, to: &Storage) -> String {
    let mut out = format!(
        "{} copied from {from} to {to} and read back; {} were there already",
        counted(migrated.copied),
        migrated.already
    );
    for failed in &migrated.failed {
        write!(out, "\nnot copied: {}\n  {}", failed.sha256, failed.reason).ok();
    }
    out
}

fn counted(counted: Counted) -> String {
    let dists = if counted.dists == 1 { "dist" } else { "dists" };
    format!("{} {dists} ({})", counted.dists, HumanBytes(counted.bytes))
}
