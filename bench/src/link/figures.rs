//! Percentiles of times.

use std::time::Duration;

use serde_json::{Value, json};

/// Times of one kind.
#[derive(Debug, Default, Clone)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn note(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// In milliseconds: the median, the 99th of a hundred, the longest, and how many there are.
    pub(super) fn figures(&self) -> Value {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |share: usize| {
            // The smallest that at least this share does not exceed.
            let rank = (sorted.len() * share).div_ceil(100).max(1);
            sorted.get(rank - 1).map_or(f64::NAN, |time| (time.as_secs_f64() * 1e5).round() / 100.0)
        };
        json!({"median_ms": at(50), "p99_ms": at(99), "longest_ms": at(100), "count": sorted.len()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks() {
        let mut times = Times::default();
        for milliseconds in (1..=200).rev() {
            times.note(Duration::from_millis(milliseconds));
        }
        let expected = json!({"median_ms": 100.0, "p99_ms": 198.0, "longest_ms": 200.0, "count": 200});
        assert_eq!(times.figures(), expected);
    }
}
