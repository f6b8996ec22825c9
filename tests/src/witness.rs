//! Readers that ask edges with tokens all the time, and notice when one is served after its end was said to be effective.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use cargoman_testkit::raw_http::Connection;

use crate::scale_out::{Link, P2, Token, request};

/// How many of the last tokens are shown.
const SHOWN: usize = 12;

/// What readers show and saw.
#[derive(Debug, Default)]
pub struct Witness {
    /// Between two requests of one reader.
    pace: Duration,
    tokens: RwLock<Vec<Shown>>,
    enough: AtomicBool,
    asked: AtomicU64,
    good: AtomicU64,
    /// Neither served nor refused as unknown.
    failed: AtomicU64,
    lies: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Shown {
    token: Token,
    /// Since when it is served nowhere.
    effective: Mutex<Option<Instant>>,
}

impl Witness {
    /// One whose readers pause between requests, so that they load the machine only so much.
    #[must_use]
    pub fn paced(pace: Duration) -> Self {
        Self { pace, ..Self::default() }
    }

    /// Runs `act` while `readers` ask each edge. Panics when a reader saw what must not be, or when they saw too little.
    #[track_caller]
    pub fn over<R>(&self, link: &Link, readers: usize, act: impl FnOnce() -> R) -> R {
        std::thread::scope(|scope| {
            for number in 0..readers * link.world.edges.len() {
                scope.spawn(move || self.read(link, number));
            }
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            self.enough.store(true, Ordering::Relaxed);
            done
        })
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// How many requests there were.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// From now on readers show this token.
    pub fn show(&self, token: &Token) {
        let shown = Shown { token: token.clone(), effective: Mutex::new(None) };
        self.tokens.write().unwrap_or_else(PoisonError::into_inner).push(shown);
    }

    /// The call that ended this token has answered `effective`.
    pub fn ended(&self, token: &Token) {
        let now = Instant::now();
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        for shown in tokens.iter().filter(|shown| shown.token.id == token.id) {
            *shown.effective.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
    }

    /// Panics unless at least `least` answers were good and none was a lie; gives how many requests there were, and how many of
    /// them failed.
    #[track_caller]
    pub fn judge(&self, what: &str, least: u64) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (asked, good, failed) = (read(&self.asked), read(&self.good), read(&self.failed));
        println!("{what}: {asked} requests, {good} good, {failed} failed");
        let lies = self.lies.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(lies.is_empty(), "{what}: {lies:?}");
        assert!(good >= least, "{what}: only {good} good answers");
        (asked, failed)
    }

    fn read(&self, link: &Link, number: usize) {
        let edge = number % link.world.edges.len();
        let mut connection = None;
        let mut turn = number;
        while !self.enough.load(Ordering::Relaxed) {
            if !self.pace.is_zero() {
                std::thread::sleep(self.pace);
            }
            turn = turn.wrapping_add(1);
            let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
            let Some(shown) = tokens.len().checked_sub(1 + turn % SHOWN).and_then(|at| tokens.get(at)) else {
                drop(tokens);
                std::thread::yield_now();
                continue;
            };
            let (token, effective) =
                (shown.token.clone(), *shown.effective.lock().unwrap_or_else(PoisonError::into_inner));
            drop(tokens);
            self.asked.fetch_add(1, Ordering::Relaxed);
            let begun = Instant::now();
            let status = ask(&mut connection, link.world.edges[edge].address(), &token);
            match status {
                Some(200) => {
                    self.good.fetch_add(1, Ordering::Relaxed);
                    if effective.is_some_and(|effective| effective < begun) {
                        self.lies
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(format!("edge {edge}: {}", token.id));
                    }
                }
                Some(401) => {}
                _ => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Asks on the connection there is, or on a new one; none when that does not work.
fn ask(connection: &mut Option<Connection>, address: &str, token: &Token) -> Option<u16> {
    let mut open = match connection.take() {
        Some(open) => open,
        None => Connection::try_open(address).ok()?,
    };
    let response = open.send(request(token, P2)).try_response("GET").ok()?;
    *connection = Some(open);
    Some(response.status)
}
