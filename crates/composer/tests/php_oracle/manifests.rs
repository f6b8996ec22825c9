//! Manifests, good and bad, against Composer's loaders.
//!
//! Three things must hold for each: what we publish loads in a client; what Composer's validator refuses we refuse; and
//! where both accept, a client sees the same package as if Composer had read the file itself.

use std::collections::BTreeMap;

use cargoman_composer::manifest::{Manifest, ManifestError};
use cargoman_composer::name::PackageName;
use cargoman_composer::version::Version;
use serde_json::{Map, Value, json};

use crate::generate::Random;
use crate::{assert_none, oracle, start};

/// Keys that say nothing about a version or that the registry sets itself.
const IGNORED: &[&str] = &[
    "dist",
    "source",
    "config",
    "repositories",
    "minimum-stability",
    "transport-options",
    "notification-url",
    "installation-source",
    "default-branch",
    "version_normalized",
];

/// Where we refuse what Composer's validator lets through, see `manifest/mod.rs`; some of it only in older versions.
const STRICTER: &[&str] = &[
    "require",
    "require-dev",
    "conflict",
    "provide",
    "replace",
    "suggest",
    "autoload",
    "autoload-dev",
    "bin",
    "include-path",
    "target-dir",
    "archive",
    "php-ext",
    "version",
];

#[test]
fn manifests_agree() {
    let (mut random, count) = start("manifests", 6_000, 60_000);
    let features = oracle::features();
    let name = PackageName::parse("acme/pay").unwrap();
    let texts: Vec<String> = (0..count).map(|_| manifest(&mut random)).collect();
    let ours: Vec<Result<Manifest, ManifestError>> =
        texts.iter().map(|text| Manifest::parse(text.as_bytes())).collect();
    let version = Version::parse("1.2.0").unwrap();
    let object = |manifest: &Manifest| manifest.version_object(&name, "1.2.0", &version, None, false);
    let questions = texts.iter().zip(&ours).map(|(text, ours)| {
        let object = ours.as_ref().ok().map(object);
        json!({"ask": "manifest", "json": text, "version": "1.2.0", "ignored": IGNORED, "ours": object})
    });
    let questions: Vec<Value> = questions.collect();
    let (mut disagreements, mut accepted, mut stricter) = (Vec::new(), 0, BTreeMap::<String, usize>::new());
    for ((text, ours), theirs) in texts.iter().zip(&ours).zip(oracle::ask(&questions)) {
        let valid = theirs["valid"].as_bool().unwrap();
        match ours {
            // Composer takes the name from elsewhere then, as we do.
            Ok(manifest) if manifest.name.is_none() && theirs["loads"] == json!(true) => {}
            Ok(_) if theirs["loads"] != json!(true) => {
                disagreements.push(format!("client fails: {text}: {}", theirs["errors"]))
            }
            Ok(_) if !features.drops_odd_licences && has_odd_licence(text) => {}
            Ok(_) if !valid && !is_about_time(&theirs["errors"]) => {
                disagreements.push(format!("we are more lenient: {text}: {}", theirs["errors"]));
            }
            Ok(_) if valid => {
                accepted += 1;
                let (loaded, dump) = (comparable(&theirs["loaded"]), comparable(&theirs["dump"]));
                if loaded != dump {
                    disagreements.push(format!("{text}\n  ours   {loaded}\n  theirs {dump}"));
                }
            }
            Ok(_) => accepted += 1,
            Err(ManifestError::Field { field, .. }) if valid => {
                let top = field.split('.').next().unwrap_or_default().to_owned();
                if STRICTER.contains(&top.as_str()) {
                    *stricter.entry(top).or_default() += 1;
                } else {
                    disagreements.push(format!("we are stricter: {text}: {}", ours.as_ref().unwrap_err()));
                }
            }
            Err(error) if valid => disagreements.push(format!("we are stricter: {text}: {error}")),
            Err(_) => {}
        }
    }
    println!("{count} manifests, {accepted} accepted; refused only by us: {stricter:?}");
    assert_none(&disagreements, count);
    assert!(accepted * 5 > count && accepted * 10 < count * 9, "the generator is lopsided: {accepted} of {count}");
}

