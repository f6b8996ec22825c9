//! Storing and taking away at the same moment: bytes whose row is being written never go (Z-13).

use std::time::{Duration, SystemTime};

use cargoman_control_plane::dists::{self, collect};
use cargoman_control_plane::domain::id::PackageId;
use cargoman_control_plane::storage::Condition;
use cargoman_control_plane::store::{Actor, TenantTransaction, dists as rows, package_syncs};
use cargoman_credential::Digest;

use crate::fixture::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_about_to_be_named_is_not_taken_away() {
    let registry = Registry::new().await;
    let (state, tenant) = (&registry.state, registry.tenant);
    let long_ago = SystemTime::now() - Duration::from_secs(25 * 3600);
    let (mut taken, mut kept) = (0, 0);
    for round in 0..120_u32 {
        let bytes = format!("dist {round}").repeat(50);
        let (digest, size) = (Digest::of(bytes.as_bytes()), bytes.len() as u64);
        let file = registry.folder.path().join("dist.zip");
        std::fs::write(&file, &bytes).unwrap();
        state.storage.put(tenant, digest, size, &file).await.unwrap();
        let hex = digest.to_hex();
        let stored = registry.folder.path().join(format!("storage/dists/{tenant}/{}/{hex}.zip", &hex[..2]));
        std::fs::File::options().write(true).open(&stored).unwrap().set_modified(long_ago).unwrap();
        let storing = async {
            // Now before the collector, now after it, now in its middle.
            tokio::time::sleep(Duration::from_micros(u64::from(round % 12) * 700)).await;
            dists::store((&state.database, &state.storage), tenant, (digest, size), &file).await.unwrap();
            let mut transaction = TenantTransaction::begin(&state.database, tenant, Actor::Root).await.unwrap();
            rows::insert(&mut transaction, &hex, &"0".repeat(40), i64::try_from(size).unwrap()).await.unwrap();
            transaction.commit().await.unwrap();
        };
        let collecting = collect::once(state.database.system(), &state.storage, 30, false);
        let ((), collected) = tokio::join!(storing, collecting);
        match collected.unwrap().orphans.dists {
            0 => kept += 1,
            _ => taken += 1,
        }
        assert_eq!(state.storage.check(tenant, digest, size).await.unwrap(), Condition::Whole, "round {round}");
    }
    // Either may come first; which, is the machine's matter.
    assert_eq!(taken + kept, 120);
}

/// The same for a dist that has a row which nobody needs any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_needed_again_is_not_taken_away() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    let digest = registry.publish("acme/pay", "1.0.0").await;
    let (state, tenant) = (&registry.state, registry.tenant);
    let once = || collect::once(state.database.system(), &state.storage, 30, false);
    once().await.unwrap();
    assert_eq!(registry.sql("select count(*) from dist where unneeded_since is not null"), "0");
    registry.sql("delete from version; delete from dist_coming");
    once().await.unwrap();
    assert_eq!(registry.sql("select count(*) from dist where unneeded_since is not null"), "1");
    registry.sql("update dist set unneeded_since = now() - interval '40 days'");
    // Whoever stores it again says so first.
    state.database.system().announce_dist(tenant, digest).await.unwrap();
    assert_eq!(once().await.unwrap().unneeded.dists, 0);
    assert_eq!(registry.sql("select count(*) from dist where unneeded_since is null"), "1", "its time begins anew");
    registry.sql("delete from dist_coming");
    once().await.unwrap();
    registry.sql("update dist set unneeded_since = now() - interval '29 days'");
    assert_eq!(once().await.unwrap().unneeded.dists, 0, "not before its time");
    registry.sql("update dist set unneeded_since = now() - interval '31 days'");
    assert_eq!(once().await.unwrap().unneeded.dists, 1);
    assert_eq!(registry.sql("select count(*) from dist"), "0");
    assert!(state.storage.read(tenant, digest).await.unwrap().is_none());
}

/// A sync that was under way when a dist was to be made anew has read the repository before that: the next one must not find it unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_dist_wanted_anew_outlives_the_sync_under_way() {
    let registry = Registry::new().await;
    registry.package("acme/pay").await;
    registry.publish("acme/pay", "1.0.0").await;
    // As if it came from the repository: an upload nothing gives again.
    registry.sql("update version set kind = 'tag'");
    let dist = registry.sql("select sha256 from dist").parse().unwrap();
    let id = PackageId(registry.sql("select id from package").parse().unwrap());
    let digest = || registry.sql("select coalesce(refs_digest, '') from package");
    let begin = || TenantTransaction::begin(&registry.state.database, registry.tenant, Actor::Root);
    let ends = async |rereads: i64| {
        let mut transaction = begin().await.unwrap();
        package_syncs::synced(&mut transaction, id, None, Some(("all refs", rereads)), chrono::Utc::now())
            .await
            .unwrap();
        transaction.commit().await.unwrap();
    };
    let starts = async || {
        let mut transaction = begin().await.unwrap();
        package_syncs::sync_state(&mut transaction, id).await.unwrap().unwrap().rereads
    };
    let before = starts().await;
    ends(before).await;
    assert_eq!(digest(), "all refs");
    let under_way = starts().await;
    let mut transaction = begin().await.unwrap();
    assert_eq!(rows::reread(&mut transaction, dist).await.unwrap(), ["acme/pay"]);
    transaction.commit().await.unwrap();
    assert_eq!(digest(), "");
    ends(under_way).await;
    assert_eq!(digest(), "", "the refs were read before they were to be read anew");
    ends(starts().await).await;
    assert_eq!(digest(), "all refs");
}
