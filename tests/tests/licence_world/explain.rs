//! What the operator is told about somebody's sight, compared with the same plain reading of the rules.

use std::collections::BTreeMap;

use cargoman_tests::operator::text;
use chrono::Utc;
use serde_json::Value;

use crate::model::Token;
use crate::oracle::Asker;
use crate::stage::Stage;

/// By normalized version and commit: in metadata, installable.
type Sights = BTreeMap<(String, String), (bool, bool)>;

impl Stage<'_> {
    /// Asks for `count` explanations of a package to a customer, or to the bearer of one of his tokens.
    #[track_caller]
    pub(crate) fn explain(&mut self, count: usize) {
        for number in 0..count {
            let customer = &self.model.customers[self.random.below(self.model.customers.len())];
            let package = self.random.below(self.model.packages.len());
            let name = &self.model.packages[package].name;
            let himself = Token::of_all();
            let (token, who) = if number.is_multiple_of(2) {
                (&himself, format!("customer={}", customer.id))
            } else {
                let token = self.random.pick(&customer.tokens);
                (token, format!("token_id={}", token.id))
            };
            let answer = self.operator.get(&format!("/explain?{who}&package={name}"));
            let asker = Asker { model: &self.model, customer, token, now: Utc::now() };
            let expected = sights(&asker, package);
            let found: Sights = answer["versions"].as_array().into_iter().flatten().map(sight).collect();
            assert_eq!(found, expected, "{who} {name}: {answer:#}");
        }
        println!("{count} explanations agree");
    }
}

fn sights(asker: &Asker<'_>, package: usize) -> Sights {
    let versions = asker.model.packages[package].versions.iter().enumerate();
    let references = versions.flat_map(|(at, version)| version.references.iter().map(move |one| (at, version, one)));
    references
        .map(|(at, version, reference)| {
            ((version.normalized.clone(), reference.commit.clone()), asker.sees(package, at, reference))
        })
        .collect()
}

#[track_caller]
fn sight(version: &Value) -> ((String, String), (bool, bool)) {
    let is = |name: &str| version[name].as_bool().unwrap_or_else(|| panic!("no {name}: {version:#}"));
    let key = (text(&version["version_normalized"]), text(&version["reference"]));
    let words = text(&version["words"]);
    assert!(!words.is_empty(), "{version:#}");
    (key, (is("visible"), is("installable")))
}
