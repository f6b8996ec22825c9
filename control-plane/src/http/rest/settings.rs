//! `/settings`: a tenant's choices. PATCH merges deeply: what is not mentioned stays, `null` brings the default back.

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_edge_protocol::{Message, Template};
use serde_json::{Value, json};

use crate::domain::tenant::{Settings, lapsed, outage_mode, source, web_address};
use crate::effect::{Concerned, Consent, Watch};
use crate::error::ApiError;
use crate::http::consent::close;
use crate::http::envelope::data;
use crate::http::fields::{Fields, Patch};
use crate::http::operator::Operator;
use crate::state::State;
use crate::store::tenants;

/// The brake can be set to this at most; beyond it it is no brake, and `null` says so.
const MOST_CUSTOMERS_PER_HOUR: i64 = 1_000_000;

/// Edges that hear nothing go on for at most so many seconds: 30 days.
const LONGEST_GRACE: i64 = 30 * 24 * 3600;

pub(crate) async fn show(FromState(state): FromState<State>, operator: Operator) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    Ok(data(tenants::settings(&mut transaction).await?))
}

pub(crate) async fn patch(
    FromState(state): FromState<State>,
    operator: Operator,
    consent: Consent,
    fields: Fields,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    // Locks the tenant: of two changes at once neither undoes the other.
    tenants::touch(&mut transaction).await?;
    let before = tenants::settings(&mut transaction).await?;
    let after = merge(fields, before.clone(), state.storage.gives_addresses())?;
    let concerned = if after.policy() == before.policy() { Concerned::no_one() } else { Concerned::Policy };
    let watch = Watch::begin(&mut transaction, concerned, consent).await?;
    tenants::set_settings(&mut transaction, &before, &after).await?;
    transaction.audit("settings.update", "settings", json!({"before": before, "settings": after}));
    close(watch, transaction, data(after)).await
}

/// `redirects`: whether the storage could be redirected to.
fn merge(mut fields: Fields, mut settings: Settings, redirects: bool) -> Result<Settings, ApiError> {
    put(&mut settings.source, fields.string("source", source));
    let stability = fields.string("minimum_stability", str::parse);
    settings.minimum_stability = stability.over(settings.minimum_stability);
    settings.renew_url = fields.string("renew_url", web_address).over(settings.renew_url.take());
    inside(&mut fields, "lapsed", &mut settings.lapsed, |fields, choices| {
        put(&mut choices.suspended, fields.string("suspended", lapsed));
        put(&mut choices.expired, fields.string("expired", lapsed));
    })?;
    inside(&mut fields, "messages", &mut settings.messages, |fields, templates| {
        for message in Message::ALL {
            match fields.string(message.as_str(), Template::parse) {
                Patch::Absent => {}
                Patch::Clear => drop(templates.remove(&message)),
                Patch::Set(template) => drop(templates.insert(message, template)),
            }
        }
    })?;
    inside(&mut fields, "brake", &mut settings.brake, |fields, brake| {
        // Here null is a value: no brake.
        if fields.has("customers_per_hour") {
            let number = fields.number("customers_per_hour", 1, MOST_CUSTOMERS_PER_HOUR);
            brake.customers_per_hour = number.and_then(|number| u32::try_from(number).ok());
        }
    })?;
    inside(&mut fields, "outage", &mut settings.outage, |fields, outage| {
        put(&mut outage.mode, fields.string("mode", outage_mode));
        // Here null is a value: as long as the lease grants.
        if fields.has("grace_seconds") {
            let seconds = fields.number("grace_seconds", 0, LONGEST_GRACE);
            outage.grace_seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        }
    })?;
    match fields.any("dist_redirects") {
        Patch::Absent => {}
        Patch::Clear => settings.dist_redirects = false,
        Patch::Set(Value::Bool(true)) if !redirects => fields.refuse(
            "dist_redirects",
            "cannot be true: dists lie in a folder, to which nobody can be redirected; it needs storage.kind = \"s3\"",
        ),
        Patch::Set(Value::Bool(given)) => settings.dist_redirects = given,
        Patch::Set(_) => fields.refuse("dist_redirects", "must be true or false"),
    }
    fields.finish()?;
    Ok(settings)
}

/// Sets what is given; cleared, it is as in a new tenant.
fn put<T: Default>(value: &mut T, patch: Patch<T>) {
    match patch {
        Patch::Absent => {}
        Patch::Clear => *value = T::default(),
        Patch::Set(given) => *value = given,
    }
}

/// Merges the object `name` field by field. What is wrong in it is noted in `fields`.
fn inside<T: Default>(
    fields: &mut Fields,
    name: &str,
    value: &mut T,
    merge: impl FnOnce(&mut Fields, &mut T),
) -> Result<(), ApiError> {
    let object = match fields.any(name) {
        Patch::Absent => return Ok(()),
        Patch::Clear => {
            *value = T::default();
            return Ok(());
        }
        Patch::Set(object) => object,
    };
    let merged = Fields::nested(name, object).and_then(|mut inner| {
        merge(&mut inner, value);
        inner.finish()
    });
    merged.or_else(|error| fields.absorb(error))
}
