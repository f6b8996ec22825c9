//! Every refusal of the API as one enum, and its one mapping to HTTP: status, code, message, details.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::secrets::SecretsError;
use crate::store::StoreError;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// Path of the field, `packages[0].constraint`.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Why the API refuses.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No such thing here.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The request is understood but its content is not acceptable.
    #[error("some fields are not acceptable")]
    Validation(Vec<Detail>),
    /// The body is no JSON object.
    #[error("the body is not a JSON object: {0}")]
    Unparsable(String),
    /// A text that the database cannot keep, in whichever part of the request.
    #[error("a text of the request holds a NUL character; leave it out")]
    NulCharacter,
    /// The path is not made of UTF-8 segments.
    #[error("the path cannot be read; percent-encode each segment as UTF-8")]
    UnreadablePath,
    /// Nobody, or nobody we know.
    #[error("authentication required: send `Authorization: Bearer <ADMIN_TOKEN>` or a credential (cma_…)")]
    Unauthorized,
    /// A delivery of a forge that nobody we know has signed.
    #[error(
        "the delivery is not signed with the secret of a hook of this registry, or carries no API token of it; see GET /api/v1/hooks"
    )]
    Unsigned,
    /// Somebody, but not for this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// It collides with what is there.
    #[error("{0}")]
    Conflict(String),
    /// The body is too large.
    #[error("the body is larger than {0} bytes")]
    PayloadTooLarge(usize),
    /// The body came too slowly.
    #[error("the body did not arrive in time; send it again")]
    BodyLate,
    /// The request names no tenant and there are several.
    #[error("there are several tenants: name one in the header X-Cargoman-Tenant")]
    TenantUnnamed,
    /// The credential is that of an edge that was fenced.
    #[error("this edge was fenced; join it anew with a join token, or stop it")]
    Fenced,
    /// Something needed is away.
    #[error("{0}; try again in a moment")]
    Unavailable(&'static str),
    /// A secret cannot be sealed or opened for want of a key: the operator of this registry has to set something.
    #[error("{}", .0.public())]
    NoKey(#[source] SecretsError),
    /// Our fault. The text for the client says nothing of it.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

impl ApiError {
    /// One field is not acceptable.
    pub fn field(field: impl Into<String>, message: impl ToString) -> Self {
        Self::Validation(vec![Detail { field: field.into(), message: message.to_string() }])
    }

    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::Validation(_) => (StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR"),
            Self::Unparsable(_) | Self::TenantUnnamed | Self::NulCharacter | Self::UnreadablePath => {
                (StatusCode::BAD_REQUEST, "VALIDATION_ERROR")
            }
            Self::Fenced => (StatusCode::GONE, "FENCED"),
            Self::Unauthorized | Self::Unsigned => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "FORBIDDEN"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "CONFLICT"),
            Self::PayloadTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
            Self::BodyLate => (StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT"),
            Self::Unavailable(_) | Self::NoKey(_) => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(source) => {
                tracing::warn!(error = %source, "the database is away");
                Self::Unavailable("the database cannot be reached")
            }
            StoreError::Unstorable => Self::NulCharacter,
            StoreError::Rehearsed => {
                Self::field("dry_run", "this call has no preview, and nothing was done; leave dry_run out to do it")
            }
            // What a handler knows to be its caller's mistake it has named already: this is another writer who came first.
            StoreError::Conflict { constraint } => {
                tracing::info!(constraint, "a write collided with another one");
                Self::Conflict("it was changed or deleted at the same moment; look at it and try again".to_owned())
            }
            StoreError::Contended(source) => {
                tracing::warn!(error = %source, "a transaction had to give way");
                Self::Unavailable("the database is busy with other writes to the same rows")
            }
            other => Self::Internal(other.into()),
        }
    }
}

impl From<SecretsError> for ApiError {
    fn from(error: SecretsError) -> Self {
        tracing::error!(%error, "a secret cannot be sealed or opened");
        match error {
            SecretsError::Random => Self::Internal(error.into()),
            SecretsError::Altered(_) => Self::Conflict(error.to_string()),
            _ => Self::NoKey(error),
        }
    }
}

/// A body of ten thousand faults must not make an answer of ten thousand explanations.
fn first_of(mut details: Vec<Detail>) -> Vec<Detail> {
    const MOST: usize = 100;
    let others = details.len().saturating_sub(MOST);
    details.truncate(MOST);
    if others > 0 {
        details.push(Detail { field: "…".to_owned(), message: format!("and {others} more") });
    }
    details
}

#[derive(Serialize)]
struct Envelope {
    error: Body,
}

#[derive(Serialize)]
struct Body {
    code: &'static str,
    message: String,
    details: Vec<Detail>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let message = self.to_string();
        let details = match self {
            Self::Internal(source) => {
                tracing::error!(error = format!("{source:#}"), "request failed");
                Vec::new()
            }
            Self::Validation(details) => first_of(details),
            _ => Vec::new(),
        };
        let mut response = (status, Json(Envelope { error: Body { code, message, details } })).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"Cargoman\""));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
