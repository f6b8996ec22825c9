//! What an edge believes, and for how long: caches under a lease, events, outages, restarts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cargoman_credential::{Kind, Secret};
use cargoman_edge_protocol::{Entry, Host, Key, Outage, OutageMode, Tenant};

use super::fake::Fake;
use super::world::{HOST, World, access, acme, acme_pay, dist_path, eventually, grant, secret, tenant_id, version};

const P2: &str = "/p2/acme/pay.json";

struct Linked {
    world: World,
    fake: Arc<Fake>,
    secret: Secret,
    folder: Arc<tempfile::TempDir>,
}

impl Linked {
    /// An edge with a lease, and a customer of everything.
    fn new() -> Self {
        let fake = Fake { credential: secret(Kind::Edge).expose().to_owned(), ..Fake::default() };
        fake.link.on.store(true, Ordering::SeqCst);
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let linked = Self::on(Arc::new(fake), folder, secret(Kind::Token));
        linked.world.put_access(tenant_id(1), &linked.secret, access(vec![grant("acme/pay", "*")]));
        linked
    }

    fn on(fake: Arc<Fake>, folder: Arc<tempfile::TempDir>, secret: Secret) -> Self {
        let world = World::linked(Arc::clone(&folder), Arc::clone(&fake), |config| {
            config.state_directory = folder.path().join("state");
        });
        Self { world, fake, secret, folder }
    }

    /// The same edge, started anew.
    fn restarted(self) -> Self {
        let Self { world, fake, secret, folder } = self;
        drop(world);
        Self::on(fake, folder, secret)
    }

    fn status(&self, path: &str) -> u16 {
        self.status_of(&self.secret, path)
    }

    fn status_of(&self, secret: &Secret, path: &str) -> u16 {
        let authorization = format!("Bearer {}", secret.expose());
        self.world.connect().request("GET", path, &[("Host", HOST), ("Authorization", &authorization)]).status
    }

    fn reads(&self) -> usize {
        self.fake.reads.load(Ordering::SeqCst)
    }

    /// Asks until the edge answers from what it knows.
    fn warm(&self) {
        eventually("answers without a question", || {
            let before = self.reads();
            self.status(P2) == 200 && self.reads() == before
        });
    }

    /// What the edge acknowledged.
    fn acked_all(&self) -> bool {
        *self.fake.link.acked.borrow() == *self.fake.link.head.borrow()
    }

    fn revoke(&self) {
        self.fake.remove(&Key::Access { tenant: tenant_id(1), digest: self.secret.digest() });
    }

    /// No lease any more, and no answers.
    fn cut_off(&self) {
        self.fake.down.store(true, Ordering::SeqCst);
        self.fake.link.leases.store(false, Ordering::SeqCst);
        self.fake.link.cut();
    }
}

#[test]
fn under_a_lease_nothing_is_asked_twice() {
    let linked = Linked::new();
    linked.warm();
    let reads = linked.reads();
    for path in [P2, "/packages.json", "/p2/acme/pay~dev.json", &dist_path("2.1.0.0", 5)] {
        assert_eq!(linked.status(path), 200, "{path}");
    }
    let unknown = secret(Kind::Token);
    assert_eq!(linked.status_of(&unknown, P2), 401);
    let once = linked.reads();
    assert!(once <= reads + 1, "the unknown token was asked for, the rest was known");
    assert_eq!(linked.status_of(&unknown, P2), 401);
    assert_eq!(linked.reads(), once, "and it is known to be unknown");
}

#[test]
fn an_acknowledged_event_is_seen_by_the_next_request() {
    let linked = Linked::new();
    linked.warm();
    for number in 0..50_u8 {
        let reference = format!("{:02x}", number + 100).repeat(20);
        let pretty = format!("3.0.{number}");
        let mut package = acme_pay();
        package.versions.insert(0, version("acme/pay", &pretty, "2025-10-01", &reference));
        linked.world.put_package(tenant_id(1), package);
        eventually("the event is acknowledged", || linked.acked_all());
        let basic = format!("Bearer {}", linked.secret.expose());
        let answer = linked.world.connect().request("GET", P2, &[("Host", HOST), ("Authorization", &basic)]);
        assert!(answer.text().contains(&pretty), "{}", answer.text());
    }
    let fresh = secret(Kind::Token);
    assert_eq!(linked.status_of(&fresh, P2), 401);
    linked.world.put_access(tenant_id(1), &fresh, access(vec![grant("acme/pay", "*")]));
    eventually("the event is acknowledged", || linked.acked_all());
    assert_eq!(linked.status_of(&fresh, P2), 200, "a token that was unknown a moment ago");
    linked.revoke();
    eventually("the event is acknowledged", || linked.acked_all());
    assert_eq!(linked.status(P2), 401);
}

