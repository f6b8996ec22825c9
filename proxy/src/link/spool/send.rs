//! Takes segments to the control plane, oldest first, one at a time, until each is counted or refused.
//!
//! What says nothing of the batch itself (no answer, a failure over there, a credential that is not known, a release that has no
//! such path) is tried again, for as long as it takes. Sending twice does no harm: the batch has an id.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Spool, pause};
use crate::link::control_plane::{CallError, ControlPlane};
use crate::link::token_uses::TokenUses;

/// How old a segment becomes before it is closed.
const AGE: Duration = Duration::from_secs(1);

/// The one task that sends.
pub(crate) struct Sender {
    spool: Arc<Spool>,
    uses: Arc<TokenUses>,
    control_plane: Arc<ControlPlane>,
    finish: watch::Receiver<bool>,
    /// Dropped when there is nothing more to send.
    _ended: watch::Sender<()>,
}

/// The end of an edge: what is left is sent then.
pub(crate) struct Flush {
    finish: watch::Sender<bool>,
    ended: watch::Receiver<()>,
}

/// The sender of a spool, and the way to end it.
pub(crate) fn sender(spool: Arc<Spool>, uses: Arc<TokenUses>, control_plane: Arc<ControlPlane>) -> (Sender, Flush) {
    let (finish, finishing) = watch::channel(false);
    let (ending, ended) = watch::channel(());
    (Sender { spool, uses, control_plane, finish: finishing, _ended: ending }, Flush { finish, ended })
}

impl Flush {
    /// Lets the sender send everything there is, for at most `limit`. What is left then is sent at the next start.
    pub(crate) async fn within(&self, limit: Duration) {
        self.finish.send_replace(true);
        let mut ended = self.ended.clone();
        let ended = async { while ended.changed().await.is_ok() {} };
        if tokio::time::timeout(limit, ended).await.is_err() {
            tracing::warn!(target: "cargoman::edge", "not all uses could be sent; they are kept for the next start");
        }
    }
}

impl Sender {
    /// Sends until the end is asked for, and then what is left.
    pub(crate) async fn run(mut self) {
        while !self.finishing() {
            let spool = Arc::clone(&self.spool);
            tokio::select! {
                () = spool.filled.notified() => {}
                _ = self.finish.wait_for(|finish| *finish) => break,
            }
            self.wait_until_due().await;
            self.spool.close();
            self.send_all().await;
        }
        let (spool, uses) = (Arc::clone(&self.spool), Arc::clone(&self.uses));
        let _ = spawn_blocking(move || uses.hand_over(&spool)).await;
        self.spool.close();
        self.send_all().await;
    }

    fn finishing(&self) -> bool {
        *self.finish.borrow()
    }

    /// Until the open segment is old, or one is full, or left over.
    async fn wait_until_due(&mut self) {
        let due = Instant::now() + AGE;
        while !self.spool.waits() {
            tokio::select! {
                () = tokio::time::sleep_until(due) => return,
                () = self.spool.filled.notified() => {}
                _ = self.finish.wait_for(|finish| *finish) => return,
            }
        }
    }

    async fn send_all(&mut self) {
        while let Some(id) = self.spool.oldest() {
            let mut failures = 0;
            while let Err(error) = self.send(id).await {
                failures += 1;
                if u32::is_power_of_two(failures) {
                    tracing::warn!(target: "cargoman::edge", %error, failures, "uses cannot be sent; trying again");
                }
                self.pause(failures).await;
            }
        }
    }

    /// Shorter when the end is asked for meanwhile.
    async fn pause(&mut self, failures: u32) {
        let chance = ring::rand::generate::<[u8; 4]>(&ring::rand::SystemRandom::new());
        let pause = pause::after(failures, chance.map_or(0, |chance| u32::from_ne_bytes(chance.expose())));
        if self.finishing() {
            return tokio::time::sleep(pause.min(AGE)).await;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = self.finish.wait_for(|finish| *finish) => {}
        }
    }

    /// Sends one segment; afterwards it is not among the waiting ones any more, unless it must be sent again.
    async fn send(&self, id: Uuid) -> Result<(), CallError> {
        let batch = match self.at_disk(move |spool| spool.read(id)).await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(target: "cargoman::edge", %error, segment = %id, "a segment of the spool cannot be read");
                self.spool.skip(id);
                return Ok(());
            }
        };
        let events = batch.events.len();
        let sent = if events == 0 { Ok(()) } else { self.control_plane.hand_in(&batch).await };
        let done = match sent {
            Ok(()) => self.at_disk(move |spool| spool.sent(id)).await,
            Err(CallError::Status(status)) if refuses(status) => {
                tracing::error!(
                    target: "cargoman::edge", %status, segment = %id, events,
                    "the control plane refused uses; they lie in the spool's folder `refused`"
                );
                self.at_disk(move |spool| spool.put_aside(id)).await
            }
            Err(error) => return Err(error),
        };
        if let Err(error) = done {
            tracing::error!(target: "cargoman::edge", %error, segment = %id, "a segment of the spool cannot be moved");
            self.spool.skip(id);
        }
        Ok(())
    }

    async fn at_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Spool) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let spool = Arc::clone(&self.spool);
        spawn_blocking(move || work(&spool)).await.map_err(io::Error::other)?
    }
}

/// Whether an answer is about the batch, and will be the same the next time.
fn refuses(status: StatusCode) -> bool {
    let passing = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_client_error() && !passing.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refuses_a_batch() {
        for (status, expected) in [
            (400, true),
            (413, true),
            (422, true),
            (401, false),
            (404, false),
            (408, false),
            (429, false),
            (302, false),
            (500, false),
            (503, false),
        ] {
            assert_eq!(refuses(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }
}