/// An unreadable `time` alone is left out, not refused: clients ignore it too.
fn is_about_time(errors: &Value) -> bool {
    errors.as_array().is_some_and(|errors| {
        errors.iter().all(|error| error.as_str().is_some_and(|error| error.starts_with("time : invalid")))
    })
}

fn has_odd_licence(text: &str) -> bool {
    let manifest: Value = serde_json::from_str(text).unwrap();
    manifest.get("license").is_some_and(|license| !values(license).iter().all(Value::is_string))
}

/// A dumped package without the differences that are documented in `manifest/mod.rs`.
fn comparable(package: &Value) -> Value {
    let mut package = package.as_object().cloned().unwrap_or_default();
    // The text that the p2 format takes for "no such field".
    package.retain(|field, value| field == "abandoned" || value != "__unset");
    for (field, known) in [
        ("support", &["issues", "forum", "wiki", "source", "email", "irc", "docs", "rss", "chat", "security"][..]),
        ("authors", &["name", "email", "homepage", "role"][..]),
        ("funding", &["type", "url"][..]),
    ] {
        let Some(value) = package.remove(field) else { continue };
        let kept = match field {
            "support" => only(&value, known),
            _ => Value::Array(
                values(&value).iter().map(|entry| only(entry, known)).filter(|entry| entry != &json!({})).collect(),
            ),
        };
        if kept != json!({}) && kept != json!([]) {
            package.insert(field.to_owned(), kept);
        }
    }
    // Read from the file only by versions that know it.
    for list in ["bin", "include-path", "license", "keywords"] {
        let Some(value) = package.remove(list) else { continue };
        let mut entries = values(&value);
        entries.retain(|entry| list != "license" || entry.as_str().is_some_and(|license| !matches!(license, "" | "0")));
        if list == "keywords" {
            entries.retain(|entry| entry.as_str().is_some_and(|keyword| !keyword.contains('\n')));
            entries.sort_by_key(ToString::to_string);
        }
        if !entries.is_empty() {
            package.insert(list.to_owned(), Value::Array(entries));
        }
    }
    if let Some(archive) = package.get_mut("archive").and_then(|archive| archive.get_mut("exclude")) {
        *archive = Value::Array(values(archive));
    }
    package.remove("php-ext");
    let is_name = |value: &Value| value.as_str().is_some_and(|text| PackageName::parse_lowercasing(text).is_ok());
    if package.get("abandoned").is_some_and(|value| !is_name(value)) {
        package.insert("abandoned".to_owned(), json!(true));
    }
    package.sort_keys();
    php_view(&Value::Object(package))
}

fn values(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.clone(),
        Value::Object(map) => map.values().cloned().collect(),
        _ => vec![value.clone()],
    }
}

/// The texts under the `known` keys, without empty ones.
fn only(value: &Value, known: &[&str]) -> Value {
    let entry = |key: &&str| {
        value
            .get(*key)
            .filter(|value| value.is_string() && *value != "")
            .map(|value| ((*key).to_owned(), value.clone()))
    };
    Value::Object(known.iter().filter_map(entry).collect())
}

/// JSON as it looks after PHP has read and written it: empty objects and objects numbered from 0 are lists.
pub(crate) fn php_view(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.iter().map(php_view).collect()),
        Value::Object(map) if map.keys().enumerate().all(|(index, key)| *key == index.to_string()) => {
            Value::Array(map.values().map(php_view).collect())
        }
        Value::Object(map) => Value::Object(map.iter().map(|(key, value)| (key.clone(), php_view(value))).collect()),
        other => other.clone(),
    }
}

