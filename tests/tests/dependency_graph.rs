//! What is linked into the programs, and what is not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::collections::BTreeSet;
use std::process::Command;

/// Packages as `name vX.Y.Z` that `cargo tree` names for `arguments`.
#[track_caller]
fn tree(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none", "--edges", "normal,build", "--format", "{p}"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| {
            Some(line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).filter(|line| !line.is_empty())
        })
        .collect()
}

fn names<'a>(packages: &'a BTreeSet<String>, wanted: &[&str]) -> Vec<&'a String> {
    packages.iter().filter(|package| wanted.contains(&package.split(' ').next().unwrap())).collect()
}

#[test]
fn the_edge_links_neither_git_nor_a_database() {
    let packages = tree(&["--package", "cargoman-proxy"]);
    assert!(packages.len() > 50 && !names(&packages, &["pingora"]).is_empty(), "{packages:?}");
    let none: Vec<&String> = Vec::new();
    assert_eq!(
        names(&packages, &["git2", "libgit2-sys", "sqlx", "sqlx-core", "sqlx-postgres", "cargoman-control-plane"]),
        none
    );
}

#[test]
fn one_tls_library_with_one_crypto_provider() {
    let packages = tree(&["--workspace"]);
    assert!(!names(&packages, &["libgit2-sys"]).is_empty(), "{packages:?}");
    let none: Vec<&String> = Vec::new();
    let others = [
        "openssl",
        "openssl-sys",
        "native-tls",
        "boring",
        "boring-sys",
        "aws-lc-rs",
        "aws-lc-sys",
        "libssh2-sys",
        "s2n-tls-sys",
        "curl-sys",
    ];
    assert_eq!(names(&packages, &others), none);
    for single in ["rustls", "ring"] {
        assert_eq!(names(&packages, &[single]).len(), 1, "{:?}", names(&packages, &[single]));
    }
}
