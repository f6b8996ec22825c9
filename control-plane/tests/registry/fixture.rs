//! A registry without listeners: both routers over a database of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use cargoman_composer::name::PackageName;
use cargoman_control_plane::config::Config;
use cargoman_control_plane::git::child::Worker;
use cargoman_control_plane::http::router;
use cargoman_control_plane::link::Link;
use cargoman_control_plane::secrets::Keyring;
use cargoman_control_plane::sqlx_options::PgConnectOptions;
use cargoman_control_plane::state::{Secrets, State};
use cargoman_control_plane::storage::Storage;
use cargoman_control_plane::store::publish::{self, FoundVersion, Published};
use cargoman_control_plane::store::{Actor, Database, TenantTransaction, dists, migrate, packages};
use cargoman_control_plane::trust::Trust;
use cargoman_credential::Digest;
use cargoman_edge_protocol::TenantId;
use cargoman_testkit::postgres::{TestDatabase, database_prepared};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::zip::Zip;

pub(crate) const ADMIN: &str = "the-admin-token-of-the-tests";
pub(crate) const EDGE: &str = "cme_the-edge-credential-of-the-tests";
pub(crate) const PUBLIC_URL: &str = "http://packages.test";
pub(crate) const MASTER_KEY: &str = "4f1c9a70d2e84b6683a5c0b1f7e92d3846ab5dc1e07f92b84c6d3e1a50f7b2c9";

/// A migrated, empty database.
pub(crate) async fn database() -> TestDatabase {
    let prepare = |url: &str| {
        let options: PgConnectOptions = url.parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(migrate(&options)).unwrap();
    };
    let key = format!("control plane {}", migrations());
    tokio::task::spawn_blocking(move || database_prepared(&key, prepare)).await.unwrap()
}

/// The text of all migrations, in order.
fn migrations() -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(".up.sql"));
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// A registry with one tenant, the default one.
pub(crate) struct Registry {
    pub(crate) state: State,
    pub(crate) tenant: TenantId,
    pub(crate) options: PgConnectOptions,
    public: Router,
    edge: Router,
    // Dropped last: the database goes when everyone has left it.
    pub(crate) folder: tempfile::TempDir,
    database: Arc<TestDatabase>,
}

