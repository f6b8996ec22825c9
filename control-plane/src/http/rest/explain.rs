//! `/explain`: why somebody sees a version or does not.

use std::collections::HashMap;

use axum::extract::State as FromState;
use axum::response::Response;
use cargoman_composer::name::PackageName;
use cargoman_licence::{Access, CollectionId, EffectiveStatus, View};
use serde_json::{Value, json};

use crate::clock::now;
use crate::domain::package::normalized;
use crate::domain::words::words;
use crate::error::{ApiError, Detail};
use crate::http::envelope::{Paging, data};
use crate::http::operator::Operator;
use crate::http::rest::id;
use crate::state::State;
use crate::store::licence_facts::{ReferenceFacts, StoredVersion};
use crate::store::{TenantTransaction, collections as store, packages};

pub(crate) async fn show(
    FromState(state): FromState<State>,
    operator: Operator,
    paging: Paging,
) -> Result<Response, ApiError> {
    let question = Question::read(&paging.query())?;
    let mut transaction = operator.begin(&state).await?;
    let access = question.bearer(&mut transaction).await?;
    let name = &question.package;
    packages::find(&mut transaction, name).await?.ok_or(ApiError::NotFound("package"))?;
    let collections = transaction.facts().collections().await?;
    let mut found = transaction.facts().packages(std::slice::from_ref(name)).await?;
    let lookup = |id: &CollectionId| collections.get(id);
    let view = View::new(&access, &lookup, name, now());
    let asked = found.pop().map(|package| package.versions).unwrap_or_default();
    let asked = asked.iter().filter(|version| question.version.as_ref().is_none_or(|wanted| is(version, wanted)));
    let answers = asked.flat_map(|version| version.references.iter().map(|at| explained(&access, &view, version, at)));
    let mut answers: Vec<Value> = answers.collect();
    let slugs = if collections.is_empty() { HashMap::new() } else { store::slugs(&mut transaction).await? };
    answers.iter_mut().for_each(|answer| name_collections(answer, &slugs));
    let status: EffectiveStatus = access.customer.effective(now());
    let mut body = json!({
        "customer": {"id": access.customer.id, "name": access.customer.name, "status": status},
        "package": name,
    });
    if !access.token.id.is_empty() {
        body["token"] = json!(access.token);
    }
    if question.version.is_some() {
        // What stands in metadata comes first.
        let first = answers.first().ok_or(ApiError::NotFound("version"))?;
        for field in ["visible", "installable", "rule", "words", "grants"] {
            body[field] = first[field].clone();
        }
    }
    body["versions"] = Value::Array(answers);
    Ok(data(body))
}

struct Question {
    customer: Option<String>,
    token: Option<String>,
    package: PackageName,
    version: Option<String>,
}

impl Question {
    fn read(query: &HashMap<&str, &str>) -> Result<Self, ApiError> {
        let mut problems = Vec::new();
        let mut refuse = |field: &str, message: &str| {
            problems.push(Detail { field: field.to_owned(), message: message.to_owned() });
        };
        let text = |name: &str| query.get(name).map(|text| (*text).to_owned());
        let (customer, token) = (text("customer"), text("token_id"));
        if customer.is_some() == token.is_some() {
            refuse("customer", "name either the customer or, as token_id, one of his tokens");
        }
        if !query.contains_key("package") {
            refuse("package", "is required: `vendor/name`");
        }
        for field in query.keys().filter(|field| !["customer", "token_id", "package", "version"].contains(field)) {
            refuse(field, "unknown parameter; remove it or check its spelling");
        }
        if !problems.is_empty() {
            return Err(ApiError::Validation(problems));
        }
        let package = text("package").unwrap_or_default();
        let package = PackageName::parse_lowercasing(&package).map_err(|_| ApiError::NotFound("package"))?;
        Ok(Self { customer, token, package, version: text("version") })
    }

    /// Whose sight is asked about: the bearer of the token, or the customer as if no token narrowed him.
    async fn bearer(&self, transaction: &mut TenantTransaction) -> Result<Access, ApiError> {
        let policy = transaction.facts().policy().await?;
        if let Some(token) = &self.token {
            let found = transaction.facts().access_of_token(id(token, "token")?, policy).await?;
            return found.ok_or(ApiError::NotFound("token"));
        }
        let customer = id(self.customer.as_deref().unwrap_or_default(), "customer")?;
        let found = transaction.facts().customers(&[customer], policy).await?.pop();
        found.map(|(_, access)| access).ok_or(ApiError::NotFound("customer"))
    }
}

/// Operators know collections by their slugs.
fn name_collections(answer: &mut Value, slugs: &HashMap<String, String>) {
    for grant in answer["grants"].as_array_mut().into_iter().flatten() {
        if let Some(slug) = grant["collection"].as_str().and_then(|id| slugs.get(id)) {
            grant["collection"] = json!(slug);
        }
    }
}

fn is(version: &StoredVersion, wanted: &str) -> bool {
    let own = version.version.normalized();
    version.pretty == wanted || own == wanted || normalized(wanted).is_some_and(|wanted| own == wanted)
}

fn explained(access: &Access, view: &View<'_>, version: &StoredVersion, at: &ReferenceFacts) -> Value {
    let explanation = view.explain(version.facts(at));
    json!({
        "version": version.pretty,
        "version_normalized": version.version.normalized(),
        "reference": at.reference,
        "current": at.current,
        "published_at": at.published_at,
        "visible": explanation.decision.visible && at.current,
        "installable": explanation.decision.installable,
        "rule": explanation.decision.rule,
        "words": words(access, &explanation, at.current),
        "grants": explanation.grants,
    })
}
