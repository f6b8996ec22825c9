//! The worker as what it is in production: a child process, bounded and disposable.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use cargoman_control_plane::git::account::Account;
use cargoman_control_plane::git::child::{End, Worker};
use cargoman_control_plane::git::protocol::{Event, Failed, FailureCode, Limits, Request};
use tokio::sync::mpsc;

use crate::repository::Repository;
use crate::run::{Place, collect};
use crate::server::Server;

fn worker() -> Worker {
    Worker::new(PathBuf::from(env!("CARGO_BIN_EXE_git-worker")), Vec::new())
}

/// A stand-in for the worker that does what a shell script says.
fn script(text: &str) -> Worker {
    Worker::new("/bin/sh".into(), [OsString::from("-c"), text.into()].into()).with_grace(Duration::ZERO)
}

async fn run(worker: &Worker, request: &Request) -> (Result<End, Failed>, Vec<Event>) {
    let (sender, mut receiver) = mpsc::channel(4);
    let collecting = tokio::spawn(async move {
        let mut events = Vec::new();
        while let Some(event) = receiver.recv().await {
            events.push(event);
        }
        events
    });
    let end = worker.run(request, sender).await;
    (end, collecting.await.unwrap())
}

#[tokio::test]
async fn a_sync_through_the_child() {
    let repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    let place = Place::new();
    let request = place.request(&repository.url());
    let (end, events) = run(&worker(), &request).await;
    assert_eq!(end, Ok(End::Finished));
    let first = collect(events.into_iter());
    assert_eq!(first.pretty(), ["1.0.0", "dev-main"]);
    let (end, events) = run(&worker(), &first.next(&request)).await;
    assert_eq!(end, Ok(End::Unchanged));
    assert!(collect(events.into_iter()).versions.is_empty());

    // The bounds leave room for the HTTP client, too.
    let server = Server::start(repository.folder.path());
    let remote = Place::new();
    let url = server.url("work/.git").replace("127.0.0.1", "localhost");
    let (end, events) = run(&worker(), &remote.request(&url)).await;
    assert_eq!(end, Ok(End::Finished));
    assert_eq!(collect(events.into_iter()).versions[0].dist.sha256, first.versions[0].dist.sha256);

    let (end, _) = run(&worker(), &place.request("/nonexistent")).await;
    assert_eq!(end.unwrap_err().code, FailureCode::NotFound);
}

#[tokio::test]
async fn a_child_that_misbehaves() {
    let place = Place::new();
    let mut request = place.request("/nonexistent");
    request.limits = Limits { total_seconds: 1, ..Limits::default() };
    for (text, code, words) in [
        ("exit 3", FailureCode::Died, "exit status: 3"),
        ("cat > /dev/null; kill -9 $$", FailureCode::Died, "signal: 9"),
        ("echo nonsense", FailureCode::Died, "cannot be read"),
        ("echo '{\"event\":\"finished\"'", FailureCode::Died, "cannot be read"),
        ("printf '{\"event\":\"finished\"}'", FailureCode::Died, "without an answer"),
        ("echo noise >&2; exec /bin/sleep 600", FailureCode::Limit, "longer than 1 seconds"),
    ] {
        let (end, events) = run(&script(text), &request).await;
        let failed = end.unwrap_err();
        assert_eq!(failed.code, code, "{text}: {failed:?}");
        assert!(failed.message.contains(words), "{text}: {failed:?}");
        assert!(events.is_empty());
    }
    let missing = Worker::new("/nonexistent/worker".into(), Vec::new());
    assert_eq!(run(&missing, &request).await.0.unwrap_err().code, FailureCode::Machine);
}

#[tokio::test]
async fn the_child_goes_when_nobody_listens() {
    let place = Place::new();
    let pid_file = place.folder.path().join("pid");
    let endless = format!(
        "echo $$ > {}; while :; do echo '{{\"event\":\"progress\",\"phase\":\"listing\",\"done\":0,\"total\":0}}'; done",
        pid_file.display()
    );
    let (sender, mut receiver) = mpsc::channel(1);
    let request = place.request("/nonexistent");
    let listening = async {
        receiver.recv().await.unwrap();
        drop(receiver);
    };
    let worker = script(&endless);
    let (end, ()) = tokio::join!(worker.run(&request, sender), listening);
    assert_eq!(end.unwrap_err().code, FailureCode::Died);
    let pid = std::fs::read_to_string(pid_file).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists(), "the child is gone, and buried");
}

/// Limits hold: a repository that needs more memory than the child has is a failed sync, not a fallen control plane.
#[tokio::test]
async fn the_child_is_bounded() {
    let mut repository = Repository::with_package("acme/pay");
    repository.write("large", vec![7u8; 120 << 20]);
    repository.commit("large");
    let place = Place::new();
    let mut request = place.request(&repository.url());
    request.limits.address_space_bytes = 150 << 20;
    let (end, events) = run(&worker(), &request).await;
    let survived = collect(events.into_iter());
    match end {
        // Either libgit2 says so and the version is skipped, or the child aborts; the parent is told in both cases.
        Ok(_) => assert!(survived.versions.is_empty() && !survived.skipped.is_empty(), "{survived:#?}"),
        Err(failed) => assert!(matches!(failed.code, FailureCode::Died | FailureCode::Machine), "{failed:?}"),
    }
}

/// Where we are root, the worker is somebody else: it cannot read what is ours, and all it writes is its own.
#[tokio::test]
async fn as_another_user() {
    let Ok(account) = Account::named("nobody") else {
        println!("not root: nobody else can be asked");
        return;
    };
    let repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    let server = Server::start(repository.folder.path());
    // A place and a program to which everybody finds the way.
    let place = Place::new();
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.folder.path(), everybody.clone()).unwrap();
    let program = place.folder.path().join("git-worker");
    std::fs::copy(env!("CARGO_BIN_EXE_git-worker"), &program).unwrap();
    std::fs::set_permissions(&program, everybody).unwrap();
    let root = place.folder.path().join("git");
    std::fs::create_dir_all(root.join("older.git/objects")).unwrap();
    account.take(&root).unwrap();
    let worker = Worker::new(program, Vec::new()).as_account(account);
    let mut request = place.request(&server.url("work/.git"));
    (request.mirror, request.output) = (root.join("tenant/pay.git"), root.join("tenant/pay.out"));
    worker.make_folder(&request.output).await.unwrap();
    let (end, events) = run(&worker, &request).await;
    assert_eq!(end, Ok(End::Finished));
    let answer = collect(events.into_iter());
    for path in [&request.mirror, &request.output, &answer.versions[0].dist.path, &root.join("older.git/objects")] {
        assert_eq!(path.metadata().unwrap().uid(), account.uid, "{}", path.display());
    }
    // The repository itself lies where it has no way.
    std::fs::set_permissions(repository.folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    request.repository_url = repository.url();
    let (end, _) = run(&worker, &request).await;
    assert_eq!(end.unwrap_err().code, FailureCode::NotFound);
}
