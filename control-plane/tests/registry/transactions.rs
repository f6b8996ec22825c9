//! What becomes of a transaction whose caller goes away: its connection is given back as it was taken.

use std::time::Duration;

use cargoman_testkit::deadline::poll_until;

use crate::fixture::Registry;

/// Less than the time after which PostgreSQL itself ends a transaction that nobody goes on with.
const SOON: Duration = Duration::from_millis(1_500);

/// Or what the next caller writes on that connection is never committed.
#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_that_is_given_up_leaves_nothing_open() {
    let registry = Registry::new().await;
    registry.warm().await;
    let mut given_up = 0;
    // All connections at once, and the most patient first: a transaction that is begun to the end would hide one that was not.
    for patience in (0..200).rev() {
        let begun = (0..registry.state.config.database.connections).map(|_| registry.begin());
        let impatience = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            begun = futures::future::join_all(begun) => drop(begun),
            () = impatience => given_up += 1,
        }
    }
    assert!(given_up > 10, "{given_up}");
    poll_until("no transaction is open", SOON, || {
        let open = registry.sql(
            "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
        );
        (open == "0").then_some(())
    });
    assert_eq!(
        registry
            .count("pg_stat_activity where datname = current_database() and query like 'begin%' and state <> 'idle'"),
        0
    );
}