/// A map that looks like a version object: few keys, few values, so that neighbours often agree.
pub(crate) fn version_like(random: &mut Random, nulls: bool) -> Map<String, Value> {
    let mut version = Map::new();
    let keys = ["name", "version", "require", "dist", "time", "extra", "license"];
    for _ in 0..random.below(7) {
        let value = match random.below(9) {
            0 => json!("1.0.0"),
            1 => json!({"php": ">=8.1", "acme/core": "^1.0"}),
            2 => json!({"acme/core": "^1.0", "php": ">=8.1"}),
            3 => json!([]),
            4 => json!(["MIT"]),
            5 => json!({"a": {"b": [1, 2, {"c": "d"}]}}),
            6 => json!({"a": {"b": [1, 2, {"c": "e"}]}}),
            7 if nulls => Value::Null,
            _ => json!(random.below(3)),
        };
        version.insert(random.pick(&keys).to_owned(), value);
    }
    version
}

/// The text of a manifest: a few fields with typical values, right and wrong, and now and then something random.
fn manifest(random: &mut Random) -> String {
    let candidates = candidates();
    let mut manifest = Map::from_iter([("name".to_owned(), json!("acme/pay"))]);
    for _ in 0..random.below(7) {
        let (field, values) = &candidates[random.below(candidates.len())];
        // The first half of the values is right.
        let usable = if random.chance(75) { values.len().div_ceil(2) } else { values.len() };
        manifest.insert((*field).to_owned(), values[random.below(usable)].clone());
    }
    let mut manifest = Value::Object(manifest);
    if random.chance(12) {
        disturb(random, &mut manifest);
    }
    manifest.to_string()
}

/// Replaces one value somewhere by another that may be of the wrong type.
fn disturb(random: &mut Random, value: &mut Value) {
    let strange = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(7),
        json!(1.5),
        json!(""),
        json!(" "),
        json!("0"),
        json!("text"),
        json!([]),
        json!({}),
        json!(["a"]),
        json!([1]),
        json!({"a": "b"}),
        json!({"1": "b"}),
        json!([[]]),
        json!({"a": null}),
        json!("__unset"),
        json!("self.version"),
        json!("1.0 as 2.0"),
        json!("\u{e9}\n"),
    ];
    let deeper = random.chance(75);
    match value {
        Value::Array(list) if deeper && !list.is_empty() => {
            let index = random.below(list.len());
            disturb(random, &mut list[index]);
        }
        Value::Object(map) if deeper && !map.is_empty() => {
            let index = random.below(map.len());
            if let Some(value) = map.values_mut().nth(index) {
                disturb(random, value);
            }
        }
        other => *other = random.pick(&strange),
    }
}

