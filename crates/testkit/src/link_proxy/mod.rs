//! Stands between an edge and the edge API of one control plane, and does to their stream what networks do, and worse: cuts one
//! direction, delays, loses, doubles, swaps and shortens messages, puts others before them. Calls on the same port pass through; only
//! cuts and delays touch them.

mod frame;
mod pump;

use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Which way something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the control plane to the edge.
    ToEdge,
    /// From the edge to the control plane.
    ToControlPlane,
}

/// What happens to one message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// It is lost.
    Drop,
    /// It comes twice.
    Double,
    /// It comes after the next one.
    Swap,
    /// Half of it comes.
    Halve,
    /// Another text comes before it.
    After(String),
}

/// What messages arrive instead of one.
pub type Translation = fn(Direction, &str) -> Vec<String>;

/// The proxy; dropped, it takes no more connections and breaks those it has.
#[derive(Debug)]
pub struct LinkProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    to_edge: Way,
    to_control_plane: Way,
    refuses: bool,
    translation: Option<Translation>,
    closing: bool,
    open: Vec<TcpStream>,
}

#[derive(Debug, Default)]
struct Way {
    cut: bool,
    delay: Duration,
    faults: VecDeque<Fault>,
    messages: u64,
}

impl LinkProxy {
    /// A proxy on a free port for the edge API at `upstream`, host and port.
    pub fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let shared =
            Arc::new(Shared { upstream: upstream.to_owned(), state: Mutex::default(), changed: Condvar::new() });
        let taking = Arc::clone(&shared);
        let accepting = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = taking.state();
                if state.closing {
                    return;
                }
                if !state.refuses {
                    drop(state);
                    let shared = Arc::clone(&taking);
                    // An error is the end of a connection, which both sides see.
                    std::thread::spawn(move || pump::connect(&shared, stream).ok());
                }
            }
        });
        Self { address, shared, accepting: Some(accepting) }
    }

    /// Host and port that the edge connects to.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port of [`Self::address`].
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Nothing gets through this way until [`Self::heal`]; then all of it does.
    pub fn cut(&self, direction: Direction) {
        self.shared.state().way(direction).cut = true;
    }

    /// Everything takes so long this way.
    pub fn delay(&self, direction: Direction, time: Duration) {
        self.shared.state().way(direction).delay = time;
    }

    /// What happens to the next messages of streams this way, one after another.
    pub fn next(&self, direction: Direction, faults: impl IntoIterator<Item = Fault>) {
        self.shared.state().way(direction).faults.extend(faults);
    }

    /// Faults of [`Self::next`] that are still to come.
    pub fn waiting(&self, direction: Direction) -> usize {
        self.shared.state().way(direction).faults.len()
    }

    /// Messages that came this way so far.
    pub fn messages(&self, direction: Direction) -> u64 {
        self.shared.state().way(direction).messages
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refuses: bool) {
        self.shared.state().refuses = refuses;
    }

    /// Every message of streams arrives like this from now on, as if the other side were of another release.
    pub fn translate(&self, translation: Translation) {
        self.shared.state().translation = Some(translation);
    }

    /// Breaks every connection there is.
    pub fn break_all(&self) {
        for stream in self.shared.state().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends every fault.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.refuses = false;
        for direction in [Direction::ToEdge, Direction::ToControlPlane] {
            let way = state.way(direction);
            (way.cut, way.delay) = (false, Duration::ZERO);
            way.faults.clear();
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for LinkProxy {
    fn drop(&mut self) {
        self.heal();
        self.shared.state().closing = true;
        self.break_all();
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while this way is cut.
    fn wait_for_passage(&self, direction: Direction) {
        let mut state = self.state();
        while state.way(direction).cut {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How long things take this way.
    fn delay(&self, direction: Direction) -> Duration {
        self.state().way(direction).delay
    }

    fn translation(&self) -> Option<Translation> {
        self.state().translation
    }

    fn next_fault(&self, direction: Direction) -> Fault {
        let mut state = self.state();
        let way = state.way(direction);
        way.messages += 1;
        way.faults.pop_front().unwrap_or(Fault::Pass)
    }
}

impl State {
    fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::ToEdge => &mut self.to_edge,
            Direction::ToControlPlane => &mut self.to_control_plane,
        }
    }
}
