//! What each command asks of the API: its words go in, the request that arrives at a listener comes out.

use clap::Parser;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

/// One request as it arrived.
struct Asked {
    line: String,
    head: String,
    body: Vec<u8>,
}

/// Runs a command against a listener that gives this answer to everything.
async fn run_against(status: u16, answer_body: Value, words: &[&str]) -> (Asked, Result<(Answer, bool), Failure>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let command = parsed(&listener, words);
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let asked = read(&mut stream).await;
        respond(&mut stream, status, &answer_body).await;
        asked
    };
    tokio::join!(server, answer(command))
}

/// The command that goes to this listener.
fn parsed(listener: &TcpListener, words: &[&str]) -> Command {
    install_crypto();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let token = if words[0] == "explain" { "--admin-token" } else { "--token" };
    let line = ["cargoman"].iter().chain(words).copied().chain(["--url", &url, token, "secret"]);
    Line::try_parse_from(line).unwrap_or_else(|error| panic!("{words:?}: {error}")).command
}

async fn respond(stream: &mut TcpStream, status: u16, body: &Value) {
    let text = body.to_string();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", text.len());
    stream.write_all(format!("{head}Connection: close\r\n\r\n{text}").as_bytes()).await.unwrap();
}

async fn read(stream: &mut TcpStream) -> Asked {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "the client hung up");
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    while body.len() < length {
        assert_ne!(stream.read_buf(&mut body).await.unwrap(), 0, "the client hung up");
    }
    let line = head.lines().next().unwrap().trim_end_matches(" http/1.1").replace("/api/v1/", "");
    Asked { line, head, body }
}

