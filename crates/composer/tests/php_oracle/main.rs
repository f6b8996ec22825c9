//! Differential tests against Composer's own PHP code.
//!
//! `CARGOMAN_TEST_FULL=1` asks many more questions; `CARGOMAN_TEST_SEED` changes them. Where the installed library is
//! older than the rules we follow, the questions it cannot answer are left out; `oracle::Features` lists them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failing helper fails its test")]

mod generate;
mod manifests;
mod oracle;

use std::cmp::Ordering;

use cargoman_composer::constraint::Constraint;
use cargoman_composer::p2;
use cargoman_composer::stability::Stability;
use cargoman_composer::version::{
    Version, branch_alias, branch_version, compare, normalize, normalize_branch, parse_stability, tag_version,
};
use generate::Random;
use serde_json::{Map, Value, json};

const SEED: u64 = 0x00ca_460a_2026;

/// The generator of one test, and how many questions it asks.
fn start(name: &str, reduced: usize, full: usize) -> (Random, usize) {
    let seed = std::env::var("CARGOMAN_TEST_SEED").ok().map_or(SEED, |seed| seed.parse().expect("a decimal seed"));
    let count = if std::env::var_os("CARGOMAN_TEST_FULL").is_some_and(|full| full == "1") { full } else { reduced };
    println!("{name}: seed {seed}, {count} questions");
    (Random::new(seed), count)
}

/// Fails with the first few of the disagreements.
fn assert_none(disagreements: &[String], asked: usize) {
    let first: Vec<String> = disagreements.iter().take(8).map(|text| text.chars().take(1200).collect()).collect();
    let first = first.join("\n");
    assert!(disagreements.is_empty(), "{} of {asked} answers disagree, among them:\n{first}", disagreements.len());
}

#[test]
fn constraints_agree() {
    let (mut random, count) = start("constraints", 10_000, 60_000);
    let features = oracle::features();
    let readable = |text: &str| features.two_short_date_groups || !generate::has_two_short_date_groups(text);
    let questions: Vec<Value> = (0..count)
        .filter_map(|_| {
            let constraint = generate::constraint(&mut random);
            let versions = versions_for(&mut random, &constraint);
            readable(&constraint).then(|| json!({"ask": "constraint", "constraint": constraint, "versions": versions}))
        })
        .collect();
    let (mut disagreements, mut valid, mut matching, mut pairs) = (Vec::new(), 0, 0, 0);
    for (question, answer) in questions.iter().zip(oracle::ask(&questions)) {
        let text = question["constraint"].as_str().unwrap();
        let ours = Constraint::parse(text);
        valid += usize::from(ours.is_ok());
        if ours.is_ok() != answer["valid"].as_bool().unwrap() {
            disagreements.push(format!("{text:?}: ours {ours:?}, theirs valid: {}", answer["valid"]));
            continue;
        }
        let Ok(ours) = ours else { continue };
        for (version, theirs) in
            question["versions"].as_array().unwrap().iter().zip(answer["matches"].as_array().unwrap())
        {
            let matches = ours.matches(&Version::from_normalized(version.as_str().unwrap()));
            pairs += 1;
            matching += usize::from(matches);
            if json!(matches) != *theirs {
                disagreements.push(format!("{text:?} with {version}: ours {matches}, theirs {theirs}"));
            }
        }
    }
    println!("{} constraints, {valid} valid; {pairs} pairs with versions, {matching} match", questions.len());
    assert_none(&disagreements, pairs + questions.len());
    assert!(valid * 4 > questions.len() && valid * 4 < questions.len() * 3, "the generator is lopsided: {valid} valid");
    assert!(matching * 10 > pairs && matching * 10 < pairs * 9, "the generator is lopsided: {matching} match");
}

/// Normalized versions near the bounds of `constraint`, and some at random.
fn versions_for(random: &mut Random, constraint: &str) -> Vec<String> {
    let mut versions = Vec::new();
    for bound in generate::bounds_of(constraint).into_iter().take(4) {
        let near = [".0", ".1", "-dev", "-beta", "-patch1", "-RC2-dev", ".0.0.1", ".x-dev"];
        versions.push(format!("{bound}{}", random.pick(&near)));
        versions.push(bound);
    }
    while versions.len() < 12 {
        versions.push(generate::version(random));
    }
    // A text that is no version is matched as it is: the database may hold what an older rule accepted.
    versions.into_iter().map(|version| normalize(&version).unwrap_or(version)).collect()
}