impl Registry {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With another configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let database = database().await;
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.server.public_url = Some(PUBLIC_URL.to_owned());
        config.git.allow_local = true;
        config.git.root = Some(folder.path().join("git"));
        config.database.connections = 8;
        change(&mut config);
        let options: PgConnectOptions = database.url().parse().unwrap();
        let connected = Database::connect(&options, config.database.connections).await.unwrap();
        let tenant = connected.system().insert_tenant("default", "Default", true, &Actor::Setup).await.unwrap();
        let link = Arc::new(Link::new(&config.link, false));
        let state = State {
            database: connected,
            storage: Storage::in_folder(&folder.path().join("storage")).unwrap(),
            network: Arc::new(config.network(&Trust::default())),
            config: Arc::new(config),
            git_worker: Arc::new(Worker::new(PathBuf::from(env!("CARGO_BIN_EXE_git-worker")), Vec::new())),
            secrets: Arc::new(Secrets { admin: Digest::of(ADMIN.as_bytes()), edge: Digest::of(EDGE.as_bytes()) }),
            keyring: Arc::new(Keyring::from_variable(MASTER_KEY).unwrap()),
            jobs_waiting: Arc::new(Notify::new()),
            token_uses: Arc::default(),
            link,
            installation_tokens: Default::default(),
            healer: Default::default(),
        };
        let (public, edge) = (router::public(state.clone()), router::edge(state.clone()));
        Self { state, tenant: tenant.id, options, public, edge, folder, database: Arc::new(database) }
    }

    /// Lets the link work, and serves the edge API on a real listener.
    pub(crate) async fn linked(&self) -> Linked {
        Linked::start(self.state.clone(), self.options.clone()).await
    }

    /// One that was started without a master key.
    pub(crate) async fn without_keys() -> Self {
        let with = Self::new().await;
        let state = State { keyring: Arc::new(Keyring::absent()), ..with.state.clone() };
        let (public, edge) = (router::public(state.clone()), router::edge(state.clone()));
        Self { state, public, edge, ..with }
    }

    /// Another instance on the same database.
    pub(crate) async fn second(&self) -> Self {
        let config = (*self.state.config).clone();
        let database = Database::connect(&self.options, config.database.connections).await.unwrap();
        let link = Arc::new(Link::new(&config.link, false));
        let state = State { database, link, token_uses: Arc::default(), ..self.state.clone() };
        let (public, edge) = (router::public(state.clone()), router::edge(state.clone()));
        let (folder, database) = (tempfile::tempdir().unwrap(), self.database.clone());
        Self { state, tenant: self.tenant, options: self.options.clone(), public, edge, folder, database }
    }

    /// Opens every connection of the pool, so that what is asked at once is also done at once.
    pub(crate) async fn warm(&self) {
        let all = (0..self.state.config.database.connections).map(|_| self.begin());
        futures::future::join_all(all).await;
    }

    /// SQL as the superuser, past row level security; lines, fields joined by `|`.
    pub(crate) fn sql(&self, sql: &str) -> String {
        tokio::task::block_in_place(|| self.database.query(sql))
    }

    pub(crate) fn count(&self, from: &str) -> i64 {
        self.sql(&format!("select count(*) from {from}")).parse().unwrap()
    }

    /// A call of the public API, as root; `path` begins behind `/api/v1`.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        let call = Call::new(self.public.clone(), method, &format!("/api/v1{path}"));
        call.header("authorization", &format!("Bearer {ADMIN}"))
    }

    /// A call of the public listener with nothing added.
    pub(crate) fn bare(&self, method: &str, path: &str) -> Call {
        Call::new(self.public.clone(), method, path)
    }

    /// A call of the edge listener with the edge's credential.
    pub(crate) fn edge(&self, method: &str, path: &str) -> Call {
        self.edge_bare(method, path).header("authorization", &format!("Bearer {EDGE}"))
    }

    /// A call of the edge listener with nothing added.
    pub(crate) fn edge_bare(&self, method: &str, path: &str) -> Call {
        Call::new(self.edge.clone(), method, path)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path).json(&body).send().await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path).json(&body).send().await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path).json(&body).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path).send().await
    }

    /// Makes a customer; his id.
    pub(crate) async fn customer(&self, name: &str) -> String {
        self.post("/customers", json!({"name": name})).await.status(201).text("id")
    }

    /// Adds a package that nobody syncs.
    pub(crate) async fn package(&self, name: &str) {
        self.post("/packages", json!({"repository_url": "/nowhere.git", "name": name})).await.status(201);
    }

    /// Makes a collection without limits, of packages that are there or patterns.
    pub(crate) async fn collection(&self, slug: &str, packages: &[&str]) {
        let body = json!({"name": slug, "slug": slug, "packages": packages});
        self.post("/collections", body).await.status(201);
    }

    /// Makes a credential of the default tenant; its secret.
    pub(crate) async fn credential(&self, level: &str, globs: &[&str]) -> String {
        let body = match globs.is_empty() {
            true => json!({"name": level, "level": level}),
            false => json!({"name": level, "level": level, "package_scopes": globs}),
        };
        let made = self.call("POST", "/credentials").tenant("default").json(&body).send().await;
        made.status(201).text("plain_token")
    }

    /// A transaction as the default tenant.
    pub(crate) async fn begin(&self) -> TenantTransaction {
        TenantTransaction::begin(&self.state.database, self.tenant, Actor::Setup).await.unwrap()
    }

    /// Publishes a version as a sync would; the digest of its dist.
    pub(crate) async fn publish(&self, package: &str, version: &str) -> Digest {
        let bytes = format!("the dist of {package} {version}").into_bytes();
        let sha256 = Digest::of(&bytes);
        let file = self.folder.path().join(sha256.to_hex());
        std::fs::write(&file, &bytes).unwrap();
        self.state.storage.put(self.tenant, sha256, bytes.len() as u64, &file).await.unwrap();
        let name = PackageName::parse(package).unwrap();
        let normalized = cargoman_composer::version::Version::parse(version).unwrap();
        let mut transaction = self.begin().await;
        let id = packages::find(&mut transaction, &name).await.unwrap().expect("the package").id;
        assert!(packages::touch(&mut transaction, id).await.unwrap());
        let size = i64::try_from(bytes.len()).unwrap();
        dists::insert(&mut transaction, &sha256.to_hex(), &sha256.to_hex()[..40], size).await.unwrap();
        let branch = normalized.normalized().starts_with("dev-");
        let found = FoundVersion {
            normalized: normalized.normalized().to_owned(),
            pretty: version.to_owned(),
            stability: if branch { "dev".to_owned() } else { "stable".to_owned() },
            branch,
            ref_name: format!("refs/tags/{version}"),
            default_branch: false,
            aliases: Vec::new(),
            metadata: json!({"name": package, "version": version, "version_normalized": normalized.normalized()}),
            reference: sha256.to_hex()[..40].to_owned(),
            published_at: "2025-01-01T00:00:00Z".parse().unwrap(),
            dist_sha256: sha256.to_hex(),
        };
        let published = publish::version(&mut transaction, id, package, &found).await.unwrap();
        assert_eq!(published, Published::Added);
        transaction.commit().await.unwrap();
        sha256
    }
}

