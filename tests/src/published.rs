//! A package that is published and whose repository then changes.

use cargoman_testkit::git::Repository;
use serde_json::Value;

use crate::operator::{Customer, Operator, text};
use crate::reader::sha1;
use crate::sync_result::failed;
use crate::world::World;

/// A package with a release that a customer sees, and what its repository becomes.
#[derive(Debug)]
pub struct Published<'a> {
    /// Where it is.
    pub world: &'a World,
    /// Who owns it.
    pub operator: Operator<'a>,
    /// Who sees it.
    pub customer: Customer,
    /// Its name.
    pub name: &'static str,
    /// Its repository.
    pub repository: Repository,
    digest: String,
}

impl<'a> Published<'a> {
    /// Adds the package and a customer.
    #[track_caller]
    pub fn new(world: &'a World, name: &'static str) -> Self {
        let repository = world.small_package(name);
        let operator = world.operator();
        let customer = operator.customer_of(&[name]);
        let reader = world.reader(&customer);
        let digest = sha1(&reader.get(&reader.shown(name)[0].dist_path()).body);
        Self { world, operator, customer, name, repository, digest }
    }

    /// That the release is there, with its bytes.
    #[track_caller]
    pub fn stands(&self) {
        let reader = self.world.reader(&self.customer);
        let shown = reader.shown(self.name);
        let release = shown.iter().find(|version| version.pretty() == "v1.0.0").expect("v1.0.0 is shown");
        assert_eq!(release.text("/dist/shasum"), self.digest);
        assert_eq!(sha1(&reader.get(&release.dist_path()).body), self.digest);
    }

    /// That a sync fails like this, and the release stands.
    #[track_caller]
    pub fn fails(&self, words: &[&str]) {
        failed(&self.operator.try_sync(self.name), words);
        self.stands();
        assert_eq!(self.world.reader(&self.customer).versions(self.name), ["dev-main", "v1.0.0"]);
        let package = self.operator.get(&format!("/packages/{}", self.name));
        assert!(text(&package["sync_error"]).contains(words[0]), "{package:#}");
    }

    /// That a sync works again, and no trace of the failure is left.
    #[track_caller]
    pub fn works(&self) -> Value {
        let result = self.operator.sync(self.name);
        self.stands();
        assert!(self.operator.get(&format!("/packages/{}", self.name))["sync_error"].is_null());
        result
    }
}