#[test]
fn versions_agree() {
    let (mut random, count) = start("versions", 20_000, 100_000);
    let features = oracle::features();
    let texts = (0..count).map(|_| generate::version(&mut random));
    let texts = texts.filter(|text| features.two_short_date_groups || !generate::has_two_short_date_groups(text));
    let questions: Vec<Value> = texts.map(|text| json!({"ask": "version", "text": text})).collect();
    let (mut disagreements, mut valid) = (Vec::new(), 0);
    for (question, theirs) in questions.iter().zip(oracle::ask(&questions)) {
        let text = question["text"].as_str().unwrap();
        let version = Version::parse(text).ok();
        valid += usize::from(version.is_some());
        let ours = json!({
            "normalized": version.as_ref().map(Version::normalized),
            "stability": version.as_ref().map(Version::stability),
            "raw_stability": parse_stability(text),
            "branch": normalize_branch(text),
        });
        if ours != theirs {
            disagreements.push(format!("{text:?}: ours {ours}, theirs {theirs}"));
        }
    }
    println!("{} versions, {valid} valid", questions.len());
    assert_none(&disagreements, questions.len());
    assert!(
        valid * 4 > questions.len() && valid * 10 < questions.len() * 9,
        "the generator is lopsided: {valid} valid"
    );
}

#[test]
fn the_order_agrees() {
    let (mut random, count) = start("order", 20_000, 200_000);
    let text = |random: &mut Random| {
        let text = generate::version(random);
        if random.chance(70) { normalize(&text).unwrap_or(text) } else { text }
    };
    let questions: Vec<Value> =
        (0..count).map(|_| json!({"ask": "compare", "a": text(&mut random), "b": text(&mut random)})).collect();
    let mut disagreements = Vec::new();
    for (question, theirs) in questions.iter().zip(oracle::ask(&questions)) {
        let (a, b) = (question["a"].as_str().unwrap(), question["b"].as_str().unwrap());
        let ours = compare(a, b);
        if json!(ours as i8) != theirs["order"] {
            disagreements.push(format!("{a:?} {b:?}: ours {ours:?}, theirs {theirs}"));
        }
        // The total order may only differ where PHP does not order the two at all.
        let total = Version::from_normalized(a).cmp(&Version::from_normalized(b));
        let is_normal =
            |text: &str| normalize(text).is_ok_and(|normalized| normalized == text && !text.starts_with("dev-"));
        if is_normal(a) && is_normal(b) && ours != Ordering::Equal && total != ours {
            disagreements.push(format!("{a:?} {b:?}: total order {total:?}, PHP {ours:?}"));
        }
    }
    assert_none(&disagreements, questions.len());
}

#[test]
fn tags_and_branches_agree() {
    let (mut random, count) = start("references", 6_000, 40_000);
    let features = oracle::features();
    let readable = |name: &str| {
        (features.two_short_date_groups || !generate::has_two_short_date_groups(name))
            && (features.hash_in_branches || !name.contains('#'))
            // Git has no names with spaces or control characters.
            && !name.is_empty()
            && !name.contains(|c: char| c.is_whitespace() || c.is_control())
    };
    let mut questions = Vec::new();
    while questions.len() < count {
        let kind = random.pick(&["tag", "branch"]);
        let name = generate::version(&mut random);
        let name = if kind == "branch" { name.trim_start_matches("dev-").to_owned() } else { name };
        let name = if random.chance(5) { format!("release-{name}") } else { name };
        if readable(&name) {
            questions.push(json!({"ask": "reference", kind: name}));
        }
    }
    let (mut disagreements, mut found, mut refused) = (Vec::new(), 0, 0);
    for (question, answer) in questions.iter().zip(oracle::ask(&questions)) {
        let ours = match question["tag"].as_str() {
            Some(tag) => tag_version(tag).map(|tag| (tag.pretty, tag.version)).map_err(|error| error.to_string()),
            None => branch_version(question["branch"].as_str().unwrap())
                .map(|branch| (branch.pretty, branch.version))
                .map_err(|error| error.to_string()),
        };
        let theirs = answer["found"].get(0).cloned();
        match (&ours, theirs) {
            (Ok((pretty, version)), Some(theirs)) if json!([pretty, version]) == theirs => found += 1,
            (Err(_), None) => {}
            // Composer publishes what nobody can ask for; we do not.
            (Err(_), Some(theirs)) if !can_be_named(&theirs) => refused += 1,
            (ours, theirs) => disagreements.push(format!("{question}: ours {ours:?}, theirs {theirs:?}")),
        }
    }
    println!("{} references, {found} versions, {refused} refused only by us", questions.len());
    assert_none(&disagreements, questions.len());
    assert!(found * 4 > questions.len() && refused * 10 < questions.len());
}

