//! An S3 service on loopback: a real server that checks signatures, over a folder. Before it stands whatever networks and services do
//! wrong: a test says which calls fail, and how.

mod fault;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use fault::Fault;

/// The one key that the service knows, and its secret.
pub const KEY: (&str, &str) = ("TESTKITKEY", "testkit-secret-0123456789");
/// The bucket that is there from the start.
pub const BUCKET: &str = "acme-bucket";

/// The service. Dropped, it is gone.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    folder: TempDir,
}

/// A call that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Its query.
    pub query: String,
    /// Its `Authorization`.
    pub authorization: Option<String>,
}

#[derive(Debug, Default)]
struct Shared {
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<Vec<Call>>,
}

#[derive(Debug)]
struct Rule {
    method: &'static str,
    part: String,
    times: usize,
    fault: Fault,
}

impl S3Server {
    /// Starts it on a free port.
    #[track_caller]
    pub fn start() -> Self {
        let folder = crate::temporary::folder();
        std::fs::create_dir(folder.path().join(BUCKET)).expect("our own folder");
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let (root, serving) = (folder.path().to_owned(), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                tell.send(listener.local_addr().expect("its own address")).expect("the test waits");
                tokio::select! {
                    () = serve(listener, &root, serving) => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        let address = told.recv().expect("the server starts");
        Self { address, shared, stop: Some(stop), thread: Some(thread), folder }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The `[storage]` section that uses it; the secret is to be given as `CARGOMAN_STORAGE__SECRET_ACCESS_KEY`.
    pub fn config(&self) -> String {
        format!(
            "[storage]\nkind = \"s3\"\nbucket = \"{BUCKET}\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\naccess_key_id = \"{}\"\n",
            self.endpoint(),
            KEY.0
        )
    }

    /// The next `times` calls with this method (any, when it is empty) and this in their path or query end so.
    pub fn fail(&self, method: &'static str, part: &str, times: usize, fault: Fault) {
        lock(&self.shared.rules).push(Rule { method, part: part.to_owned(), times, fault });
    }

    /// Everything is as it should be again.
    pub fn heal(&self) {
        lock(&self.shared.rules).clear();
    }

    /// How many calls were meant to fail and did not come yet.
    pub fn faults_left(&self) -> usize {
        lock(&self.shared.rules).iter().map(|rule| rule.times).sum()
    }

    /// The calls so far; they are forgotten here.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.shared.calls))
    }

    /// The file in which an object of the bucket lies.
    pub fn object(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }

    /// Keys of all objects of the bucket, sorted.
    pub fn keys(&self) -> Vec<String> {
        let root = self.folder.path().join(BUCKET);
        let mut keys = files(&root).iter().map(|file| key(&root, file)).collect::<Vec<_>>();
        keys.sort();
        keys
    }

    /// Parts of uploads that nobody has ended.
    pub fn parts(&self) -> usize {
        let entries = std::fs::read_dir(self.folder.path()).expect("our own folder");
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.contains(".upload_id-") && name.contains(".part-")).count()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked: the test has failed already, or will.
            thread.join().ok();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("our own folder").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn key(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).expect("it lies there").to_string_lossy().into_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, root: &Path, shared: Arc<Shared>) {
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).expect("our own folder"));
    builder.set_auth(SimpleAuth::from_single(KEY.0, KEY.1));
    let service = builder.build();
    loop {
        let Ok((connection, _)) = listener.accept().await else { continue };
        let (service, shared) = (service.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(service.clone(), Arc::clone(&shared), request));
            let connection = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(connection), answer)
                .await;
            // Clients go away, and some answers are broken off on purpose.
            drop(connection);
        });
    }
}

async fn answer(
    service: S3Service,
    shared: Arc<Shared>,
    request: hyper::Request<hyper::body::Incoming>,
) -> Result<hyper::Response<fault::Body>, std::io::Error> {
    let call = Call {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        authorization: request
            .headers()
            .get("authorization")
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into()),
    };
    let fault = shared.fault(&call);
    lock(&shared.calls).push(call);
    fault::answer(service, request, fault).await
}

impl Shared {
    fn fault(&self, call: &Call) -> Option<Fault> {
        let fits = |rule: &&mut Rule| {
            rule.times > 0
                && (rule.method.is_empty() || rule.method == call.method)
                && (call.path.contains(&rule.part) || call.query.contains(&rule.part))
        };
        let mut rules = lock(&self.rules);
        let rule = rules.iter_mut().find(fits)?;
        rule.times -= 1;
        Some(rule.fault)
    }
}