#[test]
fn a_fill_that_began_before_a_revocation_is_not_kept() {
    let linked = Linked::new();
    linked.warm();
    let late = secret(Kind::Token);
    linked.world.put_access(tenant_id(1), &late, access(vec![grant("acme/pay", "*")]));
    eventually("the event is acknowledged", || linked.acked_all());
    linked.fake.link.holding.send_replace(true);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| linked.status_of(&late, P2));
        eventually("the fill is under way", || linked.fake.link.held.load(Ordering::SeqCst) > 0);
        linked.fake.remove(&Key::Access { tenant: tenant_id(1), digest: late.digest() });
        eventually("the event is acknowledged", || linked.acked_all());
        linked.fake.link.holding.send_replace(false);
        assert_eq!(asking.join().unwrap(), 200, "it came in before the revocation");
    });
    assert_eq!(linked.status_of(&late, P2), 401);
}

#[test]
fn an_outage() {
    let linked = Linked::new();
    let strict = Tenant {
        id: tenant_id(2),
        slug: "strict".to_owned(),
        outage: Outage { mode: OutageMode::FailClosed, grace_seconds: None },
        ..acme()
    };
    linked.world.put_tenant("strict.example", strict);
    linked.world.put_package(tenant_id(2), acme_pay());
    linked.world.put_access(tenant_id(2), &linked.secret, access(vec![grant("acme/pay", "*")]));
    linked.warm();
    let authorization = format!("Bearer {}", linked.secret.expose());
    let of_strict = || {
        let fields = [("Host", "strict.example"), ("Authorization", authorization.as_str())];
        linked.world.connect().request("GET", P2, &fields).status
    };
    assert_eq!(of_strict(), 200);
    assert_eq!(linked.status(&dist_path("2.1.0.0", 5)), 200);
    linked.cut_off();
    assert_eq!((linked.status(P2), of_strict()), (200, 200), "the lease holds");
    eventually("the lease ends", || of_strict() == 503);
    assert_eq!(linked.status(P2), 200, "served from what is known");
    assert_eq!(linked.status(&dist_path("2.1.0.0", 5)), 200);
    assert_eq!(linked.status_of(&secret(Kind::Token), P2), 503, "an unknown token is not refused");
    assert_eq!(linked.status("/healthz"), 200);
    linked.revoke();
    linked.fake.down.store(false, Ordering::SeqCst);
    linked.fake.link.leases.store(true, Ordering::SeqCst);
    eventually("it hears of the revocation", || linked.status(P2) == 401);
    assert!(linked.fake.link.resumed.load(Ordering::SeqCst) > 0, "it went on from where it was");
    eventually("the next lease", || of_strict() == 200);
}

#[test]
fn the_grace_is_bounded() {
    let linked = Linked::new();
    linked.warm();
    linked.fake.link.grace_s.store(0, Ordering::SeqCst);
    // The second one from now was asked for and taken after this.
    let granted = linked.fake.link.granted.load(Ordering::SeqCst);
    eventually("leases without grace", || linked.fake.link.granted.load(Ordering::SeqCst) > granted + 1);
    linked.cut_off();
    eventually("the lease ends, and everything with it", || linked.status(P2) == 503);
}

