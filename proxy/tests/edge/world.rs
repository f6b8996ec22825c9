//! A small world: tenants, tokens, packages; an edge before it; and short ways to ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cargoman_composer::constraint::Constraint;
use cargoman_composer::name::{PackageName, VendorName};
use cargoman_composer::version::Version as NormalizedVersion;
use cargoman_credential::{Digest, Kind, Secret};
use cargoman_edge_protocol::{
    Access, Directory, Dist, Entry, Host, Key, Package, PastReference, Source, Tenant, TenantId, Vendor, Version,
};
use cargoman_licence::{
    Collection, CollectionId, Customer, CustomerStatus, Grant, GrantStatus, PackageGlob, Scope, TenantPolicy, Token,
};
use cargoman_proxy::config::{ControlPlane, EdgeConfig, EdgeCredential, PluginEntry};
use cargoman_proxy::observe::counters::Counters;
use cargoman_proxy::plugin;
use cargoman_proxy::server::Edge;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use uuid::Uuid;

use super::client::{Connection, Response};
use super::fake::{self, Fake};

pub(crate) const HOST: &str = "acme.example";

pub(crate) struct World {
    pub(crate) fake: Arc<Fake>,
    pub(crate) address: SocketAddr,
    addresses: Vec<SocketAddr>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) cache: Arc<tempfile::TempDir>,
    pub(crate) state: Arc<tempfile::TempDir>,
    pub(crate) counters: Arc<Counters>,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let started = Instant::now();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(std::thread::panicking() || ended.is_ok());
        }
        assert!(
            std::thread::panicking() || started.elapsed() < Duration::from_secs(8),
            "the edge took too long to stop"
        );
    }
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    DateTime::parse_from_rfc3339(&text).unwrap().to_utc()
}

pub(crate) fn name(text: &str) -> PackageName {
    PackageName::parse(text).unwrap()
}

pub(crate) fn tenant_id(number: u128) -> TenantId {
    TenantId(Uuid::from_u128(number))
}

/// The tenant `acme`: vendor `acme` is its own, `forked` is not.
pub(crate) fn acme() -> Tenant {
    let vendor = |text: &str, exclusive: bool, public: &[&str]| Vendor {
        name: VendorName::parse(text).unwrap(),
        exclusive,
        public_names: public.iter().map(|text| name(text)).collect(),
    };
    Tenant {
        id: tenant_id(1),
        slug: "acme".to_owned(),
        canonical_url: "https://acme.example".to_owned(),
        suspended: None,
        vendors: vec![vendor("acme", true, &["acme/open"]), vendor("forked", false, &[])],
        source: Source::Hide,
        policy: Default::default(),
        messages: Default::default(),
        outage: Default::default(),
        dist_redirects: false,
    }
}

/// A version whose archive is `bytes_of(reference)`.
pub(crate) fn version(package: &str, pretty: &str, published: &str, reference: &str) -> Version {
    let normalized = NormalizedVersion::parse(pretty).unwrap();
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(package));
    metadata.insert("version".to_owned(), json!(pretty));
    metadata.insert("version_normalized".to_owned(), json!(normalized.normalized()));
    metadata.insert("description".to_owned(), json!(format!("{package} makes things")));
    metadata.insert("require".to_owned(), json!({ "php": ">=8.1" }));
    metadata.insert("type".to_owned(), json!("library"));
    Version {
        version: normalized,
        aliases: Vec::new(),
        published_at: at(published),
        yanked: false,
        taken_down: None,
        deprecated: None,
        reference: reference.to_owned(),
        dist: dist(&bytes_of(reference)),
        metadata: serde_json::value::to_raw_value(&metadata).unwrap().into(),
        past: Vec::new(),
    }
}

/// Lets a version say something of itself.
pub(crate) fn say(version: &mut Version, key: &str, value: Value) {
    let mut metadata: Map<String, Value> = serde_json::from_str(version.metadata.text()).unwrap();
    metadata.insert(key.to_owned(), value);
    version.metadata = serde_json::value::to_raw_value(&metadata).unwrap().into();
}

