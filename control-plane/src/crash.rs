//! Named places at which a test has this process end as by `kill -9` (G-L7). In builds without debug assertions they are nothing.

/// A place in the course of a sync. Those of the worker end the worker, the others the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The job is ours; nothing was done for it.
    JobClaimed,
    /// What was known is read, and the request is ready.
    SyncPlanned,
    /// The worker has said which refs there are.
    RefsHeard,
    /// The worker has said a version; its dist lies in the worker's folder.
    VersionHeard,
    /// The database knows that a dist is coming.
    DistAnnounced,
    /// The storage has the dist, no row names it.
    DistStored,
    /// Versions are written and not committed.
    VersionsWritten,
    /// Versions are committed, and the sync is not at its end.
    VersionsCommitted,
    /// What is gone is taken away and the end of the sync written, all not committed.
    EndWritten,
    /// The sync is at its end and the job does not know.
    EndCommitted,
    /// The end of the job is committed.
    JobEnded,
    /// The worker has the list of refs.
    WorkerListed,
    /// The mirror is open, nothing is fetched.
    WorkerMirrorOpened,
    /// The objects are fetched, the refs are the old ones.
    WorkerFetched,
    /// The mirror's new refs lie beside the old ones.
    WorkerRefsWritten,
    /// Objects and refs are the new ones.
    WorkerBrought,
    /// Names and refs are said.
    WorkerAnnounced,
    /// A dist is written under another name.
    WorkerDistWritten,
    /// A dist has its name, and nobody was told.
    WorkerDistNamed,
    /// A version was told.
    WorkerVersionTold,
    /// Everything was told but that this was all.
    WorkerDone,
}

impl Point {
    /// All of them, in the order of a sync.
    pub const ALL: [Self; 21] = [
        Self::JobClaimed,
        Self::SyncPlanned,
        Self::WorkerListed,
        Self::WorkerMirrorOpened,
        Self::WorkerFetched,
        Self::WorkerRefsWritten,
        Self::WorkerBrought,
        Self::WorkerAnnounced,
        Self::RefsHeard,
        Self::WorkerDistWritten,
        Self::WorkerDistNamed,
        Self::WorkerVersionTold,
        Self::VersionHeard,
        Self::DistAnnounced,
        Self::DistStored,
        Self::WorkerDone,
        Self::VersionsWritten,
        Self::VersionsCommitted,
        Self::EndWritten,
        Self::EndCommitted,
        Self::JobEnded,
    ];

    /// Whether it ends the worker alone.
    #[must_use]
    pub fn is_of_worker(self) -> bool {
        format!("{self:?}").starts_with("Worker")
    }
}

/// `Point:nth:file`: the process ends when it comes to that place for the nth time and can remove the file, so that it ends once.
pub const VARIABLE: &str = "CARGOMAN_CRASH_AT";

/// Ends this process here, if a test wants it.
#[inline]
pub fn point(here: Point) {
    if cfg!(debug_assertions) {
        maybe(here);
    }
}

fn maybe(here: Point) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static TIMES: AtomicU32 = AtomicU32::new(0);

    let Ok(wanted) = std::env::var(VARIABLE) else { return };
    let mut parts = wanted.splitn(3, ':');
    let (Some(name), Some(nth), Some(file)) = (parts.next(), parts.next(), parts.next()) else { return };
    if name != format!("{here:?}") || !std::path::Path::new(file).exists() {
        return;
    }
    let times = TIMES.fetch_add(1, Ordering::SeqCst) + 1;
    if nth.parse() == Ok(times) && std::fs::remove_file(file).is_ok() {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).ok();
    }
}
