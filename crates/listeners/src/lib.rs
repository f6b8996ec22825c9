//! Listening sockets that a parent hands over by systemd's protocol (`LISTEN_PID`, `LISTEN_FDS`, `LISTEN_FDNAMES`), so that
//! connections wait in the kernel's queue while a program is restarted. Decides which socket is whose; never binds one.

use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;

/// Where Composer is answered.
pub const EDGE: &str = "edge";
/// The control plane's public API.
pub const PUBLIC: &str = "public";
/// The control plane's edge API.
pub const EDGE_API: &str = "edge-api";

/// Sockets that were handed over and that nobody took yet.
#[derive(Debug, Default)]
pub struct Listeners(Vec<(String, TcpListener)>);

/// Why the sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListenersError {
    /// Not a listening TCP socket.
    #[error("the socket number {number} that was handed over (LISTEN_FDS) cannot be used: {error}")]
    Socket {
        /// From 0.
        number: usize,
        /// What the system says.
        error: io::Error,
    },
    /// More than one where there can be one.
    #[error("{count} sockets named `{name}` were handed over; there can be one")]
    Many {
        /// The name.
        name: &'static str,
        /// How many there are.
        count: usize,
    },
    /// A socket that is for nobody.
    #[error(
        "sockets for nobody here were handed over: {0}; name them in LISTEN_FDNAMES (FileDescriptorName= of the socket unit): edge, public or edge-api"
    )]
    Unknown(String),
}

impl Listeners {
    /// Takes what the parent handed over, and the variables that say so. Call it once, at the start, before there are threads.
    ///
    /// # Errors
    /// When something other than a TCP socket was handed over.
    pub fn from_parent() -> Result<Self, ListenersError> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = ListenFd::from_env();
        let mut listeners = Vec::with_capacity(handed.len());
        for number in 0..handed.len() {
            let name = names.next().unwrap_or_default().to_owned();
            match handed.take_tcp_listener(number) {
                Ok(Some(listener)) => listeners.push((name, listener)),
                Ok(None) => {}
                Err(error) => return Err(ListenersError::Socket { number, error }),
            }
        }
        Ok(Self(listeners))
    }

    /// Those of an edge: by name, or without a name of ours.
    pub fn take_edge(&mut self) -> Vec<TcpListener> {
        self.take_where(|name| name != PUBLIC && name != EDGE_API)
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When there are several.
    pub fn take_one(&mut self, name: &'static str) -> Result<Option<TcpListener>, ListenersError> {
        let mut found = self.take_where(|found| found == name);
        match found.len() {
            0 | 1 => Ok(found.pop()),
            count => Err(ListenersError::Many { name, count }),
        }
    }

    /// Nobody takes any more: all must be gone.
    ///
    /// # Errors
    /// When some are left.
    pub fn finish(self) -> Result<(), ListenersError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = self.0.iter().map(|(name, _)| format!("`{name}`")).collect();
        Err(ListenersError::Unknown(names.join(", ")))
    }

    fn take_where(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<TcpListener> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(|(name, _)| wanted(name));
        self.0 = left;
        let taken: Vec<(String, TcpListener)> = taken;
        taken.into_iter().map(|(_, listener)| listener).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Listeners {
        Listeners(names.iter().map(|name| ((*name).to_owned(), TcpListener::bind("127.0.0.1:0").unwrap())).collect())
    }

    #[test]
    fn whose_is_whose() {
        let mut all = named(&["edge-api", "", "public", "edge", "cargoman-edge.socket"]);
        assert!(all.take_one(PUBLIC).unwrap().is_some());
        assert!(all.take_one(PUBLIC).unwrap().is_none());
        assert!(all.take_one(EDGE_API).unwrap().is_some());
        assert_eq!(all.take_edge().len(), 3);
        assert!(all.finish().is_ok());

        assert!(matches!(named(&["public", "public"]).take_one(PUBLIC), Err(ListenersError::Many { count: 2, .. })));
        let error = named(&["public", "other"]).finish().unwrap_err().to_string();
        assert!(error.contains("`public`, `other`"), "{error}");
    }
}
