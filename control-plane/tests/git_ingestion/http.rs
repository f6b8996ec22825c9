//! Repositories over HTTP: `git http-backend`, and servers that mean no good.

use std::sync::Arc;

use cargoman_control_plane::git::protocol::{Credential, FailureCode, Mode, SkipCode};
use cargoman_testkit::git::HttpServer;

use crate::repository::Repository;
use crate::run::{Answer, Place, answer};
use crate::server::{Asked, LOCALHOST, Reply, Server};

fn package() -> Repository {
    let mut repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    repository.write("src/Pay.php", "<?php\n".repeat(50));
    repository.commit("second");
    repository.git(&["tag", "-m", "annotated", "1.1.0"]);
    repository.git(&["branch", "1.x", "1.0.0"]);
    repository
}

fn dists(answer: &Answer) -> Vec<(&str, &str, &str)> {
    answer
        .versions
        .iter()
        .map(|version| (version.pretty.as_str(), version.commit.as_str(), version.dist.sha256.as_str()))
        .collect()
}

#[test]
fn the_same_as_from_the_file_system() {
    let repository = package();
    let server = Server::start(repository.folder.path());
    let places = [Place::new(), Place::new()];
    let (local, remote) = (places[0].sync(&repository.url()), places[1].sync(&server.url("work/.git")));
    assert!(remote.finished && remote.skipped.is_empty(), "{remote:#?}");
    assert_eq!(remote.pretty(), ["1.1.0", "dev-main", "1.0.0", "1.x-dev"]);
    assert_eq!(dists(&remote), dists(&local));
    assert_eq!((&remote.refs, &remote.refs_digest, &remote.head), (&local.refs, &local.refs_digest, &local.head));
    for asked in server.take() {
        assert!(
            !asked.headers.contains_key("authorization") && asked.headers["user-agent"].starts_with("git/"),
            "{asked:?}"
        );
    }
}

#[test]
fn later_syncs_fetch_what_is_new_and_prune_what_is_gone() {
    let mut repository = package();
    let server = Server::start(repository.folder.path());
    let place = Place::new();
    let request = place.request(&server.url("work/.git"));
    let first = answer(&request);
    server.take();

    let unchanged = answer(&first.next(&request));
    assert!(unchanged.unchanged, "{unchanged:#?}");
    let asked = server.take();
    assert_eq!(
        asked.iter().map(|asked| asked.method.as_str()).collect::<Vec<_>>(),
        ["GET"],
        "one look at the refs is all"
    );

    repository.write("more", "more");
    repository.commit("third");
    repository.tag("1.2.0");
    repository.git(&["tag", "-d", "1.0.0"]);
    repository.git(&["branch", "-D", "1.x"]);
    repository.git(&["branch", "1.x/sub"]);
    repository.git(&["update-ref", "refs/pull/7/head", "HEAD"]);
    let second = answer(&first.next(&request));
    assert_eq!(second.pretty(), ["1.2.0", "dev-main", "dev-1.x/sub"], "{second:#?}");
    let posts: Vec<Asked> = server.take().into_iter().filter(|asked| asked.method == "POST").collect();
    assert!(!posts.is_empty());
    let have = format!("have {}", first.version("1.1.0").commit);
    assert!(
        posts.iter().any(|asked| String::from_utf8_lossy(&asked.body).contains(&have)),
        "what is there is not asked for again"
    );
    let refs = std::fs::read_to_string(place.folder.path().join("mirror.git/packed-refs")).unwrap();
    let names: Vec<&str> = refs.lines().skip(1).filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(names, ["refs/heads/1.x/sub", "refs/heads/main", "refs/tags/1.1.0", "refs/tags/1.2.0"]);

    // The source goes: what was fetched is still whole.
    std::fs::rename(repository.path(), repository.folder.path().join("elsewhere")).unwrap();
    let gone = answer(&first.next(&request));
    assert_eq!(gone.failure().code, FailureCode::NotFound);
    let mirror = place.folder.path().join("mirror.git");
    crate::repository::git(&mirror, &["fsck", "--full", "--strict"], b"", 0);
}

/// G-S6: libgit2's bindings panic on such a name; here it is one more skipped ref.
#[test]
fn names_that_are_not_utf_8_cost_only_themselves() {
    let repository = package();
    let head = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["pack-refs", "--all"]);
    let packed = repository.path().join(".git/packed-refs");
    let mut content = std::fs::read(&packed).unwrap();
    for name in [
        &b"refs/tags/v9.0-\xff\xfe"[..],
        b"refs/tags/v9.1\xe2\x80\x8b",
        &[b"refs/tags/".as_slice(), &[b'5'; 300]].concat(),
    ] {
        content.extend_from_slice(&[head.as_bytes(), b" ", name, b"\n"].concat());
    }
    std::fs::write(&packed, content).unwrap();
    let server = Server::start(repository.folder.path());
    let found = Place::new().sync(&server.url("work/.git"));
    assert_eq!(found.pretty(), ["1.1.0", "dev-main", "1.0.0", "1.x-dev"], "{found:#?}");
    assert_eq!(found.skipped.iter().filter(|skipped| skipped.code == SkipCode::RefName).count(), 3, "{found:#?}");
    assert!(found.finished);
}

