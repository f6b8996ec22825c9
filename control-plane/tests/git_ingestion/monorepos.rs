//! Repositories with many packages.

use std::collections::BTreeMap;

use cargoman_control_plane::git::protocol::{Child, Known, Monorepo, Outcome, Request, SkipCode};

use crate::repository::Repository;
use crate::run::{Answer, Place, answer};

/// Two packages in `packages/`, one of which requires the other, and a root that is none.
fn repository() -> Repository {
    let mut repository = Repository::new();
    repository.write("README.md", "many");
    package(&repository, "packages/core", "acme/core", "{}");
    package(&repository, "packages/pay", "acme/pay", r#"{"acme/core": "self.version"}"#);
    repository.write("packages/notes/README.md", "no package");
    repository.write("tools/x/composer.json", r#"{"name": "acme/x"}"#);
    repository.commit("first");
    repository.tag("v1.0.0");
    repository
}

fn package(repository: &Repository, path: &str, name: &str, require: &str) {
    repository.write(&format!("{path}/composer.json"), format!(r#"{{"name": "{name}", "require": {require}}}"#));
    repository.write(&format!("{path}/src/One.php"), format!("<?php // {name}\n"));
}

fn request(place: &Place, url: &str, patterns: &[&str]) -> Request {
    let monorepo = Monorepo {
        patterns: patterns.iter().map(|one| (*one).to_owned()).collect(),
        vendors: ["acme".to_owned()].into(),
        ..Monorepo::default()
    };
    Request { bound_name: Some("acme/monorepo".to_owned()), monorepo: Some(monorepo), ..place.request(url) }
}

/// The next request, as the control plane would make it.
fn next(answer: &Answer, request: &Request) -> Request {
    let mut next = answer.next(request);
    let monorepo = next.monorepo.as_mut().unwrap();
    for (name, path) in &answer.members {
        let there = monorepo.children.iter_mut().find(|child| child.name == *name);
        match there {
            Some(child) => child.path.clone_from(path),
            None => monorepo.children.push(Child { name: name.clone(), path: path.clone(), known: BTreeMap::new() }),
        }
    }
    for version in &answer.versions {
        let Some(package) = &version.package else { continue };
        let child = monorepo.children.iter_mut().find(|child| child.name == *package).unwrap();
        let outcome =
            Outcome::Version { normalized: version.normalized.clone(), default_branch: version.default_branch };
        child.known.insert(version.name.clone(), Known { oid: version.oid.clone(), outcome });
    }
    next.known.clear();
    next
}

/// `package version`, in order.
fn published(answer: &Answer) -> Vec<String> {
    let named = |package: &Option<String>| package.clone().unwrap_or_else(|| "root".to_owned());
    let mut all: Vec<String> =
        answer.versions.iter().map(|version| format!("{} {}", named(&version.package), version.pretty)).collect();
    all.sort();
    all
}

#[test]
fn one_clone_many_packages() {
    let mut repository = repository();
    let place = Place::new();
    let asked = request(&place, &repository.url(), &["packages/*"]);
    let first = answer(&asked);
    assert!(first.finished && first.skipped.is_empty(), "{first:#?}");
    assert_eq!(
        first.members,
        [("acme/core".into(), "packages/core".into()), ("acme/pay".into(), "packages/pay".into())]
    );
    assert_eq!(published(&first), ["acme/core dev-main", "acme/core v1.0.0", "acme/pay dev-main", "acme/pay v1.0.0"]);
    let version = |package: &str| first.versions.iter().find(|one| one.package.as_deref() == Some(package)).unwrap();
    assert_eq!(version("acme/core").commit, version("acme/pay").commit, "siblings share one reference");
    assert_ne!(version("acme/core").dist.sha256, version("acme/pay").dist.sha256);
    let listed = std::process::Command::new("python3")
        .args(["-c", "import sys, zipfile; print(' '.join(zipfile.ZipFile(sys.argv[1]).namelist()))"])
        .arg(&version("acme/core").dist.path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap().trim(), "composer.json src/ src/One.php");
    assert_eq!(version("acme/pay").metadata["name"], "acme/pay");

    let again = answer(&next(&first, &asked));
    assert!(again.unchanged, "{again:#?}");

    // One package changes: the other's dist is the same, though its commit is another one.
    package(&repository, "packages/pay", "acme/pay", r#"{"acme/core": "^1.0"}"#);
    repository.commit("second");
    repository.tag("v1.1.0");
    let second = answer(&next(&first, &asked));
    assert_eq!(published(&second), ["acme/core dev-main", "acme/core v1.1.0", "acme/pay dev-main", "acme/pay v1.1.0"]);
    let core = second.versions.iter().find(|one| one.package.as_deref() == Some("acme/core")).unwrap();
    assert_eq!(core.dist.sha256, version("acme/core").dist.sha256);
    assert_ne!(core.commit, version("acme/core").commit);
}

/// A package that comes later has no earlier versions; one that goes keeps those it has, but not the branch it is gone from.
#[test]
fn packages_come_and_go_and_move() {
    let mut repository = repository();
    let place = Place::new();
    let asked = request(&place, &repository.url(), &["packages/*", "lib/*"]);
    let first = answer(&asked);

    package(&repository, "packages/late", "acme/late", "{}");
    repository.git(&["mv", "packages/pay", "packages/payment"]);
    repository.git(&["rm", "-rq", "packages/core"]);
    package(&repository, "lib/core", "acme/core", "{}");
    repository.commit("second");
    repository.tag("v2.0.0");
    let asked = next(&first, &asked);
    let second = answer(&asked);
    assert_eq!(
        published(&second),
        [
            "acme/core dev-main",
            "acme/core v2.0.0",
            "acme/late dev-main",
            "acme/late v2.0.0",
            "acme/pay dev-main",
            "acme/pay v2.0.0"
        ]
    );
    let folder = |name: &str| second.members.iter().find(|one| one.0 == name).unwrap().1.clone();
    assert_eq!((folder("acme/pay"), folder("acme/core")), ("packages/payment".into(), "lib/core".into()));

    repository.git(&["rm", "-rq", "packages/late"]);
    repository.commit("third");
    repository.tag("v3.0.0");
    let third = answer(&next(&second, &asked));
    assert_eq!(published(&third), ["acme/core dev-main", "acme/core v3.0.0", "acme/pay dev-main", "acme/pay v3.0.0"]);
    assert_eq!(third.absent, [("acme/late".to_owned(), "refs/heads/main".to_owned())]);

    // A new package reads the whole history, wherever it lay.
    let elsewhere = Place::new();
    let anew = answer(&request(&elsewhere, &repository.url(), &["packages/*", "lib/*"]));
    assert_eq!(anew.versions.iter().filter(|one| one.package.as_deref() == Some("acme/pay")).count(), 4);
}

#[test]
fn two_levels_deep_and_taken_out() {
    let mut repository = Repository::new();
    for (path, name) in [
        ("src/Acme/Component/Console", "acme/console"),
        ("src/Acme/Component/Clock", "acme/clock"),
        ("src/Acme/Bridge/Twig", "acme/bridge"),
        ("src/Acme/Component/Internal", "acme/internal"),
    ] {
        package(&repository, path, name, "{}");
    }
    // The root is a package too.
    repository.write("composer.json", r#"{"name": "acme/monorepo"}"#);
    repository.commit("first");
    repository.tag("1.0.0");
    let place = Place::new();
    let found = answer(&request(&place, &repository.url(), &["src/Acme/*/*", "!src/Acme/*/Internal"]));
    let names: Vec<&str> = found.members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["acme/bridge", "acme/clock", "acme/console"]);
    assert_eq!(found.versions.len(), 8, "{:?}", published(&found));
    assert_eq!(found.versions.iter().filter(|one| one.package.is_none()).count(), 2);
    let elsewhere = Place::new();
    let one_level = answer(&request(&elsewhere, &repository.url(), &["src/Acme/Component/*"]));
    assert_eq!(one_level.members.len(), 3);
}

#[test]
fn tags_of_single_packages() {
    let mut repository = repository();
    for tag in ["pay/v1.1.0", "acme/core/v2.0.0", "core/nonsense", "other/v1.0.0"] {
        repository.tag(tag);
    }
    repository.commit("more");
    let place = Place::new();
    let mut asked = request(&place, &repository.url(), &["packages/*"]);
    asked.monorepo.as_mut().unwrap().tags = Some("{package}/v{version}".to_owned());
    let found = answer(&asked);
    assert_eq!(published(&found), ["acme/core 2.0.0", "acme/core dev-main", "acme/pay 1.1.0", "acme/pay dev-main"]);
    assert!(found.finished && found.skipped.is_empty(), "{found:#?}");
}

/// G-J5: what one package is cannot be changed by another's folder; and one folder's fault is its own.
#[test]
fn what_is_refused() {
    let mut repository = repository();
    repository.write("packages/broken/composer.json", "{");
    repository.write("packages/nameless/composer.json", r#"{"type": "library"}"#);
    repository.write("packages/foreign/composer.json", r#"{"name": "symfony/console"}"#);
    repository.write("packages/taken/composer.json", r#"{"name": "acme/taken"}"#);
    repository.write("packages/zwilling/composer.json", r#"{"name": "acme/pay"}"#);
    repository.write("packages/root/composer.json", r#"{"name": "acme/monorepo"}"#);
    repository.write("packages/core/composer.json", r#"{"name": "acme/core", "require": 5}"#);
    repository.commit("second");
    repository.tag("v1.1.0");
    repository.tag("not-a-version");
    let place = Place::new();
    let mut asked = request(&place, &repository.url(), &["packages/*"]);
    let monorepo = asked.monorepo.as_mut().unwrap();
    monorepo.taken = ["acme/taken".to_owned()].into();
    monorepo.children.push(Child { name: "acme/core".into(), path: "packages/core".into(), known: BTreeMap::new() });
    let found = answer(&asked);
    assert!(found.finished, "{found:#?}");
    assert_eq!(found.members.iter().map(|one| one.0.as_str()).collect::<Vec<_>>(), ["acme/pay"]);
    for (path, code, word) in [
        ("packages/broken", SkipCode::BadManifest, ""),
        ("packages/nameless", SkipCode::BadManifest, "name"),
        ("packages/foreign", SkipCode::BadManifest, "PUT /vendors/symfony"),
        ("packages/taken", SkipCode::Duplicate, "another package"),
        ("packages/zwilling", SkipCode::Duplicate, "acme/pay"),
        ("packages/root", SkipCode::Duplicate, "acme/monorepo"),
        ("packages/core", SkipCode::BadManifest, ""),
        ("refs/tags/not-a-version", SkipCode::NotAVersion, ""),
    ] {
        let skipped = found.skipped.iter().find(|one| one.name == path && one.package.is_none());
        let skipped = skipped.unwrap_or_else(|| panic!("{path}: {found:#?}"));
        assert!(skipped.code == code && skipped.reason.contains(word), "{path}: {skipped:?}");
    }
    // Its good version is there, the broken ones are named.
    assert_eq!(published(&found), ["acme/core v1.0.0", "acme/pay dev-main", "acme/pay v1.0.0", "acme/pay v1.1.0"]);
    let of_core: Vec<&str> = found
        .skipped
        .iter()
        .filter(|one| one.package.as_deref() == Some("acme/core"))
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(of_core.len(), 2, "{of_core:?}");
}

#[test]
fn bounds() {
    let mut repository = Repository::new();
    for number in 0..12 {
        package(&repository, &format!("packages/p{number}"), &format!("acme/p{number}"), "{}");
    }
    repository.commit("many");
    let place = Place::new();
    let mut asked = request(&place, &repository.url(), &["packages/*"]);
    asked.limits.members = 11;
    let found = answer(&asked);
    assert!(found.failure().message.contains("more than 11 packages"), "{found:?}");
    let asked = request(&place, &repository.url(), &["packages/**"]);
    assert!(answer(&asked).failure().message.contains("monorepo"));
}
