//! The collections and customers: grants of every kind, tokens of every kind, states of every kind.

use std::time::Duration;

use cargoman_testkit::deadline::poll_until;
use cargoman_tests::operator::text;
use chrono::{TimeDelta, Utc};
use serde_json::json;

use crate::model::{Collection, Customer, Grant, Target, Token};
use crate::publish::{just_before, past};
use crate::stage::{Stage, written};
use crate::version::{Constraint, Number, Stability};

impl Stage<'_> {
    pub(crate) fn collect(&mut self, count: usize) {
        for number in 0..count {
            let collection = self.draw_collection(format!("set-{number}"));
            self.put_collection(collection);
        }
    }

    /// By pattern, by names, or both; half of them with a limit of their own.
    pub(crate) fn draw_collection(&mut self, slug: String) -> Collection {
        let patterns = ["acme/*", "acme/p1*", "acme/p2*", "open/*", "acme/p0*", "nobody/*", "open/p1*"];
        let mut packages = Vec::new();
        if self.random.below(3) > 0 {
            packages.push((*self.random.pick(&patterns)).to_owned());
        }
        for _ in 0..self.random.below(6) + usize::from(packages.is_empty()) {
            let name = self.random.pick(&self.model.packages).name.clone();
            if !packages.contains(&name) {
                packages.push(name);
            }
        }
        let constraint = (self.random.below(3) == 0).then(|| self.draw_constraint());
        let minimum = if self.random.below(3) == 0 { self.draw_stability() } else { None };
        Collection { slug, packages, constraint, minimum }
    }

    pub(crate) fn draw_constraint(&mut self) -> Constraint {
        let versions = &self.random.pick(&self.model.packages).versions;
        let numbers: Vec<Number> = versions.iter().filter(|one| !one.main).filter_map(|one| one.number).collect();
        Constraint::draw(&mut self.random, &numbers)
    }

    pub(crate) fn draw_stability(&mut self) -> Option<Stability> {
        if self.random.below(3) == 0 { None } else { Some(*self.random.pick(&Stability::ALL)) }
    }

    pub(crate) fn draw_grant(&mut self) -> Grant {
        let target = if self.random.below(3) == 0 {
            Target::Collection(self.random.below(self.model.collections.len()))
        } else {
            Target::Package(self.random.below(self.model.packages.len()))
        };
        let until = match self.random.below(4) {
            0 | 1 => None,
            2 => Some(past(&mut self.random)),
            _ => Some(just_before(past(&mut self.random))),
        };
        Grant {
            id: String::new(),
            target,
            constraint: self.draw_constraint(),
            minimum: self.draw_stability(),
            until,
            suspended: None,
        }
    }

    pub(crate) fn admit(&mut self, count: usize) {
        for number in 0..count {
            self.customer(number);
            for _ in 0..1 + self.random.below(5) {
                let grant = self.draw_grant();
                self.add_grant(number, grant);
            }
            // Several grants on one package are a union.
            let (first, again) = (self.model.customers[number].grants[0].target, self.draw_grant());
            self.add_grant(number, Grant { target: first, ..again });
            self.put_into_state(number);
        }
        self.brief_tokens_end();
    }

    /// An answer at the very instant of an end could be either.
    fn brief_tokens_end(&self) {
        let last = self.model.customers.iter().flat_map(|one| &one.tokens).filter_map(|token| token.expires).max();
        poll_until("the end of the last brief token", Duration::from_secs(30), || {
            last.is_none_or(|last| last < Utc::now()).then_some(())
        });
    }

    fn customer(&mut self, number: usize) {
        let minimum = if number.is_multiple_of(4) { self.draw_stability() } else { None };
        let body = json!({
            "name": format!("Customer {number}"),
            "minimum_stability": minimum.map(Stability::word),
            "may_publish": if number.is_multiple_of(5) { json!(["acme/*"]) } else { json!([]) },
        });
        let made = self.operator.post("/customers", &body);
        let id = text(&made["id"]);
        let first = Token {
            id: text(&self.operator.get(&format!("/customers/{id}/tokens"))[0]["id"]),
            plain: text(&made["token"]),
            reads: true,
            globs: Vec::new(),
            expires: None,
            revoked: false,
        };
        let (frozen, grants, tokens) = (None, Vec::new(), vec![first]);
        self.model.customers.push(Customer { id, minimum, suspended: None, expires: None, frozen, grants, tokens });
        for kind in 0..4 {
            // Those narrowed to some packages are the most interesting: everyone has one.
            if kind == 0 || self.random.below(4) == 0 {
                self.token(number, kind);
            }
        }
    }

    fn token(&mut self, customer: usize, kind: usize) {
        let developer = customer.is_multiple_of(5) && self.random.below(2) == 0;
        let scope = match kind {
            1 => "webhook",
            _ if developer => "developer",
            2 => "admin",
            _ => "download",
        };
        let narrow: [&[&str]; 4] = [&["acme/*"], &["acme/p1*", "open/p06"], &["open/*"], &["acme/p00", "acme/p0*"]];
        let globs: &[&str] = if kind == 0 { narrow[self.random.below(narrow.len())] } else { &[] };
        // By the time that anybody asks, it is over.
        let expires = (kind == 3).then(|| Utc::now() + TimeDelta::seconds(2));
        let path = format!("/customers/{}/tokens", self.model.customers[customer].id);
        let made = self.operator.post(
            &path,
            &json!({
                "name": format!("token {kind}"),
                "scope": scope,
                "package_scopes": globs,
                "expires_at": expires.map(written),
            }),
        );
        self.model.customers[customer].tokens.push(Token {
            id: text(&made["token"]["id"]),
            plain: text(&made["plain_token"]),
            reads: scope != "webhook",
            globs: globs.iter().map(|glob| (*glob).to_owned()).collect(),
            expires,
            revoked: false,
        });
    }

    pub(crate) fn revoke(&mut self, customer: usize, token: usize) {
        let found = &self.model.customers[customer];
        let path = format!("/customers/{}/tokens/{}", found.id, found.tokens[token].id);
        self.operator.ask("DELETE", &path, &json!(null));
        self.model.customers[customer].tokens[token].revoked = true;
    }

    /// Half of the customers are simply active; a third of all have a suspended grant.
    fn put_into_state(&mut self, customer: usize) {
        if self.random.below(3) == 0 {
            let grant = self.random.below(self.model.customers[customer].grants.len());
            self.suspend_grant(customer, grant);
        }
        match self.random.below(20) {
            0 => self.suspend(customer),
            1 => self.expire(customer),
            2 | 3 => {
                let at = past(&mut self.random);
                self.set_end(customer, Some(at));
            }
            4 | 5 => self.freeze(customer, false),
            6 | 7 => self.freeze(customer, true),
            8 => {
                self.freeze(customer, true);
                self.suspend(customer);
            }
            9 => {
                self.freeze(customer, false);
                let at = past(&mut self.random);
                self.set_end(customer, Some(at));
            }
            10 => {
                self.expire(customer);
                self.suspend(customer);
            }
            _ => {}
        }
    }
}
