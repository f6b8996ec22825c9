//! How long to wait before a segment is sent again.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);

/// The pause after the `failures`-th failure in a row, 1 being the first. `chance` (any 32 random bits) spreads the edges: without
/// it all of them would come back in the same moment.
pub(super) fn after(failures: u32, chance: u32) -> Duration {
    let doubled = SHORTEST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let most = doubled.min(LONGEST);
    let half = most / 2;
    half + half.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses() {
        for (failures, shortest, longest) in [
            (1, 100, 200),
            (2, 200, 400),
            (5, 1_600, 3_200),
            (8, 12_800, 25_600),
            (9, 15_000, 30_000),
            (33, 15_000, 30_000),
            (u32::MAX, 15_000, 30_000),
        ] {
            assert_eq!(after(failures, 0), Duration::from_millis(shortest), "{failures}");
            assert_eq!(after(failures, u32::MAX), Duration::from_millis(longest), "{failures}");
        }
    }
}