pub(crate) fn past(reference: &str, published: &str) -> PastReference {
    PastReference { reference: reference.to_owned(), published_at: at(published), dist: dist(&bytes_of(reference)) }
}

/// Stands for a zip: a few hundred kilobytes that differ from reference to reference.
pub(crate) fn bytes_of(reference: &str) -> Vec<u8> {
    let seed = Digest::of(reference.as_bytes());
    (0..300_000_usize).map(|at| seed.as_bytes()[at % 32] ^ u8::try_from(at / 32 % 251).unwrap()).collect()
}

pub(crate) fn dist(bytes: &[u8]) -> Dist {
    let sha1 = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let sha1 = sha1.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Dist { sha256: Digest::of(bytes), sha1, size: bytes.len() as u64 }
}

pub(crate) fn reference(number: u8) -> String {
    format!("{number:02x}").repeat(20)
}

/// The package of the worked examples.
pub(crate) fn acme_pay() -> Package {
    let mut versions: Vec<Version> = [
        ("dev-main", "2025-09-01", 6),
        ("2.1.0", "2025-08-01", 5),
        ("2.0.0", "2025-01-15", 4),
        ("2.0.0-beta1", "2024-09-01", 3),
        ("1.1.0", "2024-06-01", 2),
        ("1.0.0", "2024-01-10", 1),
    ]
    .into_iter()
    .map(|(pretty, published, number)| version("acme/pay", pretty, published, &reference(number)))
    .collect();
    versions[0].past = vec![past(&reference(16), "2024-12-01")];
    Package {
        name: name("acme/pay"),
        abandoned: None,
        source_url: Some("https://git.internal/acme/pay".to_owned()),
        source: None,
        versions,
    }
}

pub(crate) fn package(text: &str, versions: Vec<Version>) -> Package {
    Package { name: name(text), abandoned: None, source_url: None, source: None, versions }
}

pub(crate) fn grant(package: &str, constraint: &str) -> Grant {
    Grant {
        id: format!("grant_{package}_{constraint}"),
        target: name(package).into(),
        constraint: Constraint::parse(constraint).unwrap(),
        minimum_stability: None,
        updates_until: None,
        status: GrantStatus::Active,
        external_id: None,
    }
}

/// A grant on every version of a collection.
pub(crate) fn grant_on(collection: &str) -> Grant {
    Grant::on(format!("grant_{collection}"), CollectionId(collection.to_owned()))
}

pub(crate) fn access(grants: Vec<Grant>) -> Access {
    Access {
        token: Token {
            id: "tok_id_1".to_owned(),
            last_four: "wxyz".to_owned(),
            scope: Scope::Download,
            package_scopes: Vec::new(),
            expires_at: None,
            revoked_at: None,
        },
        customer: Customer {
            id: "cust_1".to_owned(),
            name: "Shop".to_owned(),
            status: CustomerStatus::Active,
            expires_at: None,
            minimum_stability: None,
            lapsed_at: None,
            frozen: None,
            source_shown: None,
        },
        grants,
        policy: TenantPolicy::default(),
    }
}

pub(crate) fn secret(kind: Kind) -> Secret {
    Secret::generate(kind, &ring::rand::SystemRandom::new()).unwrap()
}

impl World {
    /// `acme` with `acme/pay`, and nobody who may read it.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// As [`Self::new`], with another configuration.
    pub(crate) fn with(change: impl FnOnce(&mut EdgeConfig)) -> Self {
        Self::in_directory(Arc::new(tempfile::tempdir().unwrap()), change)
    }

    pub(crate) fn in_directory(cache: Arc<tempfile::TempDir>, change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let credential = secret(Kind::Edge);
        let fake = Arc::new(Fake { credential: credential.expose().to_owned(), ..Fake::default() });
        let world = Self::before(fake, cache, &plugin::registry(), change);
        world.put_tenant(HOST, acme());
        world.put_package(tenant_id(1), acme_pay());
        world
    }