/// Words of a command, the request line, the body.
fn requests() -> Vec<(&'static [&'static str], &'static str, Value)> {
    vec![
        (
            &["customer", "create", "Ada", "--external-id", "7", "--source", "show", "--may-publish", "acme/*"],
            "post customers",
            json!({"name": "Ada", "external_id": "7", "source": "show", "may_publish": ["acme/*"]}),
        ),
        (
            &["customer", "update", "cust_1", "--expires-at", "null", "--may-publish", "null"],
            "patch customers/cust_1",
            json!({"expires_at": null, "may_publish": []}),
        ),
        (
            &["customer", "suspend", "cust_1", "--reason", "unpaid", "--dry-run"],
            "post customers/cust_1/suspend?dry_run=true",
            json!({"reason": "unpaid"}),
        ),
        (
            &["customer", "reactivate", "cust_1", "--updates-until", "2027-01-31T00:00:00Z"],
            "post customers/cust_1/reactivate",
            json!({"updates_until": "2027-01-31T00:00:00Z"}),
        ),
        (
            &["hook", "create", "gitlab", "--signed", "--name", "ours"],
            "post hooks",
            json!({"provider": "gitlab", "name": "ours", "signed": true}),
        ),
        (&["hook", "rotate", "hook_1"], "post hooks/hook_1/rotate", Value::Null),
        (&["hook", "replay", "hook_1", "dlv_1"], "post hooks/hook_1/deliveries/dlv_1/replay", Value::Null),
        (&["hook", "delete", "hook_1"], "delete hooks/hook_1", Value::Null),
        (&["task", "retry", "task_1"], "post tasks/task_1/retry", Value::Null),
        (&["task", "cancel", "task_1"], "post tasks/task_1/cancel", Value::Null),
        (&["task", "sync-all"], "post tasks/sync-all", Value::Null),
        (&["customer", "freeze", "cust_1"], "post customers/cust_1/freeze", json!({})),
        (
            &["customer", "freeze", "cust_1", "--version", "a/b:1.0", "--version", "a/b:dev-x:y", "--confirm"],
            "post customers/cust_1/freeze?confirm=true",
            json!({"versions": [{"package": "a/b", "version": "1.0"}, {"package": "a/b", "version": "dev-x:y"}]}),
        ),
        (&["customer", "expire", "cust_1"], "post customers/cust_1/expire", json!({})),
        (&["customer", "delete", "cust_1", "--confirm"], "delete customers/cust_1?confirm=true", Value::Null),
        (&["customer", "restore", "cust_1"], "post customers/cust_1/restore", Value::Null),
        (
            &["grant", "add", "cust_1", "a/b", "--constraint", "^1"],
            "post customers/cust_1/packages",
            json!({"constraint": "^1", "package": "a/b"}),
        ),
        (&["grant", "add", "cust_1", "--package", "a/b"], "post customers/cust_1/packages", json!({"package": "a/b"})),
        (
            &["grant", "add", "cust_1", "--collection", "suite", "--external-id", "sub 1"],
            "post customers/cust_1/packages",
            json!({"external_id": "sub 1", "collection": "suite"}),
        ),
        (
            &["grant", "preview", "cust_1", "--collection", "suite"],
            "post customers/cust_1/packages/preview",
            json!({"collection": "suite"}),
        ),
        (
            &["grant", "update", "cust_1", "grant_1", "--updates-until", "null", "--dry-run"],
            "patch customers/cust_1/grants/grant_1?dry_run=true",
            json!({"updates_until": null}),
        ),
        (
            &["grant", "suspend", "cust_1", "grant_1", "--reason", "unpaid"],
            "post customers/cust_1/grants/grant_1/suspend",
            json!({"reason": "unpaid"}),
        ),
        (&["grant", "reactivate", "cust_1", "grant_1"], "post customers/cust_1/grants/grant_1/reactivate", json!({})),
        (&["grant", "remove", "cust_1", "grant_1"], "delete customers/cust_1/grants/grant_1", Value::Null),
        (
            &["grant", "remove", "cust_1", "--package", "a/b", "--dry-run"],
            "delete customers/cust_1/packages/a/b?dry_run=true",
            Value::Null,
        ),
        (
            &["grant", "remove", "cust_1", "--collection", "suite"],
            "delete customers/cust_1/collections/suite",
            Value::Null,
        ),
        (
            &["collection", "create", "Suite", "--package", "a/b", "--package", "c/*", "--constraint", "^2"],
            "post collections",
            json!({"name": "Suite", "constraint": "^2", "packages": ["a/b", "c/*"]}),
        ),
        (
            &["collection", "update", "suite", "--slug", "all", "--constraint", "null", "--package", "a/b"],
            "patch collections/suite",
            json!({"slug": "all", "constraint": null, "packages": ["a/b"]}),
        ),
        (
            &["collection", "delete", "suite", "--with-grants", "--confirm"],
            "delete collections/suite?grants=delete&confirm=true",
            Value::Null,
        ),
        (
            &["package", "add", "--upload-only", "--name", "a/b"],
            "post packages",
            json!({"type": "artifact", "name": "a/b"}),
        ),
        (
            &["package", "update", "a/b", "--repository-url", "https://h.example/b.git", "--credential", "null"],
            "patch packages/a/b",
            json!({"repository_url": "https://h.example/b.git", "credential": null}),
        ),
        (&["package", "yank", "a/b", "1.0", "--dry-run"], "post packages/a/b/yank/1.0?dry_run=true", Value::Null),
        (&["package", "release", "a/b", "1.0"], "post packages/a/b/release/1.0", Value::Null),
        (
            &["package", "replace", "a/b", "1.0", "--reason", "r"],
            "post packages/a/b/replace/1.0",
            json!({"reason": "r"}),
        ),
        (
            &["package", "update", "a/b", "--releases", "delayed", "--release-delay-hours", "24"],
            "patch packages/a/b",
            json!({"releases": "delayed", "release_delay_hours": 24}),
        ),
        (&["package", "unyank", "a/b", "dev-x/y"], "post packages/a/b/unyank/dev-x/y", Value::Null),
        (
            &["package", "takedown", "a/b", "1.0", "--reason", "a leak"],
            "post packages/a/b/takedown/1.0",
            json!({"reason": "a leak"}),
        ),
        (&["package", "untakedown", "a/b", "1.0"], "post packages/a/b/untakedown/1.0", Value::Null),
        (
            &["package", "deprecate", "a/b", "1.0", "--replacement", "c/d"],
            "post packages/a/b/deprecate/1.0",
            json!({"replacement": "c/d"}),
        ),
        (&["package", "undeprecate", "a/b", "1.0"], "post packages/a/b/undeprecate/1.0", Value::Null),
        (
            &["package", "date", "a/b", "1.0", "2024-01-10T00:00:00Z", "--reason", "imported"],
            "patch packages/a/b/versions/1.0",
            json!({"published_at": "2024-01-10T00:00:00Z", "reason": "imported"}),
        ),
        (&["package", "abandon", "a/b"], "post packages/a/b/abandon", json!({})),
        (&["package", "unabandon", "a/b"], "post packages/a/b/unabandon", Value::Null),
        (&["package", "delete", "a/b", "--dry-run"], "delete packages/a/b?dry_run=true", Value::Null),
        (&["package", "restore", "a/b"], "post packages/a/b/restore", Value::Null),
        (
            &["token", "create", "cust_1", "ci", "--scope", "developer", "--package", "a/*"],
            "post customers/cust_1/tokens",
            json!({"name": "ci", "scope": "developer", "package_scopes": ["a/*"]}),
        ),
        (
            &["token", "rotate", "cust_1", "tok_id_1", "--grace-seconds", "60"],
            "post customers/cust_1/tokens/tok_id_1/rotate",
            json!({"grace_seconds": 60}),
        ),
        (&["token", "revoke", "cust_1", "tok_id_1"], "delete customers/cust_1/tokens/tok_id_1", Value::Null),
        (
            &["credential", "create", "CI", "--level", "publisher", "--package", "a/*"],
            "post credentials",
            json!({"name": "CI", "level": "publisher", "package_scopes": ["a/*"]}),
        ),
        (&["credential", "rotate", "cred_1"], "post credentials/cred_1/rotate", json!({"grace_seconds": 0})),
        (&["credential", "revoke", "cred_1"], "delete credentials/cred_1", Value::Null),
        (
            &["git-credential", "create", "key", "--kind", "ssh", "--host", "git.example.com:2222"],
            "post git-credentials",
            json!({"name": "key", "kind": "ssh", "host": "git.example.com:2222"}),
        ),
        (
            &["git-credential", "create", "key", "--kind", "ssh", "--host", "git@git.example.com:a/b.git"],
            "post git-credentials",
            json!({"name": "key", "kind": "ssh", "url": "git@git.example.com:a/b.git"}),
        ),
        (
            &["git-credential", "update", "gitcred_1", "--name", "forge"],
            "patch git-credentials/gitcred_1",
            json!({"name": "forge"}),
        ),
        (&["git-credential", "show", "gitcred_1"], "get git-credentials/gitcred_1", Value::Null),
        (
            &["git-credential", "delete", "gitcred_1", "--confirm"],
            "delete git-credentials/gitcred_1?confirm=true",
            Value::Null,
        ),
        (&["settings", "show"], "get settings", Value::Null),
        (
            &["settings", "set", "lapsed.expired=keep", "renew_url=null", "--confirm"],
            "patch settings?confirm=true",
            json!({"lapsed": {"expired": "keep"}, "renew_url": null}),
        ),
        (
            &["explain", "--customer", "cust_1", "--package", "a/b"],
            "get explain?customer=cust_1&package=a%2fb",
            Value::Null,
        ),
        (
            &["explain", "--token", "tok_id_1", "--package", "a/b", "--version", "1.0"],
            "get explain?token_id=tok_id_1&package=a%2fb&version=1.0",
            Value::Null,
        ),
        (&["deletion", "list", "--kind", "grant"], "get deletions?kind=grant&page=1&per_page=200", Value::Null),
        (&["deletion", "restore", "del_1"], "post deletions/del_1/restore", Value::Null),
    ]
}

