//! `PUT /packages/{vendor}/{name}/versions/{version}`: a version as a zip, for packages that are in no repository, or not wholly.
//! The body goes to a temporary file as it comes; what it holds is decided in `crate::upload`. Once stored it never changes.

use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State as FromState};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use cargoman_composer::manifest::Manifest;
use cargoman_composer::name::PackageName;
use cargoman_composer::version::{self, Version};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::changed;
use super::versions::find;
use crate::clock::now;
use crate::dists as stored;
use crate::error::ApiError;
use crate::http::envelope::data_with;
use crate::http::operator::Operator;
use crate::http::path::Path;
use crate::http::rest::{lock_package, package};
use crate::state::State;
use crate::store::publish::{self, FoundVersion, Uploaded};
use crate::store::{StoreError, TenantTransaction, dists};
use crate::upload::{self, Limits, Refused};

mod receive;

use receive::Received;

/// Zips that are checked at once: each takes a processor for seconds.
static CHECKS: Semaphore = Semaphore::const_new(2);
/// How long an upload waits for its turn to be checked.
const TURN: Duration = Duration::from_secs(120);

pub(crate) async fn put(
    FromState(state): FromState<State>,
    operator: Operator,
    Path((vendor, name, version)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    // Whoever asks for what is not there is told before he sends hundreds of megabytes.
    if operator.dry_run {
        return Err(StoreError::Rehearsed.into());
    }
    let mut transaction = operator.begin(&state).await?;
    package(&mut transaction, &vendor, &name).await?;
    drop(transaction);
    let normalized = plain_version(&version)?;
    let (mut parts, body) = request.into_parts();
    let received = receive::receive(&state, &parts, body).await?;
    let in_zip = check(&received).await?;
    let (manifest, given) = manifest(&received, in_zip)?;
    // What he may do can have changed while the body came in.
    let operator = again(&mut parts, &state).await?;

    let mut transaction = operator.begin(&state).await?;
    let (name, package) = lock_package(&mut transaction, &vendor, &name).await?;
    agree(&manifest, &name, &normalized)?;
    let found = found(&manifest, &name, &version, &normalized, &received);
    drop(transaction);
    // Bytes before rows; without a transaction, for it may take long.
    let (places, dist) = ((&state.database, &state.storage), (received.sha256, received.size));
    let stored = stored::store(places, operator.tenant, dist, received.file.path()).await;
    stored.map_err(|error| {
        tracing::error!(%error, "an upload cannot be stored");
        ApiError::Unavailable("the storage cannot be written")
    })?;

    let mut transaction = operator.begin(&state).await?;
    let (name, locked) = lock_package(&mut transaction, name.vendor(), name.short_name()).await?;
    if locked.id != package.id {
        return Err(ApiError::Conflict(
            "the package was deleted and added again meanwhile; upload it again".to_owned(),
        ));
    }
    let status = write(&mut transaction, &name, &locked, &found, &received, given).await?;
    let shown = find(&mut transaction, locked.id, normalized.normalized()).await?;
    transaction.commit().await?;
    Ok(data_with(status, shown))
}

/// Composer reads more as a version than ought to be published under: what is written here other customers' terminals show, and
/// `#`, `@` and ` as ` mean something else in a composer.json.
fn plain_version(text: &str) -> Result<Version, ApiError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-/".contains(c);
    if !text.chars().all(plain) || text.contains("..") {
        return Err(ApiError::field(
            "version",
            "must be letters, digits and . _ + - / alone, such as 1.4.0 or dev-main",
        ));
    }
    Version::parse(text).map_err(|error| ApiError::field("version", error))
}

/// Asks once more who calls and whether he may.
async fn again(parts: &mut Parts, state: &State) -> Result<Operator, ApiError> {
    Operator::from_request_parts(parts, state).await
}

/// Checks the zip on a thread of its own; its composer.json, if it has one.
async fn check(received: &Received) -> Result<Option<Vec<u8>>, ApiError> {
    let turn = tokio::time::timeout(TURN, CHECKS.acquire()).await;
    let _turn = turn.map_err(|_| ApiError::Unavailable("too many uploads are checked at once"))?;
    let file = received.file.reopen().map_err(|error| ApiError::Internal(error.into()))?;
    let checked = tokio::task::spawn_blocking(move || upload::check(&file, Limits::default())).await;
    match checked.map_err(|error| ApiError::Internal(error.into()))? {
        Ok(manifest) => Ok(manifest),
        Err(Refused::Zip(message)) => Err(ApiError::field("zip", message)),
        Err(Refused::Unreadable(error)) => Err(ApiError::Internal(error.into())),
    }
}

