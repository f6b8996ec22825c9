//! Waiting for something to come true, with an end. It replaces sleeping in tests.

use std::time::{Duration, Instant};

/// How often the condition is looked at.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// Calls `probe` until it gives a value; panics with `what` when that takes longer than `limit`.
#[track_caller]
pub fn poll_until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut tries = 0_u32;
    loop {
        tries += 1;
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain ({tries} tries): {what}");
        std::thread::sleep(TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_value_or_says_what_was_missing() {
        let mut count = 0;
        let value = poll_until("three", Duration::from_secs(5), || {
            count += 1;
            (count == 3).then_some(count)
        });
        assert_eq!(value, 3);

        let panic = std::panic::catch_unwind(|| poll_until::<()>("the moon", Duration::ZERO, || None)).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("the moon") && message.contains("1 tries"), "{message}");
    }
}