#[tokio::test]
async fn commands_become_requests() {
    for (words, line, body) in requests() {
        let (asked, answer) = run_against(200, data(words), words).await;
        assert_eq!(asked.line, line, "{words:?}");
        let sent: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        assert_eq!(sent, body, "{words:?}");
        assert!(asked.head.contains("authorization: bearer secret"), "{words:?}");
        answer.unwrap_or_else(|failure| panic!("{words:?}: {failure:?}"));
    }
}

/// A package that is added is synced at once.
#[tokio::test]
async fn a_monorepo_is_added_with_its_patterns() {
    let words = ["package", "add", "/a.git", "--name", "a/b", "--monorepo", "packages/*", "--monorepo", "!packages/x"];
    let words = [&words[..], &["--tag-pattern", "{package}/v{version}"]].concat();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let command = parsed(&listener, &words);
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let added = read(&mut stream).await;
        respond(&mut stream, 201, &json!({"data": {"name": "a/b"}})).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        let synced = read(&mut stream).await;
        respond(&mut stream, 403, &json!({"title": "Forbidden"})).await;
        (added, synced)
    };
    let ((added, synced), answer) = tokio::join!(server, answer(command));
    assert!(answer.is_err());
    assert_eq!(added.line, "post packages");
    // On a terminal it watches, elsewhere it waits.
    assert!(synced.line.starts_with("post packages/a/b/sync"), "{}", synced.line);
    assert_eq!(
        serde_json::from_slice::<Value>(&added.body).unwrap(),
        json!({"repository_url": "/a.git", "name": "a/b", "tag_pattern": "{package}/v{version}", "monorepo": ["packages/*", "!packages/x"]})
    );
}

