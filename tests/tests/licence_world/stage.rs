//! The registry with its model beside it: each hand on one is a hand on the other.

use cargoman_testkit::git::Repository;
use cargoman_testkit::random::Random;
use cargoman_tests::operator::text;
use cargoman_tests::{Operator, World};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::model::{
    Collection, Customer, Freeze, Grant, Left, Model, PackageAt, Pairs, Policy, Target, Time, Token, VersionAt,
};
use crate::oracle::Asker;
use crate::version::{Constraint, Stability};

/// What all hands need.
pub(crate) struct Stage<'a> {
    pub(crate) world: &'a World,
    pub(crate) operator: Operator<'a>,
    pub(crate) model: Model,
    /// In the order of the model's packages, but for those that lie in another's.
    pub(crate) repositories: Vec<Repository>,
    pub(crate) random: Random,
}

/// RFC 3339 in UTC, with as many digits as it takes.
pub(crate) fn written(time: Time) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[track_caller]
fn read(value: &Value) -> Time {
    DateTime::parse_from_rfc3339(&text(value)).expect("RFC 3339").to_utc()
}

impl Stage<'_> {
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.operator.ask(
            "PATCH",
            "/settings",
            &json!({
                "minimum_stability": policy.minimum.map(Stability::word),
                "lapsed": {"suspended": policy.suspended.word(), "expired": policy.expired.word()},
            }),
        );
        self.model.policy = policy;
    }

    /// Adds a collection, or changes the one of that name.
    pub(crate) fn put_collection(&mut self, collection: Collection) {
        let mut body = json!({
            "packages": collection.packages,
            "constraint": collection.constraint.as_ref().map(Constraint::text),
            "minimum_stability": collection.minimum.map(Stability::word),
        });
        let slug = &collection.slug;
        match self.model.collections.iter().position(|known| known.slug == *slug) {
            Some(at) => {
                self.operator.ask("PATCH", &format!("/collections/{slug}"), &body);
                self.model.collections[at] = collection;
            }
            None => {
                body["slug"] = json!(slug);
                body["name"] = json!(format!("Collection {slug}"));
                self.operator.post("/collections", &body);
                self.model.collections.push(collection);
            }
        }
    }

    /// `id` of the grant is filled in here.
    pub(crate) fn add_grant(&mut self, customer: usize, mut grant: Grant) {
        let body = self.grant_body(&grant);
        let customer = &mut self.model.customers[customer];
        grant.id = text(&self.operator.post(&format!("/customers/{}/packages", customer.id), &body)["id"]);
        // The same grant again is no further one.
        if customer.grants.iter().all(|known| known.id != grant.id) {
            customer.grants.push(grant);
        }
    }

    /// Changes everything but what it is on.
    pub(crate) fn change_grant(&mut self, customer: usize, at: usize, grant: Grant) {
        let mut body = self.grant_body(&grant);
        for fixed in ["package", "collection"] {
            body.as_object_mut().expect("an object").remove(fixed);
        }
        self.operator.ask("PATCH", &self.grant_path(customer, at, ""), &body);
        self.model.customers[customer].grants[at] = grant;
    }

    pub(crate) fn remove_grant(&mut self, customer: usize, at: usize) {
        self.operator.ask("DELETE", &self.grant_path(customer, at, ""), &Value::Null);
        self.model.customers[customer].grants.remove(at);
    }

    pub(crate) fn suspend_grant(&mut self, customer: usize, at: usize) {
        let answer = self.operator.post(&self.grant_path(customer, at, "/suspend"), &json!({"reason": "unpaid"}));
        assert_eq!(answer["status"], "suspended", "{answer}");
        self.model.customers[customer].grants[at].suspended = Some(read(&answer["suspended_at"]));
    }

    pub(crate) fn reactivate_grant(&mut self, customer: usize, at: usize) {
        let answer = self.operator.post(&self.grant_path(customer, at, "/reactivate"), &json!({}));
        assert_eq!(answer["status"], "active", "{answer}");
        self.model.customers[customer].grants[at].suspended = None;
    }

    pub(crate) fn suspend(&mut self, customer: usize) {
        let answer = self.operator.post(&self.customer_path(customer, "/suspend"), &json!({"reason": "unpaid"}));
        let at = read(&answer["suspended_at"]);
        let known = self.model.customers[customer].suspended.get_or_insert(at);
        assert_eq!(*known, at, "suspending again keeps the first instant: {answer}");
    }

    pub(crate) fn expire(&mut self, customer: usize) {
        let answer = self.operator.post(&self.customer_path(customer, "/expire"), &json!({}));
        self.model.customers[customer].expires = Some(read(&answer["expires_at"]));
    }

    /// Any end of his time, past ones too.
    pub(crate) fn set_end(&mut self, customer: usize, at: Option<Time>) {
        self.operator.ask("PATCH", &self.customer_path(customer, ""), &json!({"expires_at": at.map(written)}));
        self.model.customers[customer].expires = at;
    }

    /// Lifts the topmost of his states.
    pub(crate) fn reactivate(&mut self, customer: usize) {
        self.operator.post(&self.customer_path(customer, "/reactivate"), &json!({}));
        let customer = &mut self.model.customers[customer];
        let now = Utc::now();
        if customer.suspended.take().is_some() {
        } else if customer.expires.is_some_and(|at| at <= now) {
            customer.expires = None;
        } else {
            customer.frozen = None;
        }
    }

    /// Freezes at all that he sees now, or at some of it. He must be neither suspended nor expired.
    pub(crate) fn freeze(&mut self, customer: usize, some: bool) {
        let (visible, installable) = self.within_reach(customer);
        let mut versions = if some { visible } else { installable };
        let mut body = json!({});
        if some {
            versions.retain(|_| self.random.below(2) == 0);
            body["versions"] = versions
                .iter()
                .map(|(package, version)| {
                    let package = &self.model.packages[*package];
                    let version = &package.versions[*version];
                    let written = if self.random.below(2) == 0 { &version.pretty } else { &version.normalized };
                    json!({"package": package.name, "version": written})
                })
                .collect();
        }
        let answer = self.operator.post(&self.customer_path(customer, "/freeze"), &body);
        assert_eq!(answer["frozen_versions"], json!(versions.len()), "{answer}");
        let since = read(&answer["frozen_at"]);
        self.model.customers[customer].frozen = Some(Freeze { since, versions });
    }

    /// Everything visible; and everything visible or installable, whatever reference of it.
    fn within_reach(&self, customer: usize) -> (Pairs, Pairs) {
        let customer = &self.model.customers[customer];
        let token = Token::of_all();
        let asker = Asker { model: &self.model, customer, token: &token, now: Utc::now() };
        let (mut visible, mut reach) = (Pairs::new(), Pairs::new());
        for (at, package) in self.model.packages.iter().enumerate() {
            for (number, version) in package.versions.iter().enumerate() {
                let seen = asker.visible(at, number);
                if seen {
                    visible.insert((at, number));
                }
                if seen || version.references.iter().any(|one| asker.installable(at, version, one)) {
                    reach.insert((at, number));
                }
            }
        }
        (visible, reach)
    }

    pub(crate) fn set_yanked(&mut self, package: PackageAt, version: VersionAt, yanked: bool) {
        self.on_version(package, version, if yanked { "yank" } else { "unyank" }, &Value::Null);
        self.model.packages[package].versions[version].yanked = yanked;
    }

    pub(crate) fn set_taken_down(&mut self, package: PackageAt, version: VersionAt, down: bool) {
        let (word, body) = if down { ("takedown", json!({"reason": "malware"})) } else { ("untakedown", json!({})) };
        self.on_version(package, version, word, &body);
        self.model.packages[package].versions[version].taken_down = down;
    }

    fn on_version(&self, package: PackageAt, version: VersionAt, word: &str, body: &Value) {
        let package = &self.model.packages[package];
        self.operator.post(&format!("/packages/{}/{word}/{}", package.name, package.versions[version].pretty), body);
    }

    /// Corrects when a reference was published.
    pub(crate) fn set_published(&mut self, package: PackageAt, version: VersionAt, reference: usize, at: Time) {
        let found = &self.model.packages[package];
        let version_found = &found.versions[version];
        let path = format!("/packages/{}/versions/{}", found.name, version_found.normalized);
        let mut body = json!({"published_at": written(at), "reason": "the tests say so"});
        if reference + 1 < version_found.references.len() {
            body["reference"] = json!(version_found.references[reference].commit);
        }
        self.operator.ask("PATCH", &path, &body);
        self.model.packages[package].versions[version].references[reference].published = at;
    }

    fn grant_body(&self, grant: &Grant) -> Value {
        let mut body = json!({
            "constraint": grant.constraint.text(),
            "minimum_stability": grant.minimum.map(Stability::word),
            "updates_until": grant.until.map(written),
        });
        match grant.target {
            Target::Package(at) => body["package"] = json!(self.model.packages[at].name),
            Target::Collection(at) => body["collection"] = json!(self.model.collections[at].slug),
        }
        body
    }

    fn customer_path(&self, customer: usize, action: &str) -> String {
        format!("/customers/{}{action}", self.model.customers[customer].id)
    }

    fn grant_path(&self, customer: usize, at: usize, action: &str) -> String {
        let customer: &Customer = &self.model.customers[customer];
        format!("/customers/{}/grants/{}{action}", customer.id, customer.grants[at].id)
    }
}

/// Every pair of choices for suspended and expired customers.
pub(crate) fn policies() -> impl Iterator<Item = (Left, Left)> {
    Left::ALL.into_iter().flat_map(|suspended| Left::ALL.into_iter().map(move |expired| (suspended, expired)))
}
