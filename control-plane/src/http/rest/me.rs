//! `/me`: who is this credential or token, and what may it do?

use axum::response::Response;
use serde_json::{Value, json};

use crate::http::envelope::data;
use crate::http::operator::Caller;

pub(crate) async fn show(caller: Caller) -> Response {
    data(shown(&caller))
}

fn shown(caller: &Caller) -> Value {
    match caller {
        Caller::Root => json!({"kind": "root", "level": "owner"}),
        Caller::Credential { credential, .. } => json!({
            "kind": "credential",
            "level": credential.level,
            "credential": credential,
        }),
        Caller::Token { bearer, .. } => json!({
            "kind": "token",
            "scope": bearer.token.scope,
            "token": bearer.token,
            "customer": {"id": bearer.customer, "name": bearer.customer_name},
            "may_publish": bearer.may_publish,
        }),
    }
}
