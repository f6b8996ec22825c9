//! What a customer has no right to does not exist for him: not by status, headers, bytes or time, on no route (threats E-E4, E-E6,
//! E-E8, E-E9; licence rule 7).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test's own functions fail by panicking")]

use std::time::Instant;

use base64::Engine as _;
use cargoman_testkit::random::Random;
use cargoman_testkit::raw_http::{Connection, Response};
use cargoman_testkit::seed;
use cargoman_tests::package_files::composer_json;
use cargoman_tests::reader::without_date;
use cargoman_tests::{Customer, Operator, Reader, World};
use serde_json::{Value, json};

/// Nobody may read this who has no right to the package: it stands in its description, keywords and names of classes.
const CANARY: &str = "kingfisher";

/// Two vendors, one of which is exclusive; of each a package that the customer has, one that nobody gave him, one that only a
/// collection of somebody else holds, and one that is in such a collection by pattern.
struct Hidden {
    world: World,
    customer: Customer,
    /// Sees everything: so all of it is known to the edge.
    everyone: Customer,
    commits: Vec<(&'static str, String)>,
}

/// All of one length, so that lengths can be compared too.
const THERE: [&str; 6] = ["acme/secret", "acme/suited", "acme/family", "fork/secret", "fork/suited", "fork/family"];
const ABSENT: [&str; 2] = ["acme/absent", "fork/absent"];

impl Hidden {
    #[track_caller]
    fn start() -> Self {
        let world = World::start();
        let operator = world.operator();
        let mut commits = Vec::new();
        for name in ["acme/pay", "fork/pay"] {
            package(&world, name, "A package for everyone.");
        }
        for name in THERE {
            commits.push((name, package(&world, name, &format!("Private: {CANARY}."))));
        }
        operator.ask("PUT", "/vendors/fork", &json!({"exclusive": false}));
        let sets = [("suite", vec!["acme/suited", "fork/suited"]), ("families", vec!["acme/fam*", "fork/fam*"])];
        for (slug, packages) in &sets {
            operator.post("/collections", &json!({"name": slug, "slug": slug, "packages": packages}));
        }
        let customer = operator.customer("Nosy");
        let everyone = operator.customer("Everyone");
        for name in ["acme/pay", "fork/pay"] {
            operator.grant(&customer, &json!({"package": name, "minimum_stability": "dev"}));
        }
        for name in ["acme/secret", "fork/secret"] {
            operator.grant(&everyone, &json!({"package": name, "minimum_stability": "dev"}));
        }
        for (slug, _) in &sets {
            operator.grant(&everyone, &json!({"collection": slug, "minimum_stability": "dev"}));
        }
        let hidden = Self { customer, everyone, commits, world };
        hidden.warm();
        hidden
    }

    /// Whatever the edge remembers of a package, it does now.
    #[track_caller]
    fn warm(&self) {
        let all = self.world.reader(&self.everyone);
        for (name, commit) in &self.commits {
            assert_eq!(all.versions(name), ["dev-main", "v1.0.0"], "{name}");
            assert_eq!(all.get(&format!("/dist/{name}/1.0.0.0/{commit}.zip")).status, 200, "{name}");
        }
        let list = all.get("/list.json").json();
        assert_eq!(list["packageNames"].as_array().unwrap().len(), THERE.len(), "{list}");
    }

    fn nosy(&self) -> Reader {
        self.world.reader(&self.customer)
    }
}

/// A package with one release, added; gives its commit.
#[track_caller]
fn package(world: &World, name: &str, description: &str) -> String {
    // Not `world.repository`: two vendors have packages of the same short name.
    let file = format!("{}.git", name.replace('/', "-"));
    let repository = world.git.repository(&file);
    let more = json!({"description": description, "keywords": [description], "require": {"php": ">=7.2"}});
    repository.write("composer.json", composer_json(name, &more)).write("README.md", description);
    repository.write("src/Name.php", format!("<?php // {name}\n")).commit("First").tag("v1.0.0");
    world.operator().add(name, &world.git.url(&file));
    repository.head()
}

/// Every way to ask for the package `{}`.
fn routes(commit: &str) -> Vec<String> {
    let fixed = [
        "/p2/{}.json",
        "/p2/{}~dev.json",
        "/p2/{}.json?x=1",
        "/providers/{}.json",
        "/search.json?q={}&type=",
        "/search.json?q={}&type=library",
        "/list.json?filter={}",
        "/list.json?filter={}*",
        "/dist/{}/1.0.0.0/0000000000000000000000000000000000000000.zip",
        "/dist/{}/77.0.0.0/0000000000000000000000000000000000000000.zip",
    ];
    let mut all: Vec<String> = fixed.iter().map(|route| (*route).to_owned()).collect();
    for version in ["1.0.0.0", "dev-main", "1.0.0", "v1.0.0"] {
        all.push(format!("/dist/{{}}/{version}/{commit}.zip"));
    }
    all
}

/// An answer with the name taken out that was asked for. `Last-Modified` is drawn from path and bytes, both of which hold the name.
fn nameless(answer: Response, name: &str) -> Response {
    let mut answer = without_date(answer);
    if answer.status == 200 {
        answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("last-modified"));
    }
    if let Ok(body) = String::from_utf8(answer.body.clone()) {
        answer.body = body.replace(name, "NAME").into_bytes();
    }
    answer
}

