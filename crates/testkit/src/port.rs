//! Ports for programs that are told where to listen: those that the system gives to nobody who did not name one. A port that was bound
//! to 0 and let go may be a client's a moment later.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below what Linux, BSD and macOS hand out by themselves.
const FIRST: u32 = 10_000;
const MANY: u32 = 20_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port of the loopback interface at which nobody listens, and which no other call in this process gives.
///
/// # Panics
/// When all are taken.
#[must_use]
pub fn free() -> u16 {
    // Test programs that run side by side begin at different places.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..MANY {
        let number = FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % MANY;
        let port = u16::try_from(number).expect("FIRST and MANY are within 16 bits");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port between {FIRST} and {} is free; stop what listens there", FIRST + MANY);
}

/// The same as `host:port`.
#[must_use]
pub fn free_address() -> String {
    format!("{}:{}", Ipv4Addr::LOCALHOST, free())
}
