//! Asking the real edge, and comparing what it says.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use cargoman_testkit::random::Random;
use cargoman_testkit::raw_http::{Connection, Response};
use cargoman_tests::reader::expand;
use chrono::Utc;
use serde_json::Value;

use crate::model::{Customer, Grant, Model, Package, Policy, Target, Token, Version};
use crate::oracle::{Asker, Expected, Question};

/// Clients at once: the edge reads facts for many requests together.
const CLIENTS: u64 = 16;
/// As many differences are reported.
const REPORTED: usize = 10;
/// Requests on one connection, after which a new one is opened.
const KEPT: usize = 2_000;

/// One client with a connection that it keeps.
pub(crate) struct Client {
    address: String,
    connection: Connection,
    used: usize,
    /// Answers that said to come back later.
    pub(crate) busy: usize,
    /// What the versions in bodies already read are: equal rights share their bytes.
    read: HashMap<Vec<u8>, BTreeSet<(String, String)>>,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let connection = Connection::open(address);
        Self { address: address.to_owned(), connection, used: 0, busy: 0, read: HashMap::new() }
    }

    /// Asks again where the answer is 503, as Composer does: a loaded machine is busy, not wrong.
    fn send(&mut self, token: &str, method: &str, path: &str) -> Response {
        for _ in 0..3 {
            let answer = self.send_once(token, method, path);
            if answer.status != 503 {
                return answer;
            }
            self.busy += 1;
        }
        self.send_once(token, method, path)
    }

    fn send_once(&mut self, token: &str, method: &str, path: &str) -> Response {
        if self.used == KEPT {
            (self.connection, self.used) = (Connection::open(&self.address), 0);
        }
        self.used += 1;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("token:{token}"));
        let host = &self.address;
        self.connection
            .send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {basic}\r\n\r\n"));
        self.connection.response_to(method)
    }

    /// Asks and compares; what is wrong, if anything.
    pub(crate) fn check(&mut self, asker: &Asker<'_>, question: &Question, whole: bool) -> Result<(), String> {
        let expected = asker.expects(question);
        let (method, path) = match question {
            Question::List => ("GET", "/list.json".to_owned()),
            Question::Metadata { name, dev } => ("GET", format!("/p2/{name}{}.json", if *dev { "~dev" } else { "" })),
            Question::Dist { name, version, reference } => {
                (if whole { "GET" } else { "HEAD" }, format!("/dist/{name}/{version}/{reference}.zip"))
            }
        };
        let answer = self.send(&asker.token.plain, method, &path);
        let found = self.found(&answer, question)?;
        let right = match &expected {
            Expected::NothingOr403 => found == Expected::Status(403) || found == Expected::Versions(BTreeSet::new()),
            expected => found == *expected,
        };
        if right { Ok(()) } else { Err(explain(asker, &path, &expected, &found, &answer)) }
    }

    fn found(&mut self, answer: &Response, question: &Question) -> Result<Expected, String> {
        Ok(match question {
            Question::Metadata { name, .. } if answer.status == 200 => Expected::Versions(self.versions(answer, name)?),
            Question::List if answer.status == 200 => {
                let names = answer.json()["packageNames"].as_array().cloned().unwrap_or_default();
                Expected::Names(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => Expected::Status(answer.status),
        })
    }

    fn versions(&mut self, answer: &Response, name: &str) -> Result<BTreeSet<(String, String)>, String> {
        if let Some(known) = self.read.get(&answer.body) {
            return Ok(known.clone());
        }
        let document = answer.json();
        let list = document["packages"][name].as_array().ok_or(format!("no list of {name}: {document}"))?;
        let mut versions = BTreeSet::new();
        for shown in expand(list) {
            let version = (shown.text("/version_normalized"), shown.text("/dist/reference"));
            let url = shown.text("/dist/url");
            if !url.ends_with(&format!("/dist/{name}/{}/{}.zip", version.0, version.1))
                || shown.0.contains_key("source")
            {
                return Err(format!("not how a version looks: {shown:?}"));
            }
            if !versions.insert(version) {
                return Err(format!("twice in one file: {shown:?}"));
            }
        }
        self.read.insert(answer.body.clone(), versions.clone());
        Ok(versions)
    }
}

/// What differs on the first lines, all that it may depend on below.
fn explain(asker: &Asker<'_>, path: &str, expected: &Expected, found: &Expected, answer: &Response) -> String {
    let Customer { id, minimum, suspended, expires, frozen, grants, .. } = asker.customer;
    let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(300)]).into_owned();
    let mut text = format!("{path}\n expected {expected:?}\n found    {found:?} {body:?}\n");
    let frozen = frozen.as_ref().map(|freeze| freeze.since);
    let Policy { minimum: tenants, suspended: left_suspended, expired: left_expired } = asker.model.policy;
    text += &format!(" {id}: minimum {minimum:?}, suspended {suspended:?}, expires {expires:?}, frozen {frozen:?}\n");
    text += &format!(" tenant: minimum {tenants:?}, suspended {left_suspended:?}, expired {left_expired:?}\n");
    text += &format!(" {:?}\n", asker.token);
    let package = asker.model.packages.iter().enumerate().find(|(_, one)| path.contains(&format!("/{}", one.name)));
    for grant in grants {
        let Grant { constraint, minimum, until, suspended, target, .. } = grant;
        let on = match target {
            Target::Package(at) if package.is_some_and(|(package, _)| package != *at) => continue,
            Target::Package(_) => "it".to_owned(),
            Target::Collection(at) => format!("{:?}", asker.model.collections[*at]),
        };
        text += &format!(" {constraint:?} {minimum:?} until {until:?} suspended {suspended:?} on {on}\n");
    }
    for version in package.iter().flat_map(|(_, package)| &package.versions) {
        text += &format!(" {version:?}\n");
    }
    text
}
/// Asks `count` random questions through several connections at once; panics with the first differences.
#[track_caller]
pub(crate) fn ask_many(address: &str, model: &Model, seed: u64, count: usize) {
    let (wrong, asked, busy) = (Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..CLIENTS {
            let (wrong, asked, busy) = (&wrong, &asked, &busy);
            scope.spawn(move || {
                let mut random = Random::new(seed ^ (thread + 1));
                let mut client = Client::new(address);
                while asked.fetch_add(1, Ordering::Relaxed) < count {
                    let customer = random.pick(&model.customers);
                    let token = random.pick(&customer.tokens);
                    let question = draw_question(&mut random, model, customer);
                    let asker = Asker { model, customer, token, now: Utc::now() };
                    let whole = random.below(20) == 0;
                    if let Err(difference) = client.check(&asker, &question, whole) {
                        let mut wrong = wrong.lock().expect("nobody panics with it");
                        wrong.push(difference);
                        if wrong.len() >= REPORTED {
                            return;
                        }
                    }
                }
                busy.fetch_add(client.busy, Ordering::Relaxed);
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panics with it");
    let busy = busy.into_inner();
    assert!(busy * 1000 <= count, "{busy} of {count} answers were 503");
    let Some(first) = wrong.first() else { return };
    let more: Vec<String> = wrong[1..].iter().map(|one| one.lines().take(3).collect::<Vec<_>>().join("\n")).collect();
    panic!("{} answers differ from the rules:\n{first}\nand\n{}", wrong.len(), more.join("\n"));
}

/// Mostly about what he has something of.
fn draw_question(random: &mut Random, model: &Model, customer: &Customer) -> Question {
    if random.below(100) == 0 {
        return Question::List;
    }
    let granted = if customer.grants.is_empty() { None } else { Some(random.pick(&customer.grants).target) };
    let package = match granted {
        Some(Target::Package(at)) if random.below(3) > 0 => &model.packages[at],
        _ => random.pick(&model.packages),
    };
    if random.below(30) == 0 {
        return about_nothing(random, package);
    }
    if random.below(3) == 0 {
        return Question::Metadata { name: package.name.clone(), dev: random.below(2) == 0 };
    }
    dist(random, model, package)
}

/// A version with one of its references, or with one that is behind something else.
fn dist(random: &mut Random, model: &Model, package: &Package) -> Question {
    let version = random.pick(&package.versions);
    let commit_of = |random: &mut Random, version: &Version| random.pick(&version.references).commit.clone();
    let reference = match random.below(8) {
        0 => {
            let other = random.pick(&package.versions);
            commit_of(random, other)
        }
        1 => {
            let elsewhere = random.pick(&model.packages);
            let other = random.pick(&elsewhere.versions);
            commit_of(random, other)
        }
        _ => commit_of(random, version),
    };
    Question::Dist { name: package.name.clone(), version: version.normalized.clone(), reference }
}

fn about_nothing(random: &mut Random, package: &Package) -> Question {
    let name = (*random.pick(&["acme/nil", "open/nil", "other/p00"])).to_owned();
    let reference = package.versions[0].head().commit.clone();
    match random.below(4) {
        0 => Question::Metadata { name, dev: random.below(2) == 0 },
        1 => Question::Dist { name, version: "1.0.0.0".to_owned(), reference },
        2 => Question::Dist { name: package.name.clone(), version: "77.0.0.0".to_owned(), reference },
        _ => Question::Dist { name: package.name.clone(), version: "1.0.0.0".to_owned(), reference: "0".repeat(40) },
    }
}

/// Everything that one token can ask about one package.
pub(crate) fn all_about(package: &Package) -> Vec<Question> {
    let name = &package.name;
    let mut all: Vec<Question> =
        [false, true].into_iter().map(|dev| Question::Metadata { name: name.clone(), dev }).collect();
    for version in &package.versions {
        for reference in &version.references {
            let (version, reference) = (version.normalized.clone(), reference.commit.clone());
            all.push(Question::Dist { name: name.clone(), version, reference });
        }
    }
    all
}

/// All of a customer's tokens; the first one sees all that he has.
pub(crate) fn first_token(customer: &Customer) -> &Token {
    &customer.tokens[0]
}