/// The manifest of the zip, or the one given beside it; and whether it was given.
fn manifest(received: &Received, in_zip: Option<Vec<u8>>) -> Result<(Manifest, bool), ApiError> {
    let (bytes, field, given) = match (&in_zip, &received.metadata) {
        (Some(_), Some(_)) => {
            return Err(ApiError::field("metadata", "must be left out: the zip has a composer.json of its own"));
        }
        (Some(bytes), None) => (bytes, "composer.json", false),
        (None, Some(bytes)) => (bytes, "metadata", true),
        (None, None) => {
            let message = "is missing at the root of the zip, or in the one folder that holds everything; put it there, or \
                           send it beside the zip as the part `metadata` of a multipart/form-data body";
            return Err(ApiError::field("composer.json", message));
        }
    };
    let manifest = Manifest::parse(bytes).map_err(|error| ApiError::field(field, error))?;
    Ok((manifest, given))
}

/// What the manifest says of itself must be what the path says.
fn agree(manifest: &Manifest, name: &PackageName, version: &Version) -> Result<(), ApiError> {
    match manifest.name.as_deref() {
        Some(written) if written == name.as_str() => {}
        Some(written) => {
            let message = format!("composer.json says `{written}`, but this is `{name}`; correct one of them");
            return Err(ApiError::field("name", message));
        }
        None => return Err(ApiError::field("name", format!("is missing in composer.json; write `{name}`"))),
    }
    let Some(written) = manifest.version.as_deref() else { return Ok(()) };
    match Version::parse(written) {
        Ok(same) if same == *version => Ok(()),
        _ => {
            let message = format!(
                "composer.json says `{written}`, but the path says `{}`; correct one of them, or leave `version` out of it",
                version.normalized()
            );
            Err(ApiError::field("version", message))
        }
    }
}

fn found(
    manifest: &Manifest,
    name: &PackageName,
    pretty: &str,
    normalized: &Version,
    received: &Received,
) -> FoundVersion {
    let at = now();
    let time = manifest.time.is_none().then(|| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    let alias = version::branch_alias(manifest.extra(), normalized, pretty, false);
    FoundVersion {
        normalized: normalized.normalized().to_owned(),
        pretty: pretty.to_owned(),
        stability: normalized.stability().as_str().to_owned(),
        branch: false,
        ref_name: String::new(),
        default_branch: false,
        aliases: alias.map(|alias| alias.normalized().to_owned()).into_iter().collect(),
        metadata: Value::Object(manifest.version_object(name, pretty, normalized, time.as_deref(), false)),
        reference: received.sha1.clone(),
        published_at: at,
        dist_sha256: received.sha256.to_hex(),
    }
}

async fn write(
    transaction: &mut TenantTransaction,
    name: &PackageName,
    package: &crate::domain::package::Package,
    found: &FoundVersion,
    received: &Received,
    metadata_given: bool,
) -> Result<StatusCode, ApiError> {
    let size = i64::try_from(received.size).unwrap_or(i64::MAX);
    dists::insert(transaction, &found.dist_sha256, &found.reference, size).await?;
    let conflict = |problem: &str| {
        Err(ApiError::Conflict(format!(
            "{} {problem}; a published version never changes, upload a new one",
            found.pretty
        )))
    };
    match publish::upload(transaction, package.id, name.as_str(), found, metadata_given).await? {
        Uploaded::Added => {
            let detail = json!({"version": found.pretty, "reference": found.reference, "size": size});
            changed(transaction, package.id, name, "version.upload", detail).await?;
            Ok(StatusCode::CREATED)
        }
        Uploaded::Same => Ok(StatusCode::OK),
        Uploaded::OtherBytes => conflict("was uploaded before with other bytes"),
        Uploaded::OtherMetadata => conflict("was uploaded before with another composer.json beside it"),
        Uploaded::FromRepository => conflict("comes from the repository"),
    }
}

/// Whether a body is one form with parts; otherwise it must be the zip itself.
fn is_form(parts: &Parts) -> Result<bool, ApiError> {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/zip" | "application/x-zip-compressed" => Ok(false),
        "multipart/form-data" => Ok(true),
        _ => Err(ApiError::field(
            "Content-Type",
            "must be application/zip, or multipart/form-data with the parts `zip` and `metadata`",
        )),
    }
}
