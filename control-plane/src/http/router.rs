//! Which path is which handler. The public API and the edge API never share a listener.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State as FromState};
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};

use crate::error::ApiError;
use crate::http::fields::MOST_BODY;
use crate::http::operator::Caller;
use crate::http::rest::{
    audit, collections, credentials, customers, deletions, edges, explain, forge_groups, git_credentials, github_app,
    hooks, me, packages, preview, settings, stats, sync, tasks, tenants, vendors,
};
use crate::http::{edge, idempotency, propagation, request_id, webhook};
use crate::state::State;

/// Where the resources of the public API lie.
pub(crate) const API: &str = "/api/v1";

/// The public API.
pub fn public(state: State) -> Router {
    Router::new()
        .nest(API, api())
        .merge(webhooks())
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
        // Inside of the replay, so that what is kept is the final answer.
        .layer(from_fn_with_state(state.clone(), propagation::wait))
        .layer(from_fn_with_state(state.clone(), idempotency::replay))
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(from_fn(request_id::give))
        .with_state(state)
}

/// What edges ask.
pub fn edge(state: State) -> Router {
    Router::new()
        .route(cargoman_edge_protocol::link::LINK_PATH, get(edge::link::link))
        .route(cargoman_edge_protocol::JOIN_PATH, post(edge::join::join))
        .route(cargoman_edge_protocol::READ_PATH, post(edge::read::read))
        .route(&format!("{}/{{tenant}}/{{sha256}}", cargoman_edge_protocol::DISTS_PATH), get(edge::dist::dist))
        .route(
            &format!(
                "{}/{{tenant}}/{{sha256}}/{}",
                cargoman_edge_protocol::DISTS_PATH,
                cargoman_edge_protocol::DIST_ADDRESS
            ),
            get(edge::dist::address),
        )
        .route(cargoman_edge_protocol::INSTALLS_PATH, post(edge::installs::report))
        .route(cargoman_edge_protocol::USAGE_PATH, post(edge::usage::receive))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || ApiError::NotFound("path"))
        .layer(DefaultBodyLimit::max(4 * MOST_BODY))
        .with_state(state)
}

/// What forges call: not under a version, for their settings hold these addresses for years.
fn webhooks() -> Router<State> {
    Router::new()
        .route("/api/webhooks/{provider}", post(webhook::of_provider))
        .route("/api/webhooks/{provider}/{hook}", post(webhook::of_hook))
        .route("/api/update-package", post(webhook::update_package))
        .route("/api/github", post(webhook::packagist_github))
        .route("/api/bitbucket", post(webhook::update_package))
}

fn api() -> Router<State> {
    Router::new().merge(tenant_wide()).merge(customer()).merge(package())
}

fn tenant_wide() -> Router<State> {
    use customers::own_tokens;
    Router::new()
        .route("/me", get(me::show))
        .route("/me/tokens", get(own_tokens::list).post(own_tokens::create))
        .route("/me/tokens/{token}", axum::routing::delete(own_tokens::revoke))
        .route("/credentials", get(credentials::list).post(credentials::create))
        .route("/credentials/{id}", axum::routing::delete(credentials::revoke))
        .route("/credentials/{id}/rotate", post(credentials::rotate))
        .route("/git-credentials", get(git_credentials::list).post(git_credentials::create))
        .route(
            "/git-credentials/{id}",
            get(git_credentials::show).patch(git_credentials::patch).delete(git_credentials::delete),
        )
        .route("/git-credentials/{id}/rotate", post(git_credentials::rotate))
        .route("/tenants", get(tenants::list).post(tenants::create))
        .route("/tenants/{id}", get(tenants::show).patch(tenants::patch))
        .route("/tenants/{id}/suspend", post(tenants::suspend))
        .route("/tenants/{id}/reactivate", post(tenants::reactivate))
        .route("/audit", get(audit::list))
        .route("/audit/verify", get(audit::verify))
        .route("/edges", get(edges::list))
        .route("/edges/join-tokens", post(edges::create_join_token))
        .route("/edges/{id}", axum::routing::delete(edges::fence))
        .route("/settings", get(settings::show).patch(settings::patch))
        .route("/collections", get(collections::list).post(collections::create))
        .route("/collections/{slug}", get(collections::show).patch(collections::patch).delete(collections::delete))
        .route("/hooks", get(hooks::list).post(hooks::create))
        .route("/hooks/{id}", get(hooks::show).delete(hooks::delete))
        .route("/hooks/{id}/rotate", post(hooks::rotate))
        .route("/hooks/{id}/deliveries", get(hooks::deliveries))
        .route("/hooks/{id}/deliveries/{delivery}/replay", post(hooks::replay))
        .route("/forge-groups", get(forge_groups::list).post(forge_groups::create))
        .route("/forge-groups/{id}", get(forge_groups::show).patch(forge_groups::patch).delete(forge_groups::delete))
        .route("/forge-groups/{id}/projects", get(forge_groups::projects))
        .route("/forge-groups/{id}/sync", post(forge_groups::sync))
        .route("/github-app/status", get(github_app::status))
        .route("/github-app/install-url", get(github_app::install_url))
        .route("/github-app/installations", get(github_app::installations))
        .route("/github-app/installations/{id}/repositories", get(github_app::repositories))
        .route("/github-app/installations/{id}/sync", post(github_app::sync))
        .route("/vendors", get(vendors::list))
        .route("/vendors/{vendor}", put(vendors::put))
        .route("/tasks", get(tasks::list))
        .route("/tasks/sync-all", post(tasks::sync_all))
        .route("/tasks/{id}", get(tasks::show))
        .route("/tasks/{id}/retry", post(tasks::retry))
        .route("/tasks/{id}/cancel", post(tasks::cancel))
        .route("/explain", get(explain::show))
        .route("/stats", get(stats::show))
        .route("/stats/daily", get(stats::daily))
        .route("/stats/packages/{vendor}/{name}", get(stats::of_package))
        .route("/stats/packages/{vendor}/{name}/versions/{*version}", get(stats::of_version))
        .route("/stats/customers/{id}", get(stats::of_customer))
        .route("/propagation/{seq}", get(crate::http::rest::propagation::show))
        .route("/deletions", get(deletions::list))
        .route("/deletions/{id}/restore", post(deletions::restore))
}