/// E-E4: for every route, method and condition.
#[test]
fn absent_and_forbidden_are_the_same_bytes() {
    let hidden = Hidden::start();
    let operator = hidden.world.operator();
    let mut readers = vec![("all he has", hidden.nosy())];
    let path = format!("/customers/{}/tokens", hidden.customer.id);
    let narrow = operator.post(&path, &json!({"name": "narrow", "package_scopes": ["acme/pay"]}));
    readers.push(("narrow", Reader::new(hidden.world.registry.edge_url(), narrow["plain_token"].as_str().unwrap())));
    let nothing = operator.customer("Without grants");
    readers.push(("without grants", hidden.world.reader(&nothing)));
    let everyones = hidden.world.reader(&hidden.everyone);
    let mut compared = 0;
    for (who, reader) in &readers {
        for (name, commit) in &hidden.commits {
            let absent = if name.starts_with("acme/") { ABSENT[0] } else { ABSENT[1] };
            // What somebody else was told proves nothing.
            let validator = everyones.get(&format!("/p2/{name}.json")).header("last-modified").unwrap().to_owned();
            let conditions: [&[(&str, &str)]; 4] = [
                &[],
                &[("Accept-Encoding", "gzip")],
                &[("If-Modified-Since", &validator)],
                &[("Range", "bytes=0-9"), ("If-None-Match", "*")],
            ];
            for route in routes(commit) {
                for method in ["GET", "HEAD", "POST"] {
                    for headers in conditions {
                        let ask = |name: &str| nameless(reader.ask(method, &route.replace("{}", name), headers), name);
                        assert_eq!(ask(name), ask(absent), "{who}: {method} {route} {name} {headers:?}");
                        compared += 1;
                    }
                }
            }
        }
    }
    println!("{compared} pairs compared");
}

/// E-E6, E-E8: nothing of a hidden package stands in anything that he can get; and what he gets shows no source.
#[test]
fn no_private_name_reaches_whoever_has_no_right_to_it() {
    let hidden = Hidden::start();
    let operator = hidden.world.operator();
    let reader = hidden.nosy();
    let commits: Vec<&str> = hidden.commits.iter().map(|(_, commit)| commit.as_str()).collect();
    nothing_leaks(&reader, &commits, "at first");
    let names = |reader: &Reader| reader.get("/list.json").json()["packageNames"].clone();
    assert_eq!(names(&reader), json!(["acme/pay", "fork/pay"]));
    assert_eq!(reader.get("/packages.json").json()["available-packages"], json!(["fork/pay"]));

    // A collection of his own: what it holds he sees, and nothing else of its kind.
    operator.post("/collections", &json!({"name": "His", "slug": "his", "packages": ["acme/fam*"]}));
    operator.grant(&hidden.customer, &json!({"collection": "his"}));
    assert_eq!(names(&reader), json!(["acme/family", "acme/pay", "fork/pay"]));
    assert_eq!(reader.versions("acme/family"), ["v1.0.0"]);
    let others: Vec<&str> =
        hidden.commits.iter().filter(|(name, _)| *name != "acme/family").map(|(_, commit)| commit.as_str()).collect();
    for name in THERE.iter().filter(|name| **name != "acme/family") {
        assert!(!everything(&reader).contains(&format!("\"{name}\"")), "{name}");
    }
    assert!(others.iter().all(|commit| !everything(&reader).contains(commit)));
    // A package that comes to the pattern later is his at once, and leaves with it.
    package(&hidden.world, "acme/famous", "Not private.");
    assert_eq!(names(&reader), json!(["acme/family", "acme/famous", "acme/pay", "fork/pay"]));
    operator.ask("PATCH", "/collections/his", &json!({"packages": ["nobody/*"]}));
    assert_eq!(names(&reader), json!(["acme/pay", "fork/pay"]));
    nothing_leaks(&reader, &commits, "after a collection");

    nothing_of_the_inside(&operator, &reader);
}