    /// As [`Self::new`], with a plugin of the test's.
    pub(crate) fn with_plugin(name: &'static str, build: plugin::Build) -> Self {
        let credential = secret(Kind::Edge);
        let fake = Arc::new(Fake { credential: credential.expose().to_owned(), ..Fake::default() });
        let mut registry = plugin::registry();
        registry.insert(name, build);
        let world = Self::before(fake, Arc::new(tempfile::tempdir().unwrap()), &registry, |config| {
            let (tenants, listeners) = (Vec::new(), Vec::new());
            config.plugins =
                vec![PluginEntry { name: name.to_owned(), tenants, listeners, settings: Default::default() }];
            config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
        });
        world.put_tenant(HOST, acme());
        world.put_package(tenant_id(1), acme_pay());
        world
    }

    fn before(
        fake: Arc<Fake>,
        cache: Arc<tempfile::TempDir>,
        registry: &plugin::Registry,
        change: impl FnOnce(&mut EdgeConfig),
    ) -> Self {
        let (edge_api, public_api) = fake::serve(&fake);
        let control_plane = ControlPlane {
            authorities: Vec::new(),
            edge_urls: vec![format!("http://{edge_api}").parse().unwrap()],
            public_urls: vec![format!("http://{public_api}").parse().unwrap()],
            credential: EdgeCredential::parse(&fake.credential).unwrap(),
            timeout: Duration::from_secs(3),
        };
        let mut config = EdgeConfig::new(vec!["127.0.0.1:0".parse().unwrap()], control_plane, cache.path().to_owned());
        let state = Arc::new(tempfile::tempdir().unwrap());
        config.state_directory = state.path().to_owned();
        config.threads = 2;
        config.drain = Duration::from_secs(3);
        change(&mut config);
        let edge = Edge::with_plugins(config, registry).unwrap();
        let (addresses, metrics, counters) = (edge.local_addresses().to_vec(), edge.metrics_address(), edge.counters());
        let address = addresses[0];
        let (stop, stopping) = watch::channel(false);
        let thread = std::thread::spawn(move || edge.run(stopping).unwrap());
        Self { fake, address, addresses, metrics, cache, state, counters, stop, thread: Some(thread) }
    }

    /// As [`Self::new`], with a control plane that keeps a link, and the lease taken.
    pub(crate) fn linked(cache: Arc<tempfile::TempDir>, fake: Arc<Fake>, change: impl FnOnce(&mut EdgeConfig)) -> Self {
        let fresh = fake.facts.lock().unwrap().is_empty();
        let world = Self::before(fake, cache, &plugin::registry(), change);
        if fresh {
            world.put_tenant(HOST, acme());
            world.put_package(tenant_id(1), acme_pay());
        }
        world
    }

    pub(crate) fn put_tenant(&self, host: &str, tenant: Tenant) {
        self.fake.put(Key::Host { host: host.to_owned() }, Entry::Host(Host::Tenant(tenant)));
    }

    /// A collection of `acme`.
    pub(crate) fn put_collection(&self, id: &str, members: &[&str], constraint: Option<&str>) {
        let id = CollectionId(id.to_owned());
        let globs: Vec<_> = members.iter().map(|member| PackageGlob::parse(member).unwrap()).collect();
        let collection = Collection {
            id: id.clone(),
            packages: globs.into(),
            constraint: constraint.map(|text| Constraint::parse(text).unwrap()),
            minimum_stability: None,
        };
        self.fake.put(Key::Collection { tenant: tenant_id(1), collection: id }, Entry::Collection(collection));
    }

    /// The names of all packages of `acme`, in order.
    pub(crate) fn put_directory(&self, names: &[&str]) {
        let packages = names.iter().map(|text| name(text)).collect();
        self.fake.put(Key::Directory { tenant: tenant_id(1) }, Entry::Directory(Directory { packages }));
    }

