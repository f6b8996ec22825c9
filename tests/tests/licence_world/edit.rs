//! One change after another, each asked about at the very next request.

use chrono::{TimeDelta, Utc};

use crate::ask::{Client, all_about, first_token};
use crate::model::{Customer, Grant, Left, PackageAt, Policy, Target, meant};
use crate::oracle::{Asker, Question};
use crate::publish::{just_before, past};
use crate::stage::Stage;

/// Whom a change concerns.
enum Concerned {
    Customer(usize),
    Package(PackageAt),
    Everyone,
}

impl Stage<'_> {
    /// Makes `count` changes, and compares the concerned answers after each.
    #[track_caller]
    pub(crate) fn change(&mut self, count: usize) {
        let mut client = Client::new(&self.world.registry.edge_address());
        let mut asked = 0;
        for number in 0..count {
            let (what, concerned) = self.one_change();
            let result = match concerned {
                Concerned::Customer(customer) => self.ask_customer(&mut client, customer),
                Concerned::Package(package) => self.ask_about(&mut client, package),
                Concerned::Everyone => self.ask_everyone(&mut client),
            };
            match result {
                Ok(more) => asked += more,
                Err(difference) => panic!("after change {number} ({what}):\n{difference}"),
            }
        }
        println!("{count} changes, {asked} answers right at the next request");
    }

    fn one_change(&mut self) -> (&'static str, Concerned) {
        let customer = self.random.below(self.model.customers.len());
        match self.random.below(16) {
            0 | 1 => self.more_rights(customer),
            2 | 3 => self.other_rights(customer),
            4 => self.fewer_rights(customer),
            5 | 6 => self.suspend_or_reactivate_grant(customer),
            7 => self.other_collection(),
            8..=10 => self.other_state(customer),
            11 | 12 => self.other_mark(),
            13 => self.other_date(),
            14 => {
                let package = self.random.below(self.model.packages.len());
                self.go_on(package, true);
                ("a release", Concerned::Package(package))
            }
            _ if self.random.below(3) == 0 => self.other_policy(),
            _ => {
                let tokens = &self.model.customers[customer].tokens;
                let Some(token) = (1..tokens.len()).find(|at| !tokens[*at].revoked) else {
                    return ("nothing", Concerned::Customer(customer));
                };
                self.revoke(customer, token);
                ("a token revoked", Concerned::Customer(customer))
            }
        }
    }

    fn more_rights(&mut self, customer: usize) -> (&'static str, Concerned) {
        let grant = self.draw_grant();
        self.add_grant(customer, grant);
        ("a grant more", Concerned::Customer(customer))
    }

    fn other_rights(&mut self, customer: usize) -> (&'static str, Concerned) {
        let Some(at) = self.some_grant(customer) else { return self.more_rights(customer) };
        let (known, new) = (self.model.customers[customer].grants[at].clone(), self.draw_grant());
        let renewed = self.random.below(2) == 0;
        let grant = if renewed {
            Grant { until: new.until, ..known }
        } else {
            Grant { id: known.id, target: known.target, suspended: known.suspended, ..new }
        };
        self.change_grant(customer, at, grant);
        (if renewed { "another limit" } else { "another grant" }, Concerned::Customer(customer))
    }

    fn fewer_rights(&mut self, customer: usize) -> (&'static str, Concerned) {
        let Some(at) = self.some_grant(customer) else { return self.more_rights(customer) };
        self.remove_grant(customer, at);
        ("a grant less", Concerned::Customer(customer))
    }

    fn suspend_or_reactivate_grant(&mut self, customer: usize) -> (&'static str, Concerned) {
        let Some(at) = self.some_grant(customer) else { return self.more_rights(customer) };
        if self.model.customers[customer].grants[at].suspended.is_none() {
            self.suspend_grant(customer, at);
            ("a grant suspended", Concerned::Customer(customer))
        } else {
            self.reactivate_grant(customer, at);
            ("a grant reactivated", Concerned::Customer(customer))
        }
    }

    fn some_grant(&mut self, customer: usize) -> Option<usize> {
        let count = self.model.customers[customer].grants.len();
        (count > 0).then(|| self.random.below(count))
    }

    fn other_collection(&mut self) -> (&'static str, Concerned) {
        let slug = self.random.pick(&self.model.collections).slug.clone();
        let collection = self.draw_collection(slug);
        self.put_collection(collection);
        ("another collection", Concerned::Everyone)
    }

    fn other_state(&mut self, customer: usize) -> (&'static str, Concerned) {
        let Customer { suspended, expires, frozen, .. } = &self.model.customers[customer];
        let over = expires.is_some_and(|at| at <= Utc::now());
        let well = suspended.is_none() && !over;
        let what = match self.random.below(6) {
            0 if well => {
                let some = self.random.below(2) == 0;
                self.freeze(customer, some);
                "frozen"
            }
            1 => {
                self.suspend(customer);
                "suspended"
            }
            2 => {
                let at =
                    if self.random.below(2) == 0 { past(&mut self.random) } else { Utc::now() + TimeDelta::days(90) };
                self.set_end(customer, Some(at));
                "another end"
            }
            3 => {
                self.expire(customer);
                "expired"
            }
            _ if !well || frozen.is_some() => {
                self.reactivate(customer);
                "reactivated"
            }
            _ => {
                self.freeze(customer, false);
                "frozen at all"
            }
        };
        (what, Concerned::Customer(customer))
    }

    fn other_mark(&mut self) -> (&'static str, Concerned) {
        let package = self.random.below(self.model.packages.len());
        let version = self.random.below(self.model.packages[package].versions.len());
        let found = &self.model.packages[package].versions[version];
        let (yanked, down) = (found.yanked, found.taken_down);
        let what = if self.random.below(2) == 0 {
            self.set_yanked(package, version, !yanked);
            if yanked { "unyanked" } else { "yanked" }
        } else {
            self.set_taken_down(package, version, !down);
            if down { "put back" } else { "taken down" }
        };
        (what, Concerned::Package(package))
    }

    fn other_date(&mut self) -> (&'static str, Concerned) {
        let package = self.random.below(self.model.packages.len());
        let version = self.random.below(self.model.packages[package].versions.len());
        let reference = self.random.below(self.model.packages[package].versions[version].references.len());
        let date = past(&mut self.random);
        let date = if self.random.below(2) == 0 { date } else { just_before(date) };
        self.set_published(package, version, reference, date);
        ("another date", Concerned::Package(package))
    }

    fn other_policy(&mut self) -> (&'static str, Concerned) {
        let policy = Policy {
            minimum: self.draw_stability(),
            suspended: *self.random.pick(&Left::ALL),
            expired: *self.random.pick(&Left::ALL),
        };
        self.set_policy(policy);
        ("another policy", Concerned::Everyone)
    }

    /// All that his tokens can ask about what his grants are on.
    fn ask_customer(&self, client: &mut Client, customer: usize) -> Result<usize, String> {
        let customer = &self.model.customers[customer];
        let on = |name: &str| {
            customer.grants.iter().any(|grant| match grant.target {
                Target::Package(at) => self.model.packages[at].name == name,
                Target::Collection(at) => self.model.collections[at].packages.iter().any(|one| meant(one, name)),
            })
        };
        let mut questions = vec![Question::List];
        for package in self.model.packages.iter().filter(|package| on(&package.name)).take(6) {
            questions.extend(all_about(package));
        }
        let mut asked = 0;
        for token in &customer.tokens {
            // The narrow ones differ by package only.
            let every = if token.id == first_token(customer).id { 1 } else { 5 };
            for question in questions.iter().step_by(every) {
                let asker = Asker { model: &self.model, customer, token, now: Utc::now() };
                client.check(&asker, question, false)?;
                asked += 1;
            }
        }
        Ok(asked)
    }

    /// All that some customers can ask about a package.
    fn ask_about(&mut self, client: &mut Client, package: PackageAt) -> Result<usize, String> {
        let questions = all_about(&self.model.packages[package]);
        let mut asked = 0;
        for customer in self.model.customers.iter().skip(self.random.below(8)).step_by(8) {
            let token = first_token(customer);
            for question in &questions {
                let asker = Asker { model: &self.model, customer, token, now: Utc::now() };
                client.check(&asker, question, false)?;
                asked += 1;
            }
        }
        Ok(asked)
    }

    /// A little of one in four.
    fn ask_everyone(&mut self, client: &mut Client) -> Result<usize, String> {
        let mut asked = 0;
        for customer in self.model.customers.iter().skip(self.random.below(4)).step_by(4) {
            let token = first_token(customer);
            let package = self.random.pick(&self.model.packages);
            for question in all_about(package).into_iter().chain([Question::List]) {
                let asker = Asker { model: &self.model, customer, token, now: Utc::now() };
                client.check(&asker, &question, false)?;
                asked += 1;
            }
        }
        Ok(asked)
    }
}
