//! Turns "please stop" into an orderly end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::sync::watch;

use crate::connection::Open;
use crate::link::spool::Flush;
use crate::observe::traces::Traces;

/// Waits to be asked, and then for those who are being served.
pub(super) struct Stop {
    pub(super) asked: watch::Receiver<bool>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) open: Arc<Open>,
    pub(super) drain: Duration,
    pub(super) flush: Flush,
    pub(super) traces: Option<Arc<Traces>>,
}

/// Uses get so long to be sent even when requests in flight took all of the time there was.
const LEAST_FLUSH: Duration = Duration::from_millis(500);

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        let mut asked = self.asked.clone();
        // A sender that is gone cannot ask any more: that is as good as asking.
        let _ = asked.wait_for(|asked| *asked).await;
        self.stop.send_replace(true);
        let began = Instant::now();
        self.open.wait_for_closed().await;
        if tokio::time::timeout(self.drain, self.open.wait_for_none()).await.is_err() {
            tracing::warn!(target: "cargoman::edge", "requests in flight did not end in time");
        }
        self.flush.within(self.drain.saturating_sub(began.elapsed()).max(LEAST_FLUSH)).await;
        if let Some(traces) = &self.traces {
            traces.end(LEAST_FLUSH).await;
        }
        ShutdownSignal::FastShutdown
    }
}
