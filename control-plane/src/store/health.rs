//! Whether the database answers. A statement on a server that hangs waits without end, so a connection of its own is asked
//! again and again, and whoever serves requests looks here. Decides when the database counts as lost, and nothing else.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

/// How often it is asked.
const EVERY: Duration = Duration::from_millis(250);
/// After so long without an answer it is lost: every request is to be answered within a second.
const LOST: Duration = Duration::from_millis(850);
/// The least time between two judgements.
const LEAST: Duration = Duration::from_millis(100);
/// A timer may be late by so much and still count as punctual.
const PUNCTUAL: Duration = Duration::from_millis(20);
/// A question without an answer is given up after this, and asked on a new connection.
const LONGEST: Duration = Duration::from_secs(3);
/// The pause after a try that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether the database answers, as requests see it; cheap to clone.
#[derive(Debug, Clone)]
pub struct Health(watch::Receiver<bool>);

/// The other end of [`Health`].
#[derive(Debug)]
pub struct Pulse(watch::Sender<bool>);

/// When anybody last had an answer of the database: where many ask, one who is kept waiting proves nothing. On a machine without
/// time to spare one server process may wait for seconds while the others answer.
#[derive(Debug, Clone)]
pub struct Heard {
    beginning: Instant,
    milliseconds: Arc<AtomicU64>,
}

impl Heard {
    pub(super) fn new() -> Self {
        Self { beginning: Instant::now(), milliseconds: Arc::default() }
    }

    /// There was an answer so long ago.
    pub(super) fn note(&self, ago: Duration) {
        let at = self.beginning.elapsed().saturating_sub(ago);
        self.milliseconds.fetch_max(u64::try_from(at.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.beginning + Duration::from_millis(self.milliseconds.load(Ordering::Relaxed))
    }
}

/// The database is asked as long as this is kept.
#[derive(Debug)]
pub struct Feeling(#[expect(dead_code, reason = "its drop is what it is for")] oneshot::Sender<()>);

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
    /// Asks the database until the answer is dropped, on a thread of its own: who asks must not wait behind those whose requests
    /// it is to answer for.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn feel(self, options: &PgConnectOptions, heard: Heard) -> std::io::Result<Feeling> {
        let options = options.clone().application_name("cargoman_health").disable_statement_logging();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (feeling, over) = oneshot::channel();
        std::thread::Builder::new().name("database-health".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    never = self.ask_on(&options, &heard) => match never {},
                    // An error: it was dropped.
                    _ = over => {}
                }
            });
        })?;
        Ok(Feeling(feeling))
    }

    async fn ask_on(&self, options: &PgConnectOptions, heard: &Heard) -> std::convert::Infallible {
        let (mut open, mut silence) = (None, Silence::since(Instant::now()));
        loop {
            open = self.one_answer(ask(open.take(), options), &mut silence, heard).await;
            let pause = match open {
                Some(_) => {
                    silence = Silence::since(Instant::now());
                    self.say(true);
                    EVERY
                }
                None => {
                    self.judge(&mut silence, heard);
                    PAUSE
                }
            };
            let slept = Instant::now();
            sleep(pause).await;
            silence.excuse(pause, slept.elapsed());
        }
    }

    /// Waits for an answer, and judges the silence meanwhile.
    async fn one_answer(
        &self,
        asking: impl Future<Output = sqlx::Result<PgConnection>>,
        silence: &mut Silence,
        heard: &Heard,
    ) -> Option<PgConnection> {
        let mut asking = pin!(asking);
        let asked = Instant::now();
        while asked.elapsed() < LONGEST {
            let (waits, pause) = (Instant::now(), silence.left(Instant::now()).max(LEAST));
            tokio::select! {
                biased;
                answer = &mut asking => return answer.ok(),
                () = sleep(pause) => {
                    silence.excuse(pause, waits.elapsed());
                    self.judge(silence, heard);
                }
            }
        }
        None
    }

    fn judge(&self, silence: &mut Silence, heard: &Heard) {
        silence.heard(heard.last());
        if silence.left(Instant::now()).is_zero() {
            self.say(false);
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

/// How long the database has been silent, without the time in which this thread was not given the processor: a machine that is too
/// busy to wake it, or a program that was stopped and goes on, says nothing about the database.
#[derive(Debug)]
struct Silence {
    since: Instant,
    excused: Duration,
}

impl Silence {
    fn since(since: Instant) -> Self {
        Self { since, excused: Duration::ZERO }
    }

    /// Somebody else had an answer then.
    fn heard(&mut self, at: Instant) {
        if at > self.since {
            *self = Self::since(at);
        }
    }

    /// A pause that was to take `planned` took `took`.
    fn excuse(&mut self, planned: Duration, took: Duration) {
        let late = took.saturating_sub(planned);
        if late > PUNCTUAL {
            self.excused += late;
        }
    }

    /// What is left of [`LOST`]; nothing when it is over.
    fn left(&self, now: Instant) -> Duration {
        (LOST + self.excused).saturating_sub(now.saturating_duration_since(self.since))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_the_thread_slept_on_is_no_silence() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut silence = Silence::since(start);
        assert_eq!(silence.left(at(850)), Duration::ZERO);
        assert_eq!(silence.left(at(600)), Duration::from_millis(250));
        silence.excuse(EVERY, EVERY + PUNCTUAL);
        assert_eq!(silence.left(at(850)), Duration::ZERO, "a timer is never quite on time");
        silence.excuse(EVERY, EVERY + Duration::from_secs(3));
        assert_eq!(silence.left(at(3_300)), Duration::from_millis(550));
        assert_eq!(silence.left(at(3_850)), Duration::ZERO);
        silence.heard(at(3_600));
        assert_eq!(silence.left(at(3_850)), Duration::from_millis(600), "somebody else had an answer");
        silence.heard(at(100));
        assert_eq!(silence.left(at(3_850)), Duration::from_millis(600));
    }
}