#[test]
fn credentials() {
    let repository = package();
    let server = Server::answering(repository.folder.path(), |asked| {
        // acme:s3cret
        let good = asked.headers.get("authorization").is_some_and(|value| value == "Basic YWNtZTpzM2NyZXQ=");
        (!good).then(|| Reply("401 Unauthorized", vec![("WWW-Authenticate", "Basic".into())], Vec::new()))
    });
    let place = Place::new();
    let mut request = place.request(&server.url("work/.git"));
    let none = answer(&request);
    assert_eq!(none.failure().code, FailureCode::Authentication);
    assert!(none.failure().message.contains("asks for a credential"), "{none:?}");
    request.credential = Some(Credential::Basic { username: "acme".into(), password: "hunter2".into() });
    let wrong = answer(&request);
    assert_eq!(wrong.failure().code, FailureCode::Authentication);
    assert!(!format!("{wrong:?}{request:?}").contains("hunter2"), "{wrong:?}");
    request.credential = Some(Credential::Basic { username: "acme".into(), password: "s3cret".into() });
    let right = answer(&request);
    assert!(right.finished, "{right:#?}");
    for file in ["config", "packed-refs"] {
        let text = std::fs::read_to_string(place.folder.path().join("mirror.git").join(file)).unwrap();
        assert!(!text.contains("s3cret") && !text.contains("127.0.0.1"), "{text}");
    }
}

/// G-N4.
#[test]
fn redirects() {
    let repository = package();
    let trap = Arc::new(Server::answering(repository.folder.path(), |_| None));
    let elsewhere = trap.url("work/.git");
    let server = Server::answering(repository.folder.path(), move |asked| {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let to = |place: String| Some(Reply("302 Found", vec![("Location", place)], Vec::new()));
        match path.split('/').nth(1) {
            Some("moved") => to(format!("/work/.git/info/refs?{query}")),
            Some("away") => to(format!("{elsewhere}/info/refs?{query}")),
            Some("metadata") => to("http://169.254.169.254/latest/info/refs".into()),
            Some("loop") => to(asked.target.clone()),
            Some("login") => to("/login".into()),
            Some("late") if asked.method == "POST" => to("/work/.git/git-upload-pack".into()),
            Some("late") => to(format!("/late2/info/refs?{query}")),
            _ => None,
        }
    });
    let place = Place::new();
    let mut request = place.request(&server.url("moved"));
    request.credential = Some(Credential::Basic { username: "acme".into(), password: "s3cret".into() });
    assert!(answer(&request).finished, "within the origin");
    for path in ["away", "metadata", "loop", "login"] {
        request.repository_url = server.url(path);
        let refused = answer(&request);
        assert_eq!(refused.failure().code, FailureCode::Redirect, "{path}: {refused:?}");
    }
    assert!(trap.take().is_empty(), "another origin is never asked, and never sees a credential");
}