/// The link at work, until it is dropped.
pub(crate) struct Linked {
    /// Of the edge API.
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    link: JoinHandle<()>,
}

impl Linked {
    async fn start(state: State, options: PgConnectOptions) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let mut until = stopped.clone();
        let served = axum::serve(listener, router::edge(state.clone()))
            .with_graceful_shutdown(async move { drop(until.wait_for(|stop| *stop).await) });
        tokio::spawn(served.into_future());
        let link = tokio::spawn(async move { state.link.run(state.database.system(), &options, stopped).await });
        Self { address, stop, link }
    }

    /// Stops as the program does.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.link.await.unwrap();
    }
}

/// A request that is being put together.
#[derive(Clone)]
pub(crate) struct Call {
    router: Router,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Call {
    fn new(router: Router, method: &str, target: &str) -> Self {
        Self { router, method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn tenant(self, slug: &str) -> Self {
        self.header("x-cargoman-tenant", slug)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// A zip as the body.
    pub(crate) fn zip(self, zip: &Zip) -> Self {
        self.header("content-type", "application/zip").body(zip.bytes())
    }

    /// With another secret than the one so far.
    pub(crate) fn bearer(mut self, secret: &str) -> Self {
        self.headers.retain(|(name, _)| name != "authorization");
        self.header("authorization", &format!("Bearer {secret}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let what = format!(
            "{} {} {}",
            self.method,
            self.target,
            String::from_utf8_lossy(&self.body[..self.body.len().min(300)])
        );
        let response = self.router.oneshot(request.body(Body::from(self.body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap().to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { what, status: parts.status, headers: parts.headers, body, bytes }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    what: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body as JSON; null when it is none.
    pub(crate) body: Value,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// Asserts the status.
    #[track_caller]
    pub(crate) fn status(self, wanted: u16) -> Self {
        assert_eq!(self.status.as_u16(), wanted, "{}\n{}", self.what, String::from_utf8_lossy(&self.bytes));
        self
    }

    /// Asserts an error of the envelope: status, code, and the fields it names.
    #[track_caller]
    pub(crate) fn error(self, status: u16, code: &str, fields: &[&str]) -> Self {
        let answer = self.status(status);
        let error = &answer.body["error"];
        assert_eq!(error["code"], code, "{} {}", answer.what, answer.body);
        assert!(!error["message"].as_str().unwrap_or_default().is_empty(), "{}", answer.body);
        assert_eq!(answer.fields(), fields, "{} {}", answer.what, answer.body);
        answer
    }

    /// Names of the fields that are refused.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let details = self.body["error"]["details"].as_array().expect("details");
        details.iter().map(|detail| detail["field"].as_str().unwrap()).collect()
    }

    /// `data`.
    pub(crate) fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// A text of `data`.
    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> String {
        self.data()[field].as_str().unwrap_or_else(|| panic!("{field} in {}", self.body)).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}
