//! The packages: repositories in which several tags stand on one commit, branches go on, and some are forks of others; the last ones are
//! siblings in one repository. Added, synced, and then dated.

use cargoman_testkit::git::Repository;
use cargoman_testkit::random::Random;
use cargoman_tests::operator::texts;
use cargoman_tests::package_files::composer_json;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::model::{Package, PackageAt, Reference, Time, Version};
use crate::stage::Stage;
use crate::version::{Number, Stability};

/// Releases of each package, beside its two branches.
const RELEASES: usize = 8;
/// Packages of the monorepo, beside its own: every reference of it stands for one version of each of them.
const SIBLINGS: usize = 4;
const DAY: i64 = 86_400;
/// Of the first commit: 2020-09-13.
const FIRST: i64 = 1_600_000_000;
/// Everything drawn from the past lies within so many days after the first commit.
const DAYS: usize = 700;

/// An instant of the past, on a whole day, so that limits and dates of publication often meet exactly.
pub(crate) fn past(random: &mut Random) -> Time {
    at(FIRST + i64::try_from(random.below(DAYS)).expect("small") * DAY)
}

fn at(seconds: i64) -> Time {
    DateTime::from_timestamp(seconds, 0).expect("in range")
}

/// What a package is made from.
struct Plan {
    name: String,
    /// The package whose repository it is a fork of.
    fork: Option<PackageAt>,
    alias: Option<Number>,
    prefix: &'static str,
}

impl Stage<'_> {
    /// Adds `count` packages: the last fifth are forks, every seventh lies under a vendor that is not exclusive.
    pub(crate) fn publish(&mut self, count: usize) {
        for number in 0..count {
            let fork = (number >= count - count / 5).then(|| number - (count - count / 5));
            let vendor = if number % 7 == 6 { "open" } else { "acme" };
            let plan = Plan {
                name: format!("{vendor}/p{number:02}"),
                fork,
                alias: (self.random.below(2) == 0).then(|| Number::line(2)),
                prefix: if self.random.below(2) == 0 { "v" } else { "" },
            };
            let versions = self.repository(&plan);
            let package = Package { name: plan.name, exclusive: vendor == "acme", root: None, versions };
            self.model.packages.push(package);
        }
        self.siblings();
        self.add_all();
        self.operator.ask("PUT", "/vendors/open", &json!({"exclusive": false}));
        for package in 0..self.model.packages.len() {
            for _ in 0..self.random.below(3) {
                self.go_on(package, false);
            }
        }
        self.date_anew();
    }

    fn repository(&mut self, plan: &Plan) -> Vec<Version> {
        let repository = self.world.repository(&plan.name);
        let versions = match plan.fork {
            Some(original) => self.fork(plan, &repository, original),
            None => self.original(plan, &repository, &[]),
        };
        self.repositories.push(repository);
        versions
    }

    /// One repository with a package at its root and more of them below.
    fn siblings(&mut self) {
        let plans: Vec<Plan> = (0..=SIBLINGS)
            .map(|number| Plan {
                name: format!("acme/s{number}"),
                fork: None,
                alias: (self.random.below(2) == 0).then(|| Number::line(2)),
                prefix: "v",
            })
            .collect();
        let (plan, children) = plans.split_first().expect("a root");
        let repository = self.world.repository(&plan.name);
        let versions = self.original(plan, &repository, children);
        let head = versions.last().expect("main").references[0].clone();
        self.repositories.push(repository);
        let root = self.model.packages.len();
        for plan in &plans {
            let mut versions = versions.clone();
            versions.retain(|version| !version.main);
            versions.push(main(plan, head.commit.clone(), head.published));
            let root = (plan.name != plans[0].name).then_some(root);
            self.model.packages.push(Package { name: plan.name.clone(), exclusive: true, root, versions });
        }
    }

    fn original(&mut self, plan: &Plan, repository: &Repository, children: &[Plan]) -> Vec<Version> {
        let random = &mut self.random;
        let mut now = FIRST + i64::try_from(random.below(30)).expect("small") * DAY;
        let mut number = Number::release([1, 0, 0]);
        let mut versions = Vec::new();
        repository.write("composer.json", manifest(plan));
        for child in children {
            let folder = child.name.rsplit('/').next().expect("a name");
            repository.write(&format!("packages/{folder}/composer.json"), manifest(child));
            repository.write(&format!("packages/{folder}/Of.php"), format!("<?php // {}\n", child.name));
        }
        let commit = |release: usize, seconds: i64| {
            repository.write("src/Release.php", format!("<?php // {} {release}\n", plan.name));
            repository.date(u64::try_from(seconds).expect("after 1970")).commit("Work");
        };
        for release in 0..RELEASES {
            // Now and then several releases are one commit.
            if release == 0 || random.below(10) < 6 {
                now += i64::try_from(random.below(90)).expect("small") * DAY + DAY;
                commit(release, now);
            }
            let mut published = now;
            let tag = format!("{}{}", plan.prefix, number.pretty());
            if random.below(2) == 0 {
                published += DAY;
                repository.date(u64::try_from(published).expect("after 1970")).annotated_tag(&tag, "Release");
            } else {
                repository.tag(&tag);
            }
            versions.push(version(tag, number, repository.head(), at(published)));
            if release == RELEASES / 2 {
                repository.update_ref("refs/heads/1.x", "HEAD");
                versions.push(version("1.x-dev".to_owned(), Number::line(1), repository.head(), at(now)));
            }
            number = next(random, number);
        }
        if random.below(2) == 0 {
            now += DAY;
            commit(RELEASES, now);
        }
        versions.push(main(plan, repository.head(), at(now)));
        versions
    }

    /// The same tags on the same commits; only `main` goes on, under another name.
    fn fork(&mut self, plan: &Plan, repository: &Repository, original: PackageAt) -> Vec<Version> {
        let from = self.repositories[original].path().to_str().expect("a plain path").to_owned();
        repository.git(&["fetch", "--quiet", &from, "+refs/*:refs/*"]);
        let seconds = FIRST + i64::try_from(DAYS).expect("small") * DAY;
        repository.write("composer.json", manifest(plan)).date(u64::try_from(seconds).expect("after 1970"));
        repository.commit("Another name");
        let mut versions = self.first_seen(original);
        versions.retain(|version| !version.main);
        versions.push(main(plan, repository.head(), at(seconds)));
        versions
    }

    /// The versions of a package whose repository has not changed since it was made.
    fn first_seen(&self, package: PackageAt) -> Vec<Version> {
        self.model.packages[package].versions.clone()
    }

    fn add_all(&self) {
        let added: Vec<(Value, &Package)> = self
            .model
            .packages
            .iter()
            .enumerate()
            .filter(|(_, package)| package.root.is_none())
            .map(|(at, package)| {
                let mut body =
                    json!({"repository_url": self.world.repository_url(&package.name), "name": package.name});
                if self.model.packages.iter().any(|other| other.root == Some(at)) {
                    body["monorepo"] = json!("packages/*");
                }
                (self.operator.post("/packages", &body), package)
            })
            .collect();
        for (answer, package) in added {
            let task = self.operator.finished(answer["task"].as_str().expect("the first sync"));
            assert_eq!(task["state"], "succeeded", "{task:#}");
            let added = self.operator.versions(&package.name).len();
            assert_eq!(added, package.versions.len(), "{}: {task:#}", package.name);
        }
        for child in self.model.packages.iter().filter(|package| package.root.is_some()) {
            assert_eq!(self.operator.versions(&child.name).len(), child.versions.len(), "{}", child.name);
        }
    }

    /// A branch goes on, and with `release` there is a release more; then a sync, which sees all that for the first time.
    pub(crate) fn go_on(&mut self, package: PackageAt, release: bool) {
        let root = self.model.packages[package].root.unwrap_or(package);
        let repository = &self.repositories[root];
        let main = self.random.below(4) > 0;
        let branch = if main { "main" } else { "1.x" };
        repository.checkout(branch).write("src/Next.php", format!("<?php // {}\n", self.random.draw()));
        repository.date(u64::try_from(Utc::now().timestamp()).expect("after 1970")).commit("Further");
        let commit = repository.head();
        let number = Number::release([9, 0, u32::try_from(self.model.packages[root].versions.len()).expect("small")]);
        if release {
            repository.tag(&number.pretty());
        }
        let result = self.operator.sync(&self.model.packages[root].name);
        // Between the sync and whatever comes next.
        let published = Utc::now();
        let all = self.model.packages.iter_mut().enumerate();
        let concerned = all.filter(|(at, one)| *at == root || one.root == Some(root)).map(|(_, one)| one);
        let mut count = 0;
        for Package { versions, .. } in concerned {
            let moved = versions.iter_mut().find(|version| version.stability == Stability::Dev && version.main == main);
            moved.expect("both branches are there").references.push(Reference { commit: commit.clone(), published });
            if release {
                versions.push(version(number.pretty(), number, commit.clone(), published));
            }
            count += 1;
        }
        assert_eq!(texts(&result["updated"]).len(), count, "{result:#}");
    }

    /// Two in five references get another date, the earlier ones of branches too.
    fn date_anew(&mut self) {
        for package in 0..self.model.packages.len() {
            for version in 0..self.model.packages[package].versions.len() {
                for reference in 0..self.model.packages[package].versions[version].references.len() {
                    if self.random.below(5) < 2 {
                        let date = past(&mut self.random);
                        self.set_published(package, version, reference, date);
                    }
                }
            }
        }
    }
}

