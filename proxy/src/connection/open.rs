//! How many connections there may be, in all and of one address, and when the last one is gone.
//!
//! A connection too many is closed at once: whoever opens them is not worth an answer, and everybody else gets his.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{Notify, watch};

use crate::config::EdgeConfig;

/// A connection that was taken last may not have begun to count.
const BEGINS: Duration = Duration::from_millis(50);
/// The longest that the listeners may take until they are closed.
const CLOSES: Duration = Duration::from_secs(1);

/// Counts open connections.
pub(crate) struct Open {
    closed: watch::Sender<bool>,
    count: AtomicUsize,
    most: usize,
    /// Of each address that is no proxy of ours.
    of_address: Mutex<HashMap<IpAddr, usize>>,
    most_of_address: usize,
    trusted: Vec<IpNet>,
    none: Notify,
}

impl Open {
    /// As many as the configuration allows.
    pub(crate) fn new(config: &EdgeConfig) -> Arc<Self> {
        Arc::new(Self {
            closed: watch::Sender::new(false),
            count: AtomicUsize::new(0),
            most: config.limits.connections,
            of_address: Mutex::default(),
            most_of_address: config.limits.connections_per_address,
            trusted: config.trusted_proxies.clone(),
            none: Notify::new(),
        })
    }

    /// Counts a connection until what this gives is dropped; none if it is one too many.
    pub(super) fn enter(self: &Arc<Self>, peer: Option<&SocketAddr>) -> Option<Counted> {
        let mut counted = Counted { open: Arc::clone(self), address: None };
        if self.count.fetch_add(1, Ordering::AcqRel) >= self.most {
            return None;
        }
        let address = peer.map(|peer| peer.ip().to_canonical());
        if let Some(address) = address.filter(|address| !self.trusted.iter().any(|network| network.contains(address))) {
            let address = network(address);
            let mut of_address = self.of_address.lock().unwrap_or_else(PoisonError::into_inner);
            let there = of_address.entry(address).or_default();
            if *there >= self.most_of_address {
                return None;
            }
            *there += 1;
            counted.address = Some(address);
        }
        Some(counted)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// No more will come.
    pub(super) fn closed(&self) {
        self.closed.send_replace(true);
    }

    /// Waits until no more come and all that came are counted.
    pub(crate) async fn wait_for_closed(&self) {
        let mut closed = self.closed.subscribe();
        let closing = tokio::time::timeout(CLOSES, closed.wait_for(|closed| *closed)).await.is_ok();
        if !closing {
            tracing::warn!(target: "cargoman::edge", "the listeners did not close in time");
        }
        tokio::time::sleep(BEGINS).await;
    }

    /// Waits until there are none.
    pub(crate) async fn wait_for_none(&self) {
        loop {
            let none = self.none.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

pub(super) struct Counted {
    open: Arc<Open>,
    address: Option<IpAddr>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            let mut of_address = self.open.of_address.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(there) = of_address.get_mut(&address) {
                *there -= 1;
                if *there == 0 {
                    of_address.remove(&address);
                }
            }
        }
        if self.open.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.open.none.notify_waiters();
        }
    }
}

/// Whoever has one address of version 6 has the 2⁶⁴ of its network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(most: usize, most_of_address: usize) -> Arc<Open> {
        Arc::new(Open {
            closed: watch::Sender::new(false),
            count: AtomicUsize::new(0),
            most,
            of_address: Mutex::default(),
            most_of_address,
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
            none: Notify::new(),
        })
    }

    #[tokio::test]
    async fn bounded_and_drained() {
        let open = open(2, 9);
        let (first, second) = (open.enter(None), open.enter(None));
        assert!(first.is_some() && second.is_some() && open.enter(None).is_none());
        drop(first);
        assert!(open.enter(None).is_some());
        let waiting = tokio::spawn({
            let open = Arc::clone(&open);
            async move { open.wait_for_none().await }
        });
        drop(second);
        tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
    }

    /// E-R17, E-L3.
    #[test]
    fn of_one_address() {
        let open = open(100, 2);
        let from = |address: &str| open.enter(Some(&SocketAddr::new(address.parse().unwrap(), 1)));
        let kept = [from("192.0.2.1"), from("::ffff:192.0.2.1"), from("2001:db8::1"), from("2001:db8::2:1")];
        assert!(kept.iter().all(Option::is_some));
        for (address, enters) in [
            ("192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::ffff", false),
            ("2001:db8:0:1::1", true),
            ("10.0.0.1", true),
        ] {
            assert_eq!(from(address).is_some(), enters, "{address}");
        }
        let proxied: Vec<_> = (0..9).map(|_| from("10.0.0.1")).collect();
        assert!(proxied.iter().all(Option::is_some));
        drop((kept, proxied));
        assert!(from("192.0.2.1").is_some());
        assert_eq!(open.count.load(Ordering::Acquire), 0);
        assert!(open.of_address.lock().unwrap().is_empty());
    }
}