#[test]
fn servers_that_answer_otherwise() {
    let repository = package();
    let pkt = |line: &str| format!("{:04x}{line}", line.len() + 4);
    let start = pkt("# service=git-upload-pack\n") + "0000";
    let oid = "a".repeat(40);
    let endless: String = (0..3000).map(|number| pkt(&format!("{oid} refs/tags/{number}\n"))).collect();
    let answers = [
        ("html", "text/html", "<html>".to_owned(), FailureCode::Protocol),
        ("dumb", "text/plain", format!("{oid}\trefs/heads/main\n"), FailureCode::Protocol),
        ("error", "", start.clone() + &pkt("ERR access denied\x1b[31m\n") + "0000", FailureCode::Protocol),
        ("cut", "", start.clone() + "00ff", FailureCode::Protocol),
        (
            "empty",
            "",
            start.clone() + &pkt(&format!("{} capabilities^{{}}\0agent=x\n", "0".repeat(40))) + "0000",
            FailureCode::Empty,
        ),
        (
            "sha256",
            "",
            start.clone() + &pkt(&format!("{} HEAD\0object-format=sha256\n", "a".repeat(64))) + "0000",
            FailureCode::Unsupported,
        ),
        (
            "shallow",
            "",
            start.clone() + &pkt(&format!("{oid} refs/heads/main\0x\n")) + &pkt(&format!("shallow {oid}")) + "0000",
            FailureCode::Unsupported,
        ),
        (
            "unborn",
            "",
            start.clone() + &pkt(&format!("{oid} refs/heads/main\0agent=x\n")) + "0000",
            FailureCode::NoDefaultBranch,
        ),
        ("many", "", start.clone() + &endless + "0000", FailureCode::Limit),
    ];
    let table = answers.clone();
    let server = Server::answering(repository.folder.path(), move |asked| {
        let name = asked.target.split('/').nth(1).unwrap_or("");
        match name {
            "teapot" => return Some(Reply("500 Oh no", Vec::new(), Vec::new())),
            "none" => return Some(Reply("404 Not Found", Vec::new(), Vec::new())),
            "forbidden" => return Some(Reply("403 Forbidden", Vec::new(), Vec::new())),
            _ => {}
        }
        let (_, kind, body, _) = table.iter().find(|(known, ..)| *known == name)?;
        let kind = if kind.is_empty() { "application/x-git-upload-pack-advertisement" } else { kind };
        Some(Reply("200 OK", vec![("Content-Type", kind.into())], body.clone().into_bytes()))
    });
    let place = Place::new();
    let codes = answers.iter().map(|(name, _, _, code)| (*name, *code));
    let others = [
        ("teapot", FailureCode::Unreachable),
        ("none", FailureCode::NotFound),
        ("forbidden", FailureCode::Authentication),
    ];
    for (name, code) in codes.chain(others) {
        let mut request = place.request(&server.url(name));
        request.limits.refs = 2000;
        let refused = answer(&request);
        let failure = refused.failure();
        assert_eq!(failure.code, code, "{name}: {failure:?}");
        assert!(
            !failure.message.is_empty() && !failure.remedy.is_empty() && !failure.message.contains('\x1b'),
            "{failure:?}"
        );
        request.limits.advertisement_bytes = 10_000;
        if name == "many" {
            assert!(answer(&request).failure().message.contains("list of refs is larger"), "{name}");
        }
    }
}

#[test]
fn bounds_on_what_is_received() {
    let repository = package();
    let server = Server::answering(repository.folder.path(), |asked| {
        if asked.target.starts_with("/stall") {
            // Longer than the client will wait; the thread ends with the test's process.
            std::thread::park();
        }
        None
    });
    let place = Place::new();
    let mut request = place.request(&server.url("work/.git"));
    request.limits.pack_bytes = 300;
    let refused = answer(&request);
    assert_eq!(refused.failure().code, FailureCode::Limit, "{refused:?}");
    request.limits.pack_bytes = 1 << 20;
    request.limits.pack_objects = 2;
    let refused = answer(&request);
    assert_eq!(
        (refused.failure().code, refused.failure().message.contains("2 objects")),
        (FailureCode::Limit, true),
        "{refused:?}"
    );
    request.limits.pack_objects = 1000;
    assert!(answer(&request).finished, "nothing is broken by what was refused before");

    let mut stalled = place.request(&server.url("stall"));
    stalled.limits.network_seconds = 1;
    let refused = answer(&stalled);
    assert!(matches!(refused.failure().code, FailureCode::Unreachable | FailureCode::Limit), "{refused:?}");

    // By name: through the resolver that checks addresses.
    let named = place.request(&server.url("work/.git").replace("127.0.0.1", "localhost"));
    assert!(answer(&named).finished);

    let mut closed = place.request(&server.url("work/.git"));
    closed.repository_url = "http://127.0.0.1:1/a.git".into();
    assert_eq!(answer(&closed).failure().code, FailureCode::Unreachable);
}

#[test]
fn a_probe_reads_the_name_only() {
    let repository = package();
    let server = Server::start(repository.folder.path());
    let place = Place::new();
    for url in [server.url("work/.git"), repository.url()] {
        let mut request = place.request(&url);
        request.mode = Mode::Probe;
        let found = answer(&request);
        assert_eq!(found.head, Some(("acme/pay".into(), "main".into())), "{found:?}");
        assert!(found.finished && found.versions.is_empty() && found.refs.is_empty());
    }
    let posts: Vec<Asked> = server.take().into_iter().filter(|asked| asked.method == "POST").collect();
    let wants: usize =
        posts.iter().map(|asked| String::from_utf8_lossy(&asked.body).matches("want ").count()).max().unwrap();
    assert_eq!(wants, 1, "one branch is asked for");
    assert!(answer(&place.request(&server.url("work/.git"))).finished, "a sync can follow in the same mirror");
}