fn manifest(plan: &Plan) -> String {
    let alias = plan.alias.map(|alias| json!({"extra": {"branch-alias": {"dev-main": alias.pretty()}}}));
    composer_json(&plan.name, &alias.unwrap_or_else(|| json!({})))
}

fn version(pretty: String, number: Number, commit: String, published: Time) -> Version {
    Version {
        pretty,
        normalized: number.normalized(),
        number: Some(number),
        main: false,
        stability: number.stability,
        yanked: false,
        taken_down: false,
        references: vec![Reference { commit, published }],
    }
}

fn main(plan: &Plan, commit: String, published: Time) -> Version {
    Version {
        normalized: "dev-main".to_owned(),
        number: plan.alias,
        main: true,
        ..version("dev-main".to_owned(), Number::line(1), commit, published)
    }
}

/// The release after one: the next patch or minor one, or the way to the next major one.
fn next(random: &mut Random, number: Number) -> Number {
    let [major, minor, patch] = number.parts;
    let pre = |parts, stability, step| Number { parts, stability, step };
    match (number.stability, random.below(6)) {
        (Stability::Stable, 0 | 1) => Number::release([major, minor, patch + 1]),
        (Stability::Stable, 2 | 3) => Number::release([major, minor + 1, 0]),
        (Stability::Stable, 4) => pre([major + 1, 0, 0], Stability::Alpha, 1),
        (Stability::Stable, _) => pre([major + 1, 0, 0], Stability::Beta, 1),
        (Stability::Alpha, 0..=2) => pre(number.parts, Stability::Beta, 1),
        (Stability::Beta, 0) => pre(number.parts, Stability::Beta, number.step + 1),
        (Stability::Beta, 1 | 2) => pre(number.parts, Stability::Rc, 1),
        _ => Number::release(number.parts),
    }
}

/// A moment a little before another.
pub(crate) fn just_before(time: Time) -> Time {
    time - TimeDelta::seconds(1)
}