#[test]
fn wrong_words_are_refused_before_anything_is_asked() {
    for words in [
        &["grant", "add", "cust_1"][..],
        &["grant", "add", "cust_1", "a/b", "--collection", "suite"],
        &["grant", "remove", "cust_1"],
        &["grant", "remove", "cust_1", "grant_1", "--package", "a/b"],
        &["explain", "--package", "a/b"],
        &["explain", "--customer", "cust_1", "--token", "tok_id_1", "--package", "a/b"],
        &["package", "takedown", "a/b", "1.0"],
        &["package", "add"],
        &["package", "add", "--upload-only"],
        &["package", "add", "https://a.example/b.git", "--upload-only", "--name", "a/b"],
        &["settings", "set"],
    ] {
        let line = ["cargoman"].iter().chain(words).copied();
        assert!(Line::try_parse_from(line).is_err(), "{words:?}");
    }
}

#[tokio::test]
async fn a_zip_is_sent_alone_or_beside_its_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let (zip, metadata) = (folder.path().join("a.zip"), folder.path().join("composer.json"));
    let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
    std::fs::write(&zip, &bytes).unwrap();
    std::fs::write(&metadata, b"{\"name\":\"a/b\"}").unwrap();
    let (zip, metadata) = (zip.to_str().unwrap(), metadata.to_str().unwrap());

    let made = json!({"data": {"version": "1.0", "dist_sha1": "abc"}});
    let (asked, answer) = run_against(201, made.clone(), &["package", "publish", "a/b", "1.0", zip]).await;
    assert_eq!(asked.line, "put packages/a/b/versions/1.0");
    assert!(asked.head.contains("content-type: application/zip\r\n"), "{}", asked.head);
    assert_eq!(asked.body, bytes);
    assert_eq!(sentence(answer), "a/b 1.0 is published; SHA-1 abc");

    let words = ["package", "publish", "a/b", "1.0", zip, "--metadata", metadata];
    let (asked, answer) = run_against(200, made, &words).await;
    let boundary = asked.head.split("multipart/form-data; boundary=").nth(1).unwrap().lines().next().unwrap();
    let mut expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"metadata\"; filename=\"composer.json\"\r\n\
         Content-Type: application/json\r\n\r\n{{\"name\":\"a/b\"}}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"zip\"; filename=\"archive.zip\"\r\n\
         Content-Type: application/zip\r\n\r\n"
    )
    .into_bytes();
    expected.extend_from_slice(&bytes);
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(asked.body == expected, "the parts are not as they should be");
    assert_eq!(sentence(answer), "a/b 1.0 was there already, byte for byte; SHA-1 abc");
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let zip = folder.path().join("a.zip");
    std::fs::write(&zip, vec![0; 20 << 20]).unwrap();
    let words = ["package", "publish", "a/b", "1.0", zip.to_str().unwrap()];
    let refused = json!({"error": {"code": "FORBIDDEN", "message": "this package is outside", "details": []}});
    for (status, body, said) in [(403, refused, "this package is outside"), (200, json!({"data": {}}), "hung up")] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let command = parsed(&listener, &words);
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 64]).await.unwrap(), 0);
            drop(stream);
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = read(&mut stream).await;
            respond(&mut stream, status, &body).await;
            asked.line
        };
        let (line, answer) = tokio::join!(server, answer(command));
        assert_eq!(line, "get packages/a/b");
        let failure = format!("{:?}", answer.unwrap_err());
        assert!(failure.contains(said), "{failure}");
    }
}