fn can_be_named(theirs: &Value) -> bool {
    let (pretty, normalized) = (theirs[0].as_str().unwrap(), theirs[1].as_str().unwrap());
    let constraint = Constraint::parse(pretty);
    normalize(pretty).is_ok_and(|again| again == normalized)
        && constraint.is_ok_and(|constraint| constraint.matches(&Version::from_normalized(normalized)))
}

#[test]
fn branch_aliases_agree() {
    let (mut random, count) = start("aliases", 5_000, 30_000);
    let features = oracle::features();
    const PRETTY: &[&str] = &[
        "dev-main",
        "dev-Main",
        "1.x-dev",
        "v1.x-dev",
        "1.2.x-dev",
        "1.2-dev",
        "2.0.x-dev",
        "1.0.0",
        "dev-1.x",
        "DEV-main",
        "1.X-dev",
    ];
    const TARGETS: &[&str] = &[
        "1.x-dev",
        "1.2.x-dev",
        "1.2.3.x-dev",
        "2.x-dev",
        "2.0-dev",
        "1.0",
        "dev-main",
        "foo-dev",
        "9999999-dev",
        "-dev",
        "1.*-dev",
        "v1.x-dev",
        "12.x-dev",
        "foo-dev-dev",
        "1.2.x-DEV",
    ];
    let questions: Vec<Value> = (0..count)
        .map(|_| {
            let aliases: Map<String, Value> =
                (0..random.below(4)).map(|_| (random.pick(PRETTY).to_string(), json!(random.pick(TARGETS)))).collect();
            let extra = if random.chance(5) { json!({"branch-alias": "x"}) } else { json!({"branch-alias": aliases}) };
            json!({"ask": "alias", "version": random.pick(PRETTY), "extra": extra, "default-branch": random.chance(50)})
        })
        .filter(|question| features.v_in_default_branches || question["version"] != "v1.x-dev")
        .collect();
    let mut disagreements = Vec::new();
    for (question, theirs) in questions.iter().zip(oracle::ask(&questions)) {
        let pretty = question["version"].as_str().unwrap();
        let version = Version::parse(pretty).unwrap();
        let ours = branch_alias(&question["extra"], &version, pretty, question["default-branch"].as_bool().unwrap());
        if json!(ours) != theirs["alias"] {
            disagreements.push(format!("{question}: ours {ours:?}, theirs {theirs}"));
        }
    }
    assert_none(&disagreements, questions.len());
}

#[test]
fn minified_documents_agree() {
    let (mut random, count) = start("minify", 2_000, 100_000);
    let features = oracle::features();
    let questions: Vec<Value> = (0..count)
        .map(|_| {
            let versions: Vec<Map<String, Value>> =
                (0..random.below(6)).map(|_| manifests::version_like(&mut random, features.keeps_nulls)).collect();
            json!({"ask": "minify", "minified": p2::minify(&versions), "versions": versions})
        })
        .collect();
    let mut disagreements = Vec::new();
    for (question, theirs) in questions.iter().zip(oracle::ask(&questions)) {
        // Compared as text: the order of keys counts.
        let ours = manifests::php_view(&question["minified"]).to_string();
        let minified = theirs["minified"].to_string();
        if ours != minified {
            disagreements.push(format!("{}: ours {ours}, theirs {minified}", question["versions"]));
        }
        let expanded: Value = manifests::php_view(&question["versions"]);
        if sorted(&expanded) != sorted(&theirs["expanded"]) {
            disagreements.push(format!("{} expands to {}", question["minified"], theirs["expanded"]));
        }
    }
    assert_none(&disagreements, questions.len());
}

/// Expanding keeps values exactly but not the order of a version's own keys, which carries no meaning.
fn sorted(versions: &Value) -> Vec<Vec<(String, String)>> {
    let version = |version: &Value| {
        let map = version.as_object().cloned().unwrap_or_default();
        let mut pairs: Vec<(String, String)> = map.into_iter().map(|(key, value)| (key, value.to_string())).collect();
        pairs.sort();
        pairs
    };
    versions.as_array().unwrap().iter().map(version).collect()
}

#[test]
fn stabilities_are_spelled_as_in_composer() {
    let questions: Vec<Value> = ["1.0.0.0", "1.0.0.0-RC1", "1.0.0.0-beta1", "1.0.0.0-alpha1", "dev-x"]
        .iter()
        .map(|text| json!({"ask": "version", "text": text}))
        .collect();
    let theirs: Vec<Value> = oracle::ask(&questions).into_iter().map(|answer| answer["stability"].clone()).collect();
    assert_eq!(theirs, Stability::ALL.map(|stability| json!(stability)));
}
