//! Whether the database answers. A statement on a server that hangs waits without end, so a connection of its own is asked
//! again and again, and whoever serves requests looks here. Decides when the database counts as lost, and nothing else.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(250);
/// After so long without an answer it is lost: every request is to be answered within a second.
const LOST: Duration = Duration::from_millis(850);
/// The least time for one try: a program that was not given the processor must not take the server for dead.
const LEAST: Duration = Duration::from_millis(100);
/// The pause after a try that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether the database answers, as requests see it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Health(watch::Receiver<bool>);

/// The other end of [`Health`].
#[derive(Debug)]
pub struct Pulse(watch::Sender<bool>);

/// The two ends. It counts as answering until it was found not to.
#[must_use]
pub fn health() -> (Pulse, Health) {
    let (pulse, health) = watch::channel(true);
    (Pulse(pulse), Health(health))
}

impl Health {
    /// Whether it does not answer.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        !*self.0.borrow()
    }

    /// Waits until it does not answer.
    pub async fn lost(&self) {
        if self.0.clone().wait_for(|answers| !answers).await.is_err() {
            // Nobody watches any more: the program ends, and requests end as they may.
            std::future::pending().await
        }
    }
}

impl Pulse {
    /// Asks the database without end.
    pub async fn feel(self, options: PgConnectOptions) -> std::convert::Infallible {
        let options = options.application_name("cargoman_health").disable_statement_logging();
        let (mut open, mut heard) = (None, Instant::now());
        loop {
            let lost = !*self.0.borrow();
            let left = if lost { LOST } else { LOST.saturating_sub(heard.elapsed()).max(LEAST) };
            match timeout(left, ask(open.take(), &options)).await {
                Ok(Ok(connection)) => {
                    (open, heard) = (Some(connection), Instant::now());
                    self.say(true);
                    sleep(EVERY).await;
                }
                Ok(Err(_)) | Err(_) => {
                    if heard.elapsed() >= LOST {
                        self.say(false);
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn say(&self, answers: bool) {
        let changed = self.0.send_if_modified(|said| std::mem::replace(said, answers) != answers);
        match (changed, answers) {
            (true, true) => tracing::info!("the database answers again"),
            (true, false) => tracing::error!(
                "the database does not answer; every request gets 503 until it does: look at the server of DATABASE_URL"
            ),
            (false, _) => {}
        }
    }
}

async fn ask(open: Option<PgConnection>, options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let mut connection = match open {
        Some(connection) => connection,
        None => options.connect().await?,
    };
    connection.ping().await?;
    Ok(connection)
}