/// Everything that one can get without knowing a name.
fn everything(reader: &Reader) -> String {
    let mut all = String::new();
    for route in [
        "/packages.json",
        "/list.json",
        "/list.json?vendor=acme",
        "/list.json?vendor=fork",
        "/list.json?filter=*",
        "/search.json?q=&type=",
        "/search.json?q=e&type=",
        &format!("/search.json?q={CANARY}&type="),
        "/search.json?q=secret&type=library",
        "/providers/psr/log.json",
        "/providers/acme/pay.json",
        "/p2/acme/pay.json",
        "/p2/acme/pay~dev.json",
        "/p2/fork/pay.json",
        "/p2/acme/nil.json",
        "/changes.json",
        "/",
        "/healthz",
        "/metrics",
        "/.git/config",
        "/api/v1/packages",
        "/api/v1/customers",
    ] {
        all.push_str(route);
        all.push_str(&String::from_utf8_lossy(&reader.get(route).body));
        all.push('\n');
    }
    all
}

#[track_caller]
fn nothing_leaks(reader: &Reader, commits: &[&str], when: &str) {
    let asked = format!("/search.json?q={CANARY}&type=");
    let all = everything(reader).replace(&asked, "").replace("/search.json?q=secret", "");
    for word in ["secret", "suited", "family", CANARY, "suite", "families"].iter().chain(commits) {
        assert!(!all.contains(word), "{when}: {word} stands in {all}");
    }
    // Nor in the refusals of those who know the names already.
    for commit in commits {
        for name in THERE {
            let path = format!("/dist/{name}/1.0.0.0/{commit}.zip");
            let answer = reader.get(&path);
            assert_eq!(answer.status, 404, "{when}: {path}");
            assert!(!String::from_utf8_lossy(&answer.body).contains(CANARY), "{when}: {path}");
        }
    }
}

/// Of his own packages: no source, no internal address, unless it is said to be shown.
#[track_caller]
fn nothing_of_the_inside(operator: &Operator<'_>, reader: &Reader) {
    let source = |reader: &Reader| reader.shown("acme/pay")[0].0.get("source").cloned();
    assert_eq!(source(reader), None);
    assert!(!everything(reader).contains(".git\""), "an address of a repository");
    for (path, body, shown) in [
        ("/settings", json!({"source": "show"}), true),
        ("/packages/acme/pay", json!({"source": "hide"}), false),
        ("/settings", json!({"source": "hide"}), false),
        ("/packages/acme/pay", json!({"source": "show"}), true),
        ("/packages/acme/pay", json!({"source": null}), false),
    ] {
        operator.ask("PATCH", path, &body);
        assert_eq!(source(reader).is_some(), shown, "{path} {body}");
    }
}

/// The first set one of customer, package, tenant.
#[test]
fn the_source_is_shown_to_whom_it_is_said() {
    let world = World::start();
    let operator = world.operator();
    world.small_package("acme/pay");
    let (open, plain) = (operator.customer_of(&["acme/pay"]), operator.customer_of(&["acme/pay"]));
    let source = |customer: &Customer| world.reader(customer).shown("acme/pay")[0].0.get("source").is_some();
    let set = |customer: &Customer, value: Value| {
        operator.ask("PATCH", &format!("/customers/{}", customer.id), &json!({"source": value}))
    };
    assert!(!source(&open) && !source(&plain));
    set(&open, json!("show"));
    assert!(source(&open) && !source(&plain), "equal rights, other bytes");
    operator.ask("PATCH", "/packages/acme/pay", &json!({"source": "show"}));
    set(&plain, json!("hide"));
    assert!(source(&open) && !source(&plain));
    set(&plain, Value::Null);
    assert!(source(&plain));
}