    /// A package with its archives.
    pub(crate) fn put_package(&self, tenant: TenantId, package: Package) {
        for version in &package.versions {
            let past = version.past.iter().map(|past| &past.reference);
            for reference in std::iter::once(&version.reference).chain(past) {
                let bytes = bytes_of(reference);
                self.fake.dists.lock().unwrap().insert(format!("{tenant}/{}", Digest::of(&bytes)), bytes);
            }
        }
        self.fake.put(Key::Package { tenant, name: package.name.clone() }, Entry::Package(package));
    }

    pub(crate) fn put_access(&self, tenant: TenantId, secret: &Secret, access: Access) {
        self.fake.put(Key::Access { tenant, digest: secret.digest() }, Entry::Access(access));
    }

    /// A customer of `acme`, ready to ask.
    pub(crate) fn customer(&self, grants: Vec<Grant>) -> Asker<'_> {
        let secret = secret(Kind::Token);
        self.put_access(tenant_id(1), &secret, access(grants));
        Asker { world: self, host: HOST.to_owned(), secret }
    }

    /// Asks it to stop, and does not wait for it.
    pub(crate) fn begin_stop(&self) {
        self.stop.send_replace(true);
    }

    /// A package `acme/large` with one version of three megabytes, which come as far as the sender says.
    pub(crate) fn put_large(&self) -> (Vec<u8>, String, watch::Sender<usize>) {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut large = version("acme/large", "1.0.0", "2025-01-01", &reference(9));
        large.dist = dist(&bytes);
        let key = format!("{}/{}", tenant_id(1), Digest::of(&bytes));
        self.put_package(tenant_id(1), package("acme/large", vec![large]));
        let (sender, stops) = watch::channel(2_000_000);
        *self.fake.dist_stops.lock().unwrap() = Some(stops);
        self.fake.dists.lock().unwrap().insert(key.clone(), bytes.clone());
        (bytes, key, sender)
    }

    /// Where it speaks HTTPS.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.addresses[1]
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    pub(crate) fn fills(&self) -> usize {
        self.fake.fills.load(Ordering::SeqCst)
    }
}

/// Someone with a token.
pub(crate) struct Asker<'a> {
    world: &'a World,
    pub(crate) host: String,
    pub(crate) secret: Secret,
}

impl Asker<'_> {
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("token:{}", self.secret.expose())))
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.ask("GET", target, &[])
    }

    pub(crate) fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Response {
        let basic = self.basic();
        let mut all = vec![("Host", self.host.as_str()), ("Authorization", basic.as_str())];
        all.extend_from_slice(fields);
        self.world.connect().request(method, target, &all)
    }

    pub(crate) fn post(&self, target: &str, body: &str) -> Response {
        let mut connection = self.world.connect();
        let (host, basic, length) = (&self.host, self.basic(), body.len());
        let text = format!(
            "POST {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {basic}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        connection.send(text.as_bytes());
        connection.receive(false)
    }

    pub(crate) fn change(&self, access: Access) {
        self.world.put_access(tenant_id(1), &self.secret, access);
    }

    /// Pretty versions in a p2 file, in its order.
    pub(crate) fn versions(&self, target: &str) -> Vec<String> {
        let response = self.get(target);
        assert_eq!(response.status, 200, "{}", response.text());
        versions(&response.json())
    }
}

/// The dist path of a version of `acme/pay`.
pub(crate) fn dist_path(normalized: &str, number: u8) -> String {
    format!("/dist/acme/pay/{normalized}/{}.zip", reference(number))
}

pub(crate) fn versions(document: &Value) -> Vec<String> {
    expand(document).iter().map(|version| version["version"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn expand(document: &Value) -> Vec<Map<String, Value>> {
    let list = document["packages"].as_object().unwrap().values().next().unwrap().as_array().unwrap();
    let maps: Vec<Map<String, Value>> = list.iter().map(|version| version.as_object().unwrap().clone()).collect();
    cargoman_composer::p2::expand(&maps)
}

/// Asks again and again until `done`, for at most ten seconds.
pub(crate) fn eventually(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}