fn customer() -> Router<State> {
    use customers::{freeze, grants, status, tokens};
    Router::new()
        .route("/customers", get(customers::list).post(customers::create))
        .route("/customers/by-external/{external_id}", get(customers::show_by_external).put(customers::put_by_external))
        .route("/customers/{id}", get(customers::show).patch(customers::patch).delete(customers::delete))
        .route("/customers/{id}/restore", post(deletions::restore_customer))
        .route("/customers/{id}/suspend", post(status::suspend))
        .route("/customers/{id}/reactivate", post(status::reactivate))
        .route("/customers/{id}/expire", post(status::expire))
        .route("/customers/{id}/freeze", get(freeze::show).post(freeze::freeze))
        .route("/customers/{id}/tokens", get(tokens::list).post(tokens::create))
        .route("/customers/{id}/tokens/{token}", get(tokens::show).delete(tokens::revoke))
        .route("/customers/{id}/tokens/{token}/rotate", post(tokens::rotate))
        .route("/customers/{id}/token/regenerate", post(tokens::regenerate))
        .route("/customers/{id}/token", axum::routing::delete(tokens::revoke_all))
        .route("/customers/{id}/packages", get(grants::list).post(grants::add).put(grants::replace::replace))
        .route("/customers/{id}/packages/preview", post(preview::grants))
        .route("/customers/{id}/packages/{vendor}/{name}", axum::routing::delete(grants::take::of_package))
        .route("/customers/{id}/collections/{slug}", axum::routing::delete(grants::take::of_collection))
        .route("/customers/{id}/grants/{grant}", get(grants::show).patch(grants::patch).delete(grants::take::one_grant))
        .route("/customers/{id}/grants/{grant}/suspend", post(grants::status::suspend))
        .route("/customers/{id}/grants/{grant}/reactivate", post(grants::status::reactivate))
        .route("/customers/{id}/grants/by-external/{external_id}", put(grants::external::put))
        .route("/customers/{id}/grants/{grant}/restore", post(deletions::restore_grant))
}

fn package() -> Router<State> {
    use packages::{date, release, upload, versions, withdraw};
    Router::new()
        .route("/packages", get(packages::list).post(packages::create))
        .route("/packages/{vendor}/{name}", get(packages::show).patch(packages::patch).delete(packages::delete))
        .route("/packages/{vendor}/{name}/restore", post(deletions::restore_package))
        .route("/packages/{vendor}/{name}/sync", post(sync::sync))
        .route("/packages/{vendor}/{name}/monorepo/children", get(packages::monorepo::children))
        .route("/packages/{vendor}/{name}/unfreeze", post(packages::unfreeze))
        .route("/packages/{vendor}/{name}/webhook-deliveries", get(hooks::of_package))
        .route("/packages/{vendor}/{name}/abandon", post(packages::abandon))
        .route("/packages/{vendor}/{name}/unabandon", post(packages::unabandon))
        .route("/packages/{vendor}/{name}/customers", get(packages::customers))
        .route("/packages/{vendor}/{name}/versions", get(versions::list))
        .route(
            "/packages/{vendor}/{name}/versions/{*version}",
            // An upload is streamed and has a limit of its own.
            put(upload::put).layer(DefaultBodyLimit::disable()).get(versions::show).patch(date::patch),
        )
        .route("/packages/{vendor}/{name}/release/{*version}", post(release::release))
        .route("/packages/{vendor}/{name}/replace/{*version}", post(release::replace))
        .route("/packages/{vendor}/{name}/yank/{*version}", post(withdraw::yank))
        .route("/packages/{vendor}/{name}/unyank/{*version}", post(withdraw::unyank))
        .route("/packages/{vendor}/{name}/takedown/{*version}", post(withdraw::take_down))
        .route("/packages/{vendor}/{name}/untakedown/{*version}", post(withdraw::put_back))
        .route("/packages/{vendor}/{name}/deprecate/{*version}", post(withdraw::deprecate))
        .route("/packages/{vendor}/{name}/undeprecate/{*version}", post(withdraw::undeprecate))
}

async fn ready(FromState(state): FromState<State>) -> Result<&'static str, ApiError> {
    state.database.ping().await?;
    Ok("ready\n")
}

/// Whoever shows no credential learns nothing, not even which paths there are: through an edge the answer is the same for a host
/// that has no tenant (E-H13).
async fn unknown_path(_: Caller) -> ApiError {
    ApiError::NotFound("path")
}

async fn method_not_allowed(_: Caller) -> Response {
    let mut response = ApiError::NotFound("method on this path").into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
