//! Hears what other instances say through PostgreSQL. What is missed is made good by looking every second.

use std::time::Duration;

use cargoman_edge_protocol::link::Closing;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;

use super::Link;
use crate::domain::id::EdgeId;
use crate::store::{Notice, Notices, StoreError};

/// Between two attempts to connect.
const RECOVERY: Duration = Duration::from_secs(1);

/// Listens until the stop.
pub(super) async fn run(link: &Link, options: &PgConnectOptions, mut stop: watch::Receiver<bool>) {
    let listening = async {
        let mut failing = false;
        loop {
            // It comes back only when it fails; once, not every second.
            if let Err(error) = listen(link, options, &mut failing).await
                && !std::mem::replace(&mut failing, true)
            {
                tracing::warn!(%error, "cannot listen to the database; changes are looked for every second");
            }
            tokio::time::sleep(RECOVERY).await;
        }
    };
    tokio::select! {
        () = listening => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn listen(link: &Link, options: &PgConnectOptions, failing: &mut bool) -> Result<(), StoreError> {
    let mut notices = Notices::open(options).await?;
    *failing = false;
    // Something may have been said before this connection was open.
    link.feed.look();
    loop {
        match notices.next().await? {
            Notice::Written => link.feed.look_soon(),
            Notice::Numbered(numbered) => link.feed.told(numbered),
            Notice::Acked(by, _) if by == link.id => {}
            Notice::Acked(_, acks) => link.acks.note_elsewhere(acks),
            Notice::Fenced(edge) => link.streams.close_edge(EdgeId(edge), Closing::Fenced),
            Notice::Queued => link.jobs_queued.notify_one(),
            // The connection was lost and made again.
            Notice::Missed => {
                link.feed.look();
                link.acks.note_elsewhere(None);
            }
        }
    }
}
