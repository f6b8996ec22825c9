//! What a customer's developer reads once a day in `packages.json`: `info` and `warning`, in the tenant's words.

use std::collections::BTreeSet;

use cargoman_edge_protocol::{Access, Message};
use cargoman_licence::View;
use chrono::{DateTime, TimeDelta, Utc};

use crate::cache::packages::KeptPackage;
use crate::request::authorize::of_lapse;
use crate::request::bearer::{About, Bearer, facts};
use crate::request::refuse::clean;

/// How long before its end a token's bearer is told.
const TOKEN_NOTICE: TimeDelta = TimeDelta::days(14);

/// Most packages whose newer versions are named.
const MOST_RENEWALS: usize = 3;

/// The keys of `packages.json` with their words; nothing where there is nothing to say.
pub(crate) fn of(bearer: &Bearer<'_>, packages: &[&KeptPackage]) -> Vec<(&'static str, String)> {
    let lapses = bearer.access.customer.lapses(&bearer.access.policy, bearer.now);
    let warnings = lapses.iter().map(|lapse| of_lapse(bearer, lapse, About::default())).collect();
    let infos = token(bearer).into_iter().chain(renewals(bearer, packages)).collect();
    [("warning", warnings), ("info", infos)]
        .into_iter()
        .filter_map(|(key, words)| Some((key, joined(words)?)))
        .collect()
}

/// Each once, in one text.
fn joined(words: Vec<String>) -> Option<String> {
    let mut there = BTreeSet::new();
    let cleaned = words.iter().map(|one| clean(one)).filter(|one| !one.trim().is_empty());
    let once: Vec<String> = cleaned.filter(|one| there.insert(one.clone())).collect();
    (!once.is_empty()).then(|| once.join(" "))
}

/// When his token ends, if he is told by now.
pub(super) fn token_ends(access: &Access, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    access.token.expires_at.filter(|at| *at - now <= TOKEN_NOTICE)
}

fn token(bearer: &Bearer<'_>) -> Option<String> {
    let at = token_ends(bearer.access, bearer.now)?;
    Some(bearer.words(Message::TokenExpires, About { until: Some(at), ..About::default() }))
}

/// The newest version of each package that a renewal alone would show.
fn renewals(bearer: &Bearer<'_>, packages: &[&KeptPackage]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut more = 0_usize;
    for package in packages {
        let Some((version, until)) = renewal(&bearer.view(&package.name), package) else { continue };
        if words.len() < MOST_RENEWALS {
            let about = About { package: package.name.as_str(), version, until: Some(until), reason: None };
            words.push(bearer.words(Message::Renewal, about));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words
}

fn renewal<'p>(view: &View<'_>, package: &'p KeptPackage) -> Option<(&'p str, DateTime<Utc>)> {
    let renewal = view.renewal(package.versions.iter().map(facts))?;
    Some((&package.words(renewal.position)?.pretty, renewal.until))
}