#[tokio::test]
async fn a_dry_run_says_that_nothing_was_changed() {
    let effect = json!({"customers": [], "customers_gaining": 0, "customers_losing": 0, "installed_30_days": 0});
    let body = json!({"data": {"dry_run": true, "effect": effect}});
    let (_, answer) = run_against(200, body.clone(), &["customer", "delete", "cust_1", "--dry-run"]).await;
    assert_eq!(
        sentence(answer),
        "nobody gains or loses anything\nnothing was changed; next: the same without --dry-run"
    );
    let (_, answer) = run_against(200, body.clone(), &["customer", "delete", "cust_1", "--dry-run", "--json"]).await;
    let (Answer::Thing(data, _), true) = answer.unwrap() else { panic!("not JSON") };
    assert_eq!(data, body["data"]);

    let done = json!({"data": {"version": "1.0", "yanked_at": "2026-01-01T00:00:00Z"}});
    let (_, answer) = run_against(200, done, &["package", "yank", "a/b", "1.0", "--dry-run"]).await;
    let said = format!("{:?}", answer.unwrap_err());
    assert!(said.contains("did it: a/b 1.0 is yanked") && said.contains("code: 1"), "{said}");
}

#[tokio::test]
async fn refusals_name_the_remedy_in_words_of_the_command_line() {
    let refusal = |code: &str, message: &str| json!({"error": {"code": code, "message": message, "details": []}});
    let braked = refusal("CONFLICT", "too many customers: look with ?dry_run=true, then repeat with ?confirm=true");
    let (_, answer) = run_against(409, braked, &["package", "yank", "a/b", "1.0"]).await;
    let said = format!("{:?}", answer.unwrap_err());
    assert!(said.contains("(here: --dry-run, --confirm)") && said.contains("code: 1"), "{said}");

    let (_, answer) = run_against(404, refusal("NOT_FOUND", "no"), &["package", "restore", "a/b"]).await;
    let said = format!("{:?}", answer.unwrap_err());
    assert!(said.contains("packages/a/b was not deleted") && said.contains("deletion list"), "{said}");

    let (_, answer) =
        run_against(404, refusal("NOT_FOUND", "version not found"), &["package", "yank", "a/b", "1"]).await;
    let said = format!("{:?}", answer.unwrap_err());
    assert!(said.contains("version not found: packages/a/b/yank/1 does not exist"), "{said}");

    let (_, answer) = run_against(422, refusal("VALIDATION_ERROR", "no"), &["settings", "set", "source=x"]).await;
    assert!(format!("{:?}", answer.unwrap_err()).contains("code: 2"));
}

/// An answer that the command can believe.
fn data(words: &[&str]) -> Value {
    let name = words.iter().position(|word| *word == "--name").and_then(|at| words.get(at + 1));
    json!({"data": {"dry_run": words.contains(&"--dry-run"), "name": name}})
}

/// What people read.
fn sentence(answer: Result<(Answer, bool), Failure>) -> String {
    match answer.unwrap() {
        (Answer::Thing(_, sentence), _) => sentence,
        (Answer::Table(..), _) => panic!("a table"),
    }
}
