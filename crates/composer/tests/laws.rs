//! What must hold for every text, checked with random ones, and how long hostile ones may take.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use cargoman_composer::constraint::{Constraint, MAX_CONSTRAINT_BYTES};
use cargoman_composer::json_lines::constraint_line;
use cargoman_composer::manifest::Manifest;
use cargoman_composer::name::{PackageName, VendorName, is_platform_package};
use cargoman_composer::p2;
use cargoman_composer::version::{
    Version, branch_version, compare, normalize, normalize_branch, parse_stability, tag_version,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Texts made of the bits that mean something, mixed with anything.
fn text() -> impl Strategy<Value = String> {
    let bit = prop_oneof![
        8 => prop::sample::select(vec![
            "1", "0", "2.3", ".", "-", "_", "+", "@", "#", "*", "x", "v", "dev", "dev-", "-dev", "RC", "beta", "a", "p", "stable", " ", "  ", ",",
            "|", "||", "<", ">", "=", "!", "~", "^", " - ", " as ", "as", "/", "\n", "\0", "\u{c}", "é", "9999999", "99999999999999999999",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(bit, 0..14).prop_map(|bits| bits.concat())
}

/// Versions with numbers and a suffix in their usual spelling.
fn plain_version() -> impl Strategy<Value = String> {
    let suffix = prop::sample::select(vec![
        "",
        "-dev",
        "-alpha1",
        "-beta",
        "-RC2",
        "-rc.1",
        "b5",
        "-p3",
        ".stable",
        "-alpha1-dev",
        "+meta",
    ]);
    (prop::collection::vec(0_u32..3000, 1..=4), suffix)
        .prop_map(|(numbers, suffix)| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(".") + suffix)
        .prop_filter("not a date", |text| {
            !text.starts_with(|c: char| c.is_ascii_digit()) || text.split('.').next().is_some_and(|n| n.len() < 4)
        })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_i64..3).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "1.0", "é"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn version_map() -> impl Strategy<Value = Map<String, Value>> {
    let key = prop::sample::select(vec!["name", "version", "require", "extra", "time", "bin"]).prop_map(str::to_owned);
    prop::collection::vec((key, value()), 0..7).prop_map(|pairs| pairs.into_iter().collect())
}

/// A fixed seed: a failure is the same on every machine.
fn settings() -> ProptestConfig {
    ProptestConfig {
        cases: 1500,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_260_822),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn nothing_panics(text in text(), other in text()) {
        let _ = (PackageName::parse_lowercasing(&text), VendorName::parse(&text), is_platform_package(&text));
        let _ = (normalize_branch(&text), parse_stability(&text), compare(&text, &other));
        let _ = (tag_version(&text), branch_version(&text), constraint_line(&text));
        let version = Version::parse(&text).unwrap_or_else(|_| Version::from_normalized(&text));
        if let Ok(constraint) = Constraint::parse(&other) {
            let _ = constraint.matches(&version);
            prop_assert_eq!(constraint.as_str(), other.as_str());
        }
        let question = json!({"constraint": other, "version": text}).to_string();
        let answer: Value = serde_json::from_str(&constraint_line(&question)).unwrap();
        prop_assert!(answer.get("error").is_some() != answer.get("matches").is_some());
    }

    #[test]
    fn no_manifest_panics(bytes in prop::collection::vec(any::<u8>(), 0..60), field in prop::sample::select(vec![
        "name", "require", "bin", "extra", "autoload", "authors", "keywords", "support", "license", "archive", "php-ext", "suggest", "time",
    ]), value in value(), text in text()) {
        let _ = Manifest::parse(&bytes);
        for value in [value.clone(), json!({text.as_str(): value}), json!([text])] {
            let _ = Manifest::parse(json!({field: value}).to_string().as_bytes());
        }
    }

    #[test]
    fn normalizing_again_changes_nothing(pretty in plain_version()) {
        let normalized = normalize(&pretty).unwrap();
        prop_assert_eq!(normalize(&normalized).unwrap(), normalized.clone());
        prop_assert_eq!(Version::parse(&pretty).unwrap(), Version::from_normalized(&normalized));
        prop_assert!(Constraint::parse(&pretty).unwrap().matches(&Version::from_normalized(&normalized)));
    }

    #[test]
    fn versions_are_totally_ordered(a in text(), b in text(), c in text()) {
        let [a, b, c] = [a, b, c].map(|text| Version::from_normalized(&normalize(&text).unwrap_or(text)));
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        let mut sorted = [&a, &b, &c];
        sorted.sort();
        prop_assert!(sorted[0] <= sorted[1] && sorted[1] <= sorted[2] && sorted[0] <= sorted[2]);
    }

    #[test]
    fn the_order_is_phps(a in plain_version(), b in plain_version()) {
        let (a, b) = (Version::parse(&a).unwrap(), Version::parse(&b).unwrap());
        let php = compare(a.normalized(), b.normalized());
        prop_assert_eq!(php, compare(b.normalized(), a.normalized()).reverse());
        prop_assert!(php == Ordering::Equal || php == a.cmp(&b));
    }

    #[test]
    fn published_versions_can_be_asked_for(name in text()) {
        let versions = [tag_version(&name).ok().map(|tag| (tag.pretty, tag.version)), branch_version(&name).ok().map(|branch| (branch.pretty, branch.version))];
        for (pretty, version) in versions.into_iter().flatten() {
            prop_assert_eq!(normalize(&pretty).unwrap(), version.normalized());
            prop_assert!(Constraint::parse(&pretty).unwrap().matches(&version));
        }
    }

    #[test]
    fn expanding_undoes_minifying(versions in prop::collection::vec(version_map(), 0..6)) {
        let minified = p2::minify(&versions);
        prop_assert_eq!(p2::expand(&minified), versions.clone());
        let name = PackageName::parse("acme/pay").unwrap();
        let document: Value = serde_json::from_slice(&p2::document(&name, &versions)).unwrap();
        let list: Vec<Map<String, Value>> = serde_json::from_value(document["packages"]["acme/pay"].clone()).unwrap();
        prop_assert_eq!(p2::expand(&list), versions);
    }
}

#[test]
fn hostile_texts_take_no_time() {
    let units = [
        "1", "a", ".1", "a1", "+", " ", " ,", "  ", "|", "||", "as ", "- ", "#", "@dev", "dev-", "-dev", "^1 ",
        "1.0 - ", "\n", "-", "x.", "é",
    ];
    let started = Instant::now();
    let mut slowest = (Duration::ZERO, String::new());
    for prefix in ["", "1", "dev-", "^1", ">=1.0 ", "1.0 as "] {
        for unit in units {
            let text: String = prefix.to_owned() + &unit.repeat((MAX_CONSTRAINT_BYTES - prefix.len()) / unit.len());
            let before = Instant::now();
            let _ = (Constraint::parse(&text), parse_stability(&text), compare(&text, &text), branch_version(&text));
            let _ = (tag_version(&text), Version::from_branch(&text), PackageName::parse(&text));
            slowest = slowest.max((before.elapsed(), format!("{prefix}{unit}…")));
        }
    }
    println!("{:?} in all, slowest {slowest:?}", started.elapsed());
    assert!(slowest.0 < Duration::from_secs(3), "{slowest:?}");
}

#[test]
fn hostile_manifests_take_little_time() {
    let fill = |start: &str, unit: &str, end: &str| {
        let count = ((1 << 20) - start.len() - end.len()) / unit.len();
        format!("{start}{}{end}", unit.repeat(count))
    };
    let keys: String = (0..100_000).map(|n| format!("\"{n}\":1,")).collect();
    for manifest in [
        fill("{\"extra\":[", "[],", "1]}"),
        fill("{\"keywords\":[", "\"a\",", "\"b\"]}"),
        fill("{\"description\":\"", "\\u00e9", "\"}"),
        fill("{\"homepage\":\"http://", "a", "\"}"),
        fill("{\"bin\":[", "\"a/../b\",", "\"c\"]}"),
        fill("{\"require\":{\"", "a", "\":\"*\"}}"),
        fill("{\"a\":", "[", ""),
        format!("{{\"extra\":{{{keys}\"x\":1}}}}"),
    ] {
        let before = Instant::now();
        let _ = Manifest::parse(manifest.as_bytes());
        assert!(before.elapsed() < Duration::from_secs(5), "{}…: {:?}", &manifest[..30], before.elapsed());
    }
}