#[test]
fn a_restart_without_the_control_plane() {
    let linked = Linked::new();
    linked.warm();
    assert_eq!(linked.status(&dist_path("2.1.0.0", 5)), 200);
    let spare = secret(Kind::Token);
    linked.world.put_access(tenant_id(1), &spare, access(vec![grant("acme/pay", "*")]));
    eventually("the event is acknowledged", || linked.acked_all());
    assert_eq!(linked.status_of(&spare, P2), 200);
    linked.fake.remove(&Key::Access { tenant: tenant_id(1), digest: spare.digest() });
    eventually("the event is acknowledged", || linked.acked_all());
    linked.cut_off();
    let linked = linked.restarted();
    assert_eq!(linked.status(P2), 200, "from the saved state");
    assert_eq!(linked.status(&dist_path("2.1.0.0", 5)), 200);
    assert_ne!(linked.status_of(&spare, P2), 200, "what was acknowledged as revoked stays so");
    linked.fake.down.store(false, Ordering::SeqCst);
    linked.fake.link.leases.store(true, Ordering::SeqCst);
    eventually("it goes on from there", || linked.fake.link.resumed.load(Ordering::SeqCst) > 0);
    linked.revoke();
    eventually("the event is acknowledged", || linked.acked_all());
    assert_eq!(linked.status(P2), 401);
}

#[test]
fn after_a_farewell_nothing_is_served_before_the_next_lease() {
    let linked = Linked::new();
    linked.warm();
    let fake = Arc::clone(&linked.fake);
    let Linked { world, secret, folder, .. } = linked;
    drop(world);
    assert_eq!(fake.link.left.load(Ordering::SeqCst), 1);
    fake.down.store(true, Ordering::SeqCst);
    let linked = Linked::on(fake, folder, secret);
    assert_eq!(linked.status(P2), 503);
}

#[test]
fn a_damaged_or_foreign_state_is_not_used() {
    let linked = Linked::new();
    linked.warm();
    linked.cut_off();
    let fake = Arc::clone(&linked.fake);
    let Linked { world, secret, folder, .. } = linked;
    drop(world);
    let path = folder.path().join("state/facts");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let linked = Linked::on(fake, folder, secret);
    assert_eq!(linked.status(P2), 503);
}

#[test]
fn a_restored_database() {
    let linked = Linked::new();
    linked.warm();
    let spare = secret(Kind::Token);
    linked.world.put_access(tenant_id(1), &spare, access(vec![grant("acme/pay", "*")]));
    let before = linked.fake.link.events.lock().unwrap().clone();
    linked.fake.remove(&Key::Access { tenant: tenant_id(1), digest: spare.digest() });
    eventually("the event is acknowledged", || linked.acked_all());
    // The backup knows nothing of the revocation.
    linked.fake.link.epoch.store(2, Ordering::SeqCst);
    *linked.fake.link.events.lock().unwrap() = before;
    linked.fake.link.cut();
    eventually("the revoked tokens are handed over", || {
        linked.fake.link.handed_over.lock().unwrap().contains(&spare.digest())
    });
    let reads = linked.reads();
    eventually("everything is read again", || linked.status(P2) == 200 && linked.reads() > reads);
}

#[test]
fn a_change_of_a_later_release_drops_everything() {
    let linked = Linked::new();
    linked.warm();
    let reads = linked.reads();
    linked.fake.link.event(serde_json::json!({"kind": "weather"}));
    eventually("the event is acknowledged", || linked.acked_all());
    assert_eq!(linked.status(P2), 200);
    assert!(linked.reads() > reads);
}

#[test]
fn a_fenced_edge_serves_nothing() {
    let linked = Linked::new();
    linked.warm();
    linked.fake.link.fenced.store(true, Ordering::SeqCst);
    linked.fake.down.store(true, Ordering::SeqCst);
    linked.fake.link.cut();
    linked.fake.down.store(false, Ordering::SeqCst);
    eventually("it is told", || {
        linked.fake.link.cut();
        linked.fake.facts.lock().unwrap().clear();
        linked.status(P2) != 200
    });
}

#[test]
fn a_tenant_that_moves() {
    let linked = Linked::new();
    linked.warm();
    let suspended = Tenant { suspended: Some("Unpaid.".to_owned()), ..acme() };
    linked.fake.put(Key::Host { host: HOST.to_owned() }, Entry::Host(Host::Tenant(suspended)));
    eventually("the event is acknowledged", || linked.acked_all());
    assert_ne!(linked.status(P2), 200);
}