fn candidates() -> Vec<(&'static str, Vec<Value>)> {
    let links = vec![
        json!({"php": ">=8.1", "acme/core": "^1.0"}),
        json!({"ACME/Core": "^1.0 || dev-main", "ext-json": "*"}),
        json!({"acme/core": "self.version", "lib-icu": ">=50"}),
        json!({"acme/b": "~1.2", "acme/a": "1.0 - 2.0", "acme/c": "dev-main#abc"}),
        json!([]),
        json!({"virtual": "1.0"}),
        json!({"acme/pay": "*"}),
        json!({"acme/core": "foo"}),
        json!({"acme/core": 1}),
        json!({"../x": "1.0"}),
        json!({"a/b#inline": "1.0"}),
        json!(["1.0"]),
        json!("x"),
        json!({"a/b": ""}),
    ];
    let mut candidates = vec![("conflict", links.clone()), ("require", links)];
    candidates.extend([
        ("replace", vec![json!({"acme/old": "self.version"}), json!({"acme/core": "*"})]),
        ("provide", vec![json!({"psr/log-implementation": "1.0.0"}), json!({"psr/log-implementation": null})]),
        ("require-dev", vec![json!({"phpunit/phpunit": "^9 || ^10"}), json!(true)]),
        ("suggest", vec![json!({"ext-gd": "for images", "acme/x": "self.version"}), json!({}), json!({"a": 1}), json!(["acme/x"])]),
        ("type", vec![json!("composer-plugin"), json!("Library"), json!("a_b"), json!(5)]),
        ("description", vec![json!("Takes payments"), json!("__unset"), json!("  "), json!(["x"])]),
        ("homepage", vec![json!("https://pay.example/"), json!("http://a.example:80/x?y"), json!("javascript:alert(1)"), json!(false)]),
        ("keywords", vec![json!(["b", "a", "Zahlung \u{fc}"]), json!([]), json!(["a!", "b"]), json!([1, 2.5]), json!([null]), json!("x")]),
        ("license", vec![json!("MIT"), json!(["MIT", "GPL-2.0-or-later"]), json!("proprietary"), json!([]), json!("(MIT or")]),
        ("time", vec![json!("2024-01-31"), json!("2024-01-31T10:20:30+00:00"), json!("rubbish"), json!(5)]),
        ("bin", vec![json!("bin/pay"), json!(["bin/a", "/bin/b"]), json!([]), json!("../../etc/shadow"), json!([1]), json!(true), json!({"x": "y"})]),
        ("extra", vec![
            json!({"branch-alias": {"dev-main": "1.2.x-dev"}, "x": {"y": [1, {}]}}),
            json!({"branch-alias": {"dev-main": "1.2", "1.x-dev": "2.x-dev", "dev-a": 5, "dev-b": "foo-dev"}}),
            json!({}),
            json!(["a"]),
            json!({"branch-alias": "x"}),
            json!("x"),
            json!({"branch-alias": null}),
        ]),
        ("autoload", vec![
            json!({"psr-4": {"Acme\\": "src/", "": ["lib/", "more/"]}, "files": ["f.php"], "classmap": ["old/"]}),
            json!({"psr-0": {"Acme_": "src/"}, "exclude-from-classmap": ["/Tests/"]}),
            json!({"psr-4": []}),
            json!({"psr-4": {"Acme": "src/"}}),
            json!({"psr-5": {}}),
            json!({"files": "f.php"}),
            json!({"psr-0": ["src/"]}),
            json!({"classmap": [["x"]]}),
        ]),
        ("autoload-dev", vec![json!({"psr-4": {"Acme\\Tests\\": "tests/"}}), json!({}), json!("x"), json!(7)]),
        ("include-path", vec![json!(["lib/"]), json!([]), json!("lib"), json!([1])]),
        ("target-dir", vec![json!("Acme/Pay"), json!(""), json!("../x"), json!(5)]),
        ("archive", vec![json!({"exclude": ["/tests"], "name": "pay"}), json!({}), json!("x"), json!({"name": 5}), json!({"exclude": "x"})]),
        ("scripts", vec![json!({"test": "phpunit", "all": ["a", "b"]}), json!({"a": null}), json!("x"), json!({"composer": "x"})]),
        ("authors", vec![
            json!([{"name": "A", "email": "a@b.example", "homepage": "https://a.example", "role": "x", "extra": 1}]),
            json!([{"email": "no address"}, {"name": "B", "homepage": "nowhere"}]),
            json!([{"name": 5}]),
            json!("A"),
            json!(["A"]),
            json!({}),
        ]),
        ("support", vec![
            json!({"issues": "https://a.example/i", "email": "a@b.example", "irc": "irc://irc.example/x", "source": "https://a.example"}),
            json!({"issues": "nowhere", "docs": "https://d.example", "other": 5}),
            json!({"email": "x"}),
            json!({"wiki": 5}),
            json!("x"),
        ]),
        ("funding", vec![json!([{"type": "x", "url": "https://a.example"}]), json!([{"url": "nowhere"}]), json!([{"url": 5}]), json!([5]), json!("x")]),
        ("abandoned", vec![json!(true), json!("acme/new"), json!(false), json!("see the web"), json!("0"), json!(5)]),
        ("php-ext", vec![json!({}), json!("x"), json!({"priority": "x"})]),
        ("version", vec![json!("1.2.0"), json!("1.2.0"), json!(1.2)]),
        ("dist", vec![json!({"type": "zip", "url": "https://evil.example/x.zip"}), json!("-x")]),
        ("minimum-stability", vec![json!("dev"), json!("rubbish")]),
    ]);
    candidates
}
