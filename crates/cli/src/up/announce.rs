//! Tells when everything is ready, however long that takes, and turns a signal into the end of everything.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::demo;
use crate::control_plane::until_signal;
use crate::exit::Failure;

pub(super) struct Announcement {
    pub(super) edge: String,
    pub(super) control: String,
    pub(super) public_url: String,
    /// Folder of the demo, when one is wanted.
    pub(super) demo: Option<PathBuf>,
    pub(super) admin_token: String,
}

/// How often the log says that it is not ready yet.
const SAY_EVERY: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Returns when a signal came or something else ended.
pub(super) fn until_stopped(
    announcement: &Announcement,
    stop: &watch::Sender<bool>,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let announced = runtime.block_on(async {
        let waiting = async {
            announce(announcement).await?;
            std::future::pending().await
        };
        tokio::select! {
            failed = waiting => failed,
            () = until_signal() => Ok(()),
            _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
        }
    });
    stop.send_replace(true);
    announced
}

async fn announce(announcement: &Announcement) -> Result<(), Failure> {
    let client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().map_err(Failure::failed)?;
    for part in [&announcement.edge, &announcement.control] {
        let ready = format!("{part}/readyz");
        let mut since = Instant::now();
        while !client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if since.elapsed() >= SAY_EVERY {
                since = Instant::now();
                tracing::warn!(part, "not ready yet; the log above tells the cause");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    if let Some(folder) = &announcement.demo {
        demo::prepare(folder, announcement).await?;
    }
    let mut out = std::io::stdout().lock();
    // The one line on standard output: scripts wait for it. A closed pipe means that nobody does.
    writeln!(out, "ready edge={} control={}", announcement.edge, announcement.control).and_then(|()| out.flush()).ok();
    Ok(())
}
