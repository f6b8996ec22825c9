//! Decides what the worker process may use: it lowers its own priority, bounds its memory, processor time and files, and takes from libgit2 every way to read configuration from outside the mirror.

use std::sync::Once;

use rustix::process::{Resource, Rlimit, nice, setrlimit};

use super::super::failure::Result;
use super::super::protocol::{Failed, Limits};

const FILE_BYTES: u64 = 4 << 30;
const OPEN_FILES: u64 = 256;
/// How much of packs libgit2 maps at once; the rest of the address space is for contents.
const MAPPED_BYTES: usize = 1 << 30;
const WINDOW_BYTES: usize = 32 << 20;

/// What needs no request: done before a single byte is read.
pub(super) fn early() {
    // Refused only where a sandbox already is stricter. There is no death signal: it would come when the parent's *thread* ends.
    // A worker whose parent is gone finds nobody to tell its next event to, and stops.
    let _ = nice(10);
}

/// Bounds this process for good.
pub(super) fn apply(limits: &Limits) -> Result<()> {
    for (resource, most) in [
        (Resource::As, limits.address_space_bytes),
        (Resource::Cpu, limits.total_seconds),
        (Resource::Fsize, FILE_BYTES),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Core, 0),
    ] {
        let bound = Rlimit { current: Some(most), maximum: Some(most) };
        let current = rustix::process::getrlimit(resource);
        if current.maximum.is_some_and(|maximum| maximum < most) {
            continue;
        }
        setrlimit(resource, bound).map_err(|error| Failed::machine(format_args!("limiting {resource:?}"), error))?;
    }
    Ok(())
}

/// Settings of libgit2 for this process, once.
#[expect(unsafe_code, reason = "libgit2's settings are plain globals")]
pub(super) fn configure_libgit2() -> Result<()> {
    static ONCE: Once = Once::new();
    let mut outcome = Ok(());
    ONCE.call_once(|| {
        use git2::ConfigLevel::{Global, ProgramData, System, XDG};
        // Versions read each object once; our own caches keep what is read again.
        git2::opts::enable_caching(false);
        for level in [System, Global, XDG, ProgramData] {
            // SAFETY: `Once` runs this alone, before this process uses libgit2 for anything else.
            let set = unsafe { git2::opts::set_search_path(level, "") };
            outcome = std::mem::replace(&mut outcome, Ok(())).and(set);
        }
        // SAFETY: as above. The owner check protects people who run hooks and configuration; nothing is run here.
        let set = unsafe {
            git2::opts::set_verify_owner_validation(false)
                .and_then(|()| git2::opts::set_mwindow_size(WINDOW_BYTES))
                .and_then(|()| git2::opts::set_mwindow_mapped_limit(MAPPED_BYTES))
        };
        outcome = std::mem::replace(&mut outcome, Ok(())).and(set);
    });
    outcome.map_err(|error| Failed::machine("setting up libgit2", error.message()))
}