/// A server that has lost objects cannot send what needs them; all the rest still comes.
#[test]
fn a_server_that_lost_an_object() {
    let mut repository = Repository::with_package("acme/pay");
    repository.tag("1.0.0");
    repository.git(&["checkout", "--quiet", "-b", "side"]);
    repository.write("only-here", "the content that will be missing");
    repository.commit("side");
    repository.tag("1.1.0");
    repository.git(&["checkout", "--quiet", "main"]);
    for minor in 2..12 {
        repository.write("README.md", format!("release {minor}"));
        repository.commit("more");
        repository.tag(&format!("1.{minor}.0"));
    }
    let oid = repository.git(&["rev-parse", "1.1.0:only-here"]);
    std::fs::remove_file(repository.path().join(".git/objects").join(&oid[..2]).join(&oid[2..])).unwrap();
    let server = Server::start(repository.folder.path());
    let place = Place::new();
    let request = place.request(&server.url("work/.git"));
    let found = answer(&request);
    assert!(found.finished, "{found:#?}");
    assert_eq!(found.versions.len(), 12, "ten tags, 1.0.0 and main: {:?}", found.pretty());
    for name in ["refs/tags/1.1.0", "refs/heads/side"] {
        assert_eq!(found.skipped(name).code, SkipCode::UnreadableObject);
    }
    repository.write("more", "more");
    repository.commit("more");
    repository.tag("2.0.0");
    assert_eq!(answer(&found.next(&request)).pretty(), ["2.0.0", "dev-main"], "later syncs go on");
}

/// G-N7: a certificate that no known authority has signed is refused, unless its authority has been given.
#[test]
fn https() {
    let repository = package();
    let server = Server::start_tls(repository.folder.path());
    let place = Place::new();
    for host in ["localhost", "127.0.0.1"] {
        let mut request = place.request(&format!("https://{host}:{}/work/.git", server.port()));
        request.network.allow_local = false;
        assert_eq!(answer(&request).failure().code, FailureCode::RepositoryUrl, "a loopback address is no public one");
        request.network.allowed_hosts = vec![host.to_owned()];
        assert!(answer(&request).failure().message.contains("port"), "nor is the port");
        request.network.allowed_ports.push(server.port());
        let refused = answer(&request);
        assert_eq!(refused.failure().code, FailureCode::Unreachable, "{refused:?}");
        assert!(refused.failure().message.contains("certificate"), "{refused:?}");
        request.network.root_certificates = Some(LOCALHOST.to_owned());
        request.bound_name = Some("acme/pay".into());
        assert_eq!(answer(&request).versions.len(), 4);
    }
    let asked = server.take();
    assert!(asked.iter().any(|asked| asked.method == "POST"), "{asked:?}");
}

/// 45,000 pull requests cost nothing where the server speaks version 2 of the protocol: they are not even listed.
#[test]
fn only_branches_and_tags_are_listed() {
    let server = HttpServer::start();
    let repository = server.repository("pay.git");
    repository.write("composer.json", r#"{"name": "acme/pay"}"#).commit("first").tag("1.0.0").tag("1.1.0");
    let head = repository.head();
    let pulls: String = (0..45_000).map(|number| format!("{head} refs/pull/{number}/head\n")).collect();
    let others = format!("{head} refs/tags/1.0.0\n{head} refs/tags/1.1.0\n");
    repository.git(&["pack-refs", "--all"]);
    std::fs::write(repository.path().join("packed-refs"), format!("{head} refs/heads/main\n{pulls}{others}")).unwrap();
    let place = Place::new();
    let mut request = place.request(&server.url("pay.git"));
    // All of them together are three megabytes.
    request.limits.advertisement_bytes = 4 << 10;
    let first = answer(&request);
    assert_eq!(first.pretty(), ["1.1.0", "dev-main", "1.0.0"], "{first:#?}");
    let asked = server.requests();
    let version = |at: usize| asked[at].header("git-protocol").map(str::to_owned);
    assert_eq!((version(0), version(1), version(2)), (Some("version=2".into()), Some("version=2".into()), None));
    assert!(String::from_utf8_lossy(&asked[1].body).contains("ref-prefix refs/tags/"));
    assert!(answer(&first.next(&request)).unchanged);
    assert_eq!(server.requests().len(), asked.len() + 2, "a look is two requests, whatever there is");

    // Another server knows version 0 alone, and lists everything.
    let older = Server::start(server.root());
    request.repository_url = older.url("pay.git");
    let limited = answer(&request);
    assert_eq!(limited.failure().code, FailureCode::Limit, "{limited:?}");
    request.limits.advertisement_bytes = 16 << 20;
    assert_eq!(answer(&request).pretty(), ["1.1.0", "dev-main", "1.0.0"]);
}
