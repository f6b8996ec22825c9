//! `cargoman-edge` as a process: it says everything that is wrong at once, and ends in order.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use cargoman_credential::Kind;

use super::client::Connection;
use super::world::secret;

fn edge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargoman-edge"));
    command.env_clear().stdin(Stdio::null());
    command
}

#[test]
fn a_wrong_configuration() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[edge]\nlisten = [\"nowhere\"]\nthreds = 1\n[control_plane]\n[[plugins]]\nname = \"x\"\n",
    )
    .unwrap();
    let output = edge().arg("--config").arg(file.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for expected in [
        "edge.listen `nowhere`",
        "edge.threds",
        "control_plane.edge_url",
        "control_plane.public_url",
        "credential_file",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(edge().arg("--config").arg("/does/not/exist").output().unwrap().status.code(), Some(2));
}

#[test]
fn sigterm_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.toml");
    let text = format!(
        "[edge]\nlisten = [\"127.0.0.1:0\"]\n[control_plane]\nedge_url = \"http://127.0.0.1:9\"\npublic_url = \"http://127.0.0.1:9\"\n\
         [cache]\ndirectory = {:?}\n",
        directory.path().join("cache")
    );
    std::fs::write(&file, text).unwrap();
    let credential = secret(Kind::Edge);
    let mut running = edge()
        .arg("--config")
        .arg(&file)
        .env("CARGOMAN_CONTROL_PLANE__CREDENTIAL", credential.expose())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut said = String::new();
    let address = lines.by_ref().find_map(|line| {
        said.push_str(&line);
        let value: serde_json::Value = serde_json::from_str(&line).ok()?;
        value["address"].as_str()?.parse().ok()
    });
    let mut connection = Connection::open(address.unwrap_or_else(|| panic!("no address: {said}")));
    assert_eq!(connection.request("GET", "/healthz", &[("Host", "any")]).status, 200);
    assert_eq!(connection.request("GET", "/readyz", &[("Host", "any")]).status, 503);
    assert!(Command::new("kill").arg("-TERM").arg(running.id().to_string()).status().unwrap().success());
    assert!(running.wait().unwrap().success());
    assert!(connection.is_closed());
    assert!(!lines.chain([said]).any(|line| line.contains(credential.expose())));
}
