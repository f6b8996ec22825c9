//! Asks several instances of the control plane for the same thing. One that is held up is not waited for, and not given up either: on
//! a slow network all of them are slow.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::sleep;

/// The first good end of `tries`. The next one begins when one failed, or when none ended for `patience`; those that began go on. The
/// last error if none is good; none if there was nothing to try.
pub(super) async fn first_good<T, E>(
    tries: Vec<BoxFuture<'_, Result<T, E>>>,
    patience: Duration,
) -> Result<T, Option<E>> {
    let mut left = tries.into_iter();
    let mut last = None;
    let mut begun = FuturesUnordered::new();
    loop {
        if let Some(next) = left.next() {
            begun.push(next);
        } else if begun.is_empty() {
            return Err(last);
        }
        tokio::select! {
            Some(end) = begun.next() => match end {
                Ok(good) => return Ok(good),
                Err(error) => last = Some(error),
            },
            () = sleep(patience) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::time::Instant;

    use super::*;

    /// Ends after so many seconds, well or not.
    async fn instance(seconds: u64, good: bool) -> Result<u64, u64> {
        sleep(Duration::from_secs(seconds)).await;
        if good { Ok(seconds) } else { Err(seconds) }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_held_up_is_passed_by_and_may_still_win() {
        for (instances, expected, after) in [
            (&[(1, true), (0, true)][..], Ok(1), 1),
            (&[(9, true), (1, true)], Ok(1), 3),
            (&[(3, true), (9, true)], Ok(3), 3),
            (&[(0, false), (1, true)], Ok(1), 1),
            (&[(1, false), (3, false)], Err(Some(3)), 4),
            (&[], Err(None), 0),
        ] {
            let began = Instant::now();
            let tries = instances.iter().map(|(seconds, good)| instance(*seconds, *good).boxed()).collect();
            assert_eq!(first_good(tries, Duration::from_secs(2)).await, expected, "{instances:?}");
            assert_eq!(began.elapsed().as_secs(), after, "{instances:?}");
        }
    }
}
