//! `/stats`: what was downloaded, by day, package, version and customer. Counted when edges hand it in, a second or two later.

use axum::extract::State as FromState;
use axum::response::Response;
use chrono::{Days, NaiveDate, TimeDelta};
use serde_json::{Value, json};

use super::customers;
use super::packages::versions;
use crate::clock::now;
use crate::error::{ApiError, Detail};
use crate::http::envelope::{Paging, data, whole_list};
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::package;
use crate::state::State;
use crate::store::stats::{self as store, Lately};

/// Days that are shown when nobody says which.
const SHOWN: u64 = 30;
/// Most days of one list.
const MOST_DAYS: i64 = 366;

pub(crate) async fn show(FromState(state): FromState<State>, operator: Operator) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let lately = store::lately(&mut transaction, now().date_naive()).await?;
    let (packages, customers) = store::inventory(&mut transaction).await?;
    Ok(data(with(lately, json!({"packages": packages, "customers": customers}))))
}

pub(crate) async fn daily(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let (from, to) = days(&paging, now().date_naive())?;
    let mut transaction = operator.begin(&state).await?;
    let rows = store::daily(&mut transaction, from, to).await?;
    Ok(whole_list(&paging, &rows))
}

/// From and to, both included.
fn days(paging: &Paging, today: NaiveDate) -> Result<(NaiveDate, NaiveDate), ApiError> {
    let query = paging.query();
    let mut problems = Vec::new();
    let mut refuse = |field: &str, message: String| problems.push(Detail { field: field.to_owned(), message });
    for field in query.keys().filter(|field| !["from", "to"].contains(field)) {
        refuse(field, "unknown parameter; remove it or check its spelling".to_owned());
    }
    let mut day = |name: &str| {
        let text = query.get(name)?;
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        // What PostgreSQL can keep, and a person can mean.
        let day = day.filter(|day| (1970..=9999).contains(&chrono::Datelike::year(day)));
        if day.is_none() {
            refuse(name, "must be a day such as 2026-01-31".to_owned());
        }
        day
    };
    let (from, to) = (day("from"), day("to"));
    let to = to.unwrap_or(today);
    let from = from.unwrap_or_else(|| to.checked_sub_days(Days::new(SHOWN - 1)).unwrap_or(to));
    match (to - from).num_days() {
        ..0 => refuse("from", "must not lie after `to`".to_owned()),
        MOST_DAYS.. => refuse("from", format!("must lie less than {MOST_DAYS} days before `to`")),
        _ => {}
    }
    if problems.is_empty() { Ok((from, to)) } else { Err(ApiError::Validation(problems)) }
}

pub(crate) async fn of_package(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (name, _) = package(&mut transaction, &vendor, &name).await?;
    let lately = store::lately_of(&mut transaction, name.as_str(), None, now().date_naive()).await?;
    let versions = store::versions_of(&mut transaction, name.as_str()).await?;
    let versions: Vec<Value> = versions
        .into_iter()
        .map(|(version, amount)| {
            json!({"version_normalized": version, "downloads": amount.downloads, "bytes": amount.bytes})
        })
        .collect();
    Ok(data(with(lately, json!({"package": name, "versions": versions}))))
}

pub(crate) async fn of_version(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name, version)): Path<(String, String, String)>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let (name, package) = package(&mut transaction, &vendor, &name).await?;
    let version = versions::find(&mut transaction, package.id, &version).await?;
    let normalized = &version.version_normalized;
    let lately = store::lately_of(&mut transaction, name.as_str(), Some(normalized), now().date_naive()).await?;
    let about = json!({"package": name, "version": version.version, "version_normalized": normalized});
    Ok(data(with(lately, about)))
}

pub(crate) async fn of_customer(
    FromState(state): FromState<State>,
    operator: Operator,
    Path(customer): Path<String>,
) -> Result<Response, ApiError> {
    let mut transaction = operator.begin(&state).await?;
    let customer = customers::find(&mut transaction, &customer).await?;
    let packages = store::of_customer(&mut transaction, customer.id, now() - TimeDelta::days(30)).await?;
    let downloads: i64 = packages.iter().map(|package| package.amount.downloads).sum();
    let bytes: i64 = packages.iter().map(|package| package.amount.bytes).sum();
    Ok(data(json!({
        "customer": {"id": customer.id, "name": customer.name},
        "last_30_days": {"downloads": downloads, "bytes": bytes},
        "packages": packages,
    })))
}

/// `about`, with the sums beside it.
fn with(lately: Lately, mut about: Value) -> Value {
    about["today"] = json!(lately.today);
    about["last_7_days"] = json!(lately.last_7_days);
    about["last_30_days"] = json!(lately.last_30_days);
    about
}
