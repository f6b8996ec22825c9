//! Every example of a configuration is one that the programs accept, and every manifest can be read.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::path::{Path, PathBuf};

use cargoman_credential::{Kind, Secret};
use cargoman_testkit::cargoman::command;
use yaml_rust2::{Yaml, YamlLoader};

fn config() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, plain): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let mut found: Vec<PathBuf> =
        plain.into_iter().filter(|path| path.extension().is_some_and(|there| there == ending)).collect();
    found.extend(folders.iter().flat_map(|folder| files(folder, ending)));
    found
}

#[track_caller]
fn accepted(path: &Path) {
    let credential = Secret::generate(Kind::Edge, &ring::rand::SystemRandom::new()).unwrap();
    let mut check = command();
    check.args(["config", "check", "--config"]).arg(path);
    check.env("CARGOMAN_CONTROL_PLANE__CREDENTIAL", credential.expose());
    let output = check.output().unwrap();
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_example_is_accepted() {
    let found = files(&config(), "toml");
    assert!(found.len() >= 7, "{found:?}");
    for path in found {
        accepted(&path);
    }
}

#[test]
fn every_manifest_can_be_read() {
    let found = files(&config(), "yaml");
    assert!(found.len() >= 3, "{found:?}");
    let folder = tempfile::tempdir().unwrap();
    let mut configurations = 0;
    for path in found {
        let documents = YamlLoader::load_from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for document in documents {
            assert!(document.as_hash().is_some(), "{}", path.display());
            let Yaml::Hash(data) = &document["data"] else { continue };
            for (name, text) in data {
                let file = folder.path().join(name.as_str().unwrap());
                std::fs::write(&file, text.as_str().unwrap()).unwrap();
                accepted(&file);
                configurations += 1;
            }
        }
    }
    assert_eq!(configurations, 2, "of control planes and of edges");
}