/// What is asked for in each round.
type Paths<'a> = &'a dyn Fn(usize) -> String;

/// Pairs of each measurement.
const PAIRS: usize = 3_000;
/// A measurement on a machine that does other things too may be repeated.
const TRIES: usize = 3;

/// E-E4: nor by time. A name that is there but not his, which the edge knows well, takes as long as one that is not there, asked
/// for again and again or for the first time. Where everything is equal the area under the curve is 0.5.
#[test]
fn absent_and_forbidden_take_the_same_time() {
    let hidden = Hidden::start();
    let address = hidden.world.registry.edge_address();
    let commit = &hidden.commits[0].1;
    let p2 = |name: &str| format!("/p2/{name}.json");
    let dist = |name: &str| format!("/dist/{name}/1.0.0.0/{commit}.zip");
    let fresh = |number: usize| format!("acme/a{number:05}");
    let mut random = Random::new(seed());
    let questions: [(&str, Paths<'_>, Paths<'_>); 5] = [
        ("p2, the same absent name", &|_| p2("acme/secret"), &|_| p2("acme/absent")),
        ("p2, a new absent name each time", &|_| p2("acme/secret"), &|number| p2(&fresh(number))),
        ("p2, a member of another's collection", &|_| p2("acme/family"), &|number| p2(&fresh(number))),
        ("p2 under a vendor that is not exclusive", &|_| p2("fork/secret"), &|_| p2("fork/absent")),
        ("dist, a new absent name each time", &|_| dist("acme/secret"), &|number| dist(&fresh(number))),
    ];
    for (what, there, absent) in questions {
        let mut areas = Vec::new();
        for _ in 0..TRIES {
            areas.push(measure(&address, &hidden.customer.token, &mut random, there, absent));
            if areas.last().is_some_and(|area| (0.40..=0.60).contains(area)) {
                break;
            }
        }
        println!("{what}: area under the curve {areas:.3?}");
        assert!((0.40..=0.60).contains(areas.last().unwrap()), "{what}: {areas:.3?}");
    }
}

/// The share of pairs in which what is there took longer than what is absent, ties half: 0.5 is no difference.
fn measure(address: &str, token: &str, random: &mut Random, there: Paths<'_>, absent: Paths<'_>) -> f64 {
    let mut connection = Connection::open(address);
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("token:{token}"));
    let mut timed = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {basic}\r\n\r\n");
        let start = Instant::now();
        connection.send(&request).response();
        start.elapsed()
    };
    // Whatever is slow at first is slow for both.
    for _ in 0..100 {
        timed(&there(0));
        timed(&absent(0));
    }
    let mut samples = Vec::with_capacity(2 * PAIRS);
    for _ in 0..PAIRS {
        // Interleaved in random order: what the machine does meanwhile hits both alike.
        let (first, number) = (random.below(2) == 0, random.below(100_000));
        for is_there in [first, !first] {
            samples.push((timed(&if is_there { there(number) } else { absent(number) }), is_there));
        }
    }
    area(samples)
}

/// Mann and Whitney's U over the number of pairs, with middle ranks for ties.
fn area<T: Ord>(mut samples: Vec<(T, bool)>) -> f64 {
    samples.sort_by(|left, right| left.0.cmp(&right.0));
    let (mut ranks, mut at) = (0.0, 0);
    while at < samples.len() {
        let ties = samples[at..].iter().take_while(|sample| sample.0 == samples[at].0).count();
        let of_class = samples[at..at + ties].iter().filter(|sample| sample.1).count();
        // Ranks count from 1.
        let middle = count(2 * at + ties + 1) / 2.0;
        ranks += middle * count(of_class);
        at += ties;
    }
    let class = samples.iter().filter(|sample| sample.1).count();
    (ranks - count(class * (class + 1)) / 2.0) / count(class * (samples.len() - class))
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("few"))
}

#[test]
fn the_area_is_a_half_where_nothing_differs() {
    assert!((area(vec![(1, true), (2, false), (3, false), (4, true)]) - 0.5).abs() < 1e-9);
    assert!((area(vec![(1, false), (1, true), (1, true), (1, false)]) - 0.5).abs() < 1e-9);
    assert!((area(vec![(1, false), (2, false), (3, true)]) - 1.0).abs() < 1e-9);
    assert!(area(vec![(1, true), (2, false), (3, false)]).abs() < 1e-9);
}
