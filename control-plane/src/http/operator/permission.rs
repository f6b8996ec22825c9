//! Decides what whom is allowed: caller × method × route, in this one table. A handler must never decide it once more.

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use axum::http::Method;
use axum::http::request::Parts;
use cargoman_composer::name::PackageName;
use cargoman_licence::{PackageGlob, Scope};

use super::caller::{Bearer, Caller};
use crate::clock::now;
use crate::domain::credential::{Credential, Level};
use crate::error::ApiError;
use crate::http::router::API;
use crate::state::State;

pub(super) const ROOT_ALONE: &str = "only the holder of the ADMIN_TOKEN may do this";
pub(super) const TOKENS_ALONE: &str =
    "only a customer's token may do this; operators manage tokens under /customers/{id}/tokens";

/// The route of an upload.
const VERSION: &str = "/packages/{vendor}/{name}/versions/{*version}";
const VERSIONS: &str = "/packages/{vendor}/{name}/versions";
const PACKAGE: &str = "/packages/{vendor}/{name}";
const PROPAGATION: &str = "/propagation/{seq}";
const SYNC: &str = "/packages/{vendor}/{name}/sync";

/// What is asked for.
#[derive(Debug)]
struct Asked {
    method: Method,
    /// As in the router's table.
    route: String,
    /// The package of the path.
    package: Option<PackageName>,
    /// The end of the path asks for the customers of a version.
    of_customers: bool,
}

/// Whether the caller may do it.
///
/// # Errors
/// `Forbidden`, saying why.
pub(super) async fn check(caller: &Caller, parts: &mut Parts, state: &State) -> Result<(), ApiError> {
    let asked = Asked::read(parts, state).await;
    decide(caller, &asked).map_err(ApiError::Forbidden)
}

impl Asked {
    async fn read(parts: &mut Parts, state: &State) -> Self {
        let matched = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
        let route = matched.strip_prefix(API).unwrap_or_default().to_owned();
        let (mut vendor, mut name, mut of_customers) = (None, None, false);
        if let Ok(parameters) = RawPathParams::from_request_parts(parts, state).await {
            for (parameter, value) in &parameters {
                match parameter {
                    "vendor" => vendor = Some(value.to_owned()),
                    "name" => name = Some(value.to_owned()),
                    "version" => of_customers = value.ends_with("/customers"),
                    _ => {}
                }
            }
        }
        let package = vendor
            .zip(name)
            .and_then(|(vendor, name)| PackageName::parse_lowercasing(&format!("{vendor}/{name}")).ok());
        Self { method: parts.method.clone(), route, package, of_customers }
    }

    fn reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

fn decide(caller: &Caller, asked: &Asked) -> Result<(), &'static str> {
    let of_tokens = asked.route.starts_with("/me/");
    match caller {
        Caller::Token { bearer, .. } => token(bearer, asked),
        _ if of_tokens => Err(TOKENS_ALONE),
        Caller::Root => Ok(()),
        _ if asked.route.starts_with("/tenants") => Err(ROOT_ALONE),
        Caller::Credential { credential, .. } => operator(credential, asked),
    }
}

fn operator(credential: &Credential, asked: &Asked) -> Result<(), &'static str> {
    let of_credentials = asked.route == "/credentials" || asked.route.starts_with("/credentials/");
    match credential.level {
        Level::Owner => Ok(()),
        _ if of_credentials => Err("only an owner's credential may see and change credentials"),
        Level::Admin => Ok(()),
        Level::Viewer if asked.route.starts_with("/git-credentials") => Err(
            "a viewer's credential sees git credentials by their names alone, on the packages that are read with them",
        ),
        Level::Viewer if asked.reads() => Ok(()),
        Level::Viewer => Err("a viewer's credential may only read"),
        Level::Publisher => publisher(credential, asked),
    }
}

fn publisher(credential: &Credential, asked: &Asked) -> Result<(), &'static str> {
    // Whoever may write may ask what became of it.
    if asked.reads() && asked.route == PROPAGATION {
        return Ok(());
    }
    let may = match (asked.method.as_str(), asked.route.as_str()) {
        ("PUT", VERSION) | ("POST", SYNC) => true,
        (_, PACKAGE | VERSIONS | VERSION) => asked.reads() && !asked.of_customers,
        _ => false,
    };
    if !may {
        return Err(
            "a publisher's credential may only upload versions, sync, and read the packages of its package_scopes",
        );
    }
    match asked.package.as_ref().is_some_and(|name| covers(&credential.package_scopes, name)) {
        true => Ok(()),
        false => Err("this package is outside of the credential's package_scopes"),
    }
}

fn token(bearer: &Bearer, asked: &Asked) -> Result<(), &'static str> {
    match (asked.method.as_str(), asked.route.as_str()) {
        (_, route) if route.starts_with("/me/") => match bearer.scope {
            Scope::Admin => Ok(()),
            _ => Err("this token's scope is not `admin`: it may not manage tokens"),
        },
        ("PUT", VERSION) => upload(bearer, asked),
        _ => Err(
            "a customer's token is no operator's credential: it may ask /me, manage tokens under /me/tokens with the \
                  scope `admin`, and upload with the scope `developer`",
        ),
    }
}

/// Token, customer and package must all agree.
fn upload(bearer: &Bearer, asked: &Asked) -> Result<(), &'static str> {
    if bearer.scope != Scope::Developer {
        return Err("this token's scope is not `developer`: it may not upload");
    }
    if !bearer.is_active(now()) {
        return Err("the customer of this token is not active: he may not upload");
    }
    let name = asked.package.as_ref();
    let in_token = bearer.token.package_scopes.is_empty();
    if !in_token && !name.is_some_and(|name| covers(&bearer.token.package_scopes, name)) {
        return Err("this package is outside of the token's package_scopes");
    }
    match name.is_some_and(|name| covers(&bearer.may_publish, name)) {
        true => Ok(()),
        false => Err("the customer of this token may not publish this package"),
    }
}

/// A pattern that cannot be read covers nothing.
fn covers(globs: &[String], name: &PackageName) -> bool {
    globs.iter().any(|glob| PackageGlob::parse(glob).is_ok_and(|glob| glob.matches(name)))
}
