//! Panics are counted: each is a fault of ours that somebody should hear of, even where it cost one connection alone (E-R16).

use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use super::counters::{Counters, Event};

/// The edges of this process.
static COUNTED_BY: Mutex<Vec<Weak<Counters>>> = Mutex::new(Vec::new());

/// From now on panics in this process are counted here too; what was done about them before still is.
pub(crate) fn count(counters: &Arc<Counters>) {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            for counters in COUNTED_BY.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade) {
                counters.count(Event::Panic);
            }
            before(info);
        }));
    });
    let mut counted_by = COUNTED_BY.lock().unwrap_or_else(PoisonError::into_inner);
    counted_by.retain(|counters| counters.strong_count() > 0);
    counted_by.push(Arc::downgrade(counters));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E-R16.
    #[test]
    fn counted() {
        let counters = Arc::new(Counters::default());
        count(&counters);
        // Another test may panic at the same time, on purpose.
        let before = counters.events(Event::Panic);
        std::thread::spawn(|| panic!("on purpose")).join().unwrap_err();
        assert!(counters.events(Event::Panic) > before);
    }
}
