//! Takes a body in as it comes: to a temporary file, within bounds of size and time, digests counted on the way.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header;
use axum::http::request::Parts;
use cargoman_credential::Digest;
use futures::StreamExt;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;

use super::is_form;
use crate::error::ApiError;
use crate::server::UPLOAD_PREFIX;
use crate::state::State;

/// How long the next piece of a body may take.
const PIECE: Duration = Duration::from_secs(30);
/// How long a whole body may take.
const WHOLE: Duration = Duration::from_secs(1800);
/// Largest `metadata` part.
const MOST_METADATA: usize = cargoman_composer::manifest::MAX_MANIFEST_BYTES;

/// A body that came in whole.
#[derive(Debug)]
pub(super) struct Received {
    /// The zip; gone when this is dropped.
    pub(super) file: NamedTempFile,
    /// Its bytes.
    pub(super) size: u64,
    /// Its SHA-1, hexadecimal: its reference.
    pub(super) sha1: String,
    /// Its SHA-256.
    pub(super) sha256: Digest,
    /// The composer.json beside it.
    pub(super) metadata: Option<Vec<u8>>,
}

/// Takes the body in.
pub(super) async fn receive(state: &State, parts: &Parts, body: Body) -> Result<Received, ApiError> {
    let most = state.config.uploads.max_size;
    let form = is_form(parts)?;
    let declared = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    // A form's boundaries, names and metadata come on top.
    let room = if form { (MOST_METADATA + (64 << 10)) as u64 } else { 0 };
    if declared.is_some_and(|length| length > most.saturating_add(room)) {
        return Err(too_large(most));
    }
    let taking = async {
        match form {
            true => take_form(state, parts, body, most).await,
            false => {
                let mut taken = Taken::new(state, most).await?;
                let mut pieces = body.into_data_stream();
                while let Some(piece) = in_time(pieces.next()).await? {
                    taken.add(&piece.map_err(|error| broken_off(&error))?).await?;
                }
                taken.finish(None).await
            }
        }
    };
    tokio::time::timeout(WHOLE, taking).await.map_err(|_| ApiError::BodyLate)?
}

async fn take_form(state: &State, parts: &Parts, body: Body, most: u64) -> Result<Received, ApiError> {
    // The limits are counted below, part by part.
    let mut request = Request::new(body);
    *request.headers_mut() = parts.headers.clone();
    *request.extensions_mut() = parts.extensions.clone();
    let mut form =
        Multipart::from_request(request, state).await.map_err(|error| ApiError::Unparsable(error.body_text()))?;
    let (mut zip, mut metadata) = (None, None);
    while let Some(mut part) =
        in_time(form.next_field()).await?.map_err(|error| ApiError::Unparsable(error.body_text()))?
    {
        let name = part.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "zip" if zip.is_none() => {
                let mut taken = Taken::new(state, most).await?;
                while let Some(piece) = next(&mut part).await? {
                    taken.add(&piece).await?;
                }
                zip = Some(taken);
            }
            "metadata" if metadata.is_none() => {
                let mut bytes = Vec::new();
                while let Some(piece) = next(&mut part).await? {
                    bytes.extend_from_slice(&piece);
                    if bytes.len() > MOST_METADATA {
                        return Err(ApiError::field("metadata", "is larger than 1 MiB"));
                    }
                }
                metadata = Some(bytes);
            }
            "zip" | "metadata" => return Err(ApiError::field(name, "is given twice")),
            _ => {
                let name: String = name.chars().take(80).collect();
                return Err(ApiError::field(name, "unknown part; the parts are `zip` and `metadata`"));
            }
        }
    }
    let zip = zip.ok_or_else(|| ApiError::field("zip", "is required: the part that holds the zip"))?;
    zip.finish(metadata).await
}

async fn next(part: &mut axum::extract::multipart::Field<'_>) -> Result<Option<Bytes>, ApiError> {
    in_time(part.chunk()).await?.map_err(|error| ApiError::Unparsable(error.body_text()))
}

async fn in_time<T>(step: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::time::timeout(PIECE, step).await.map_err(|_| ApiError::BodyLate)
}

fn broken_off(error: &axum::Error) -> ApiError {
    ApiError::Unparsable(format!("it broke off: {error}"))
}

fn too_large(most: u64) -> ApiError {
    ApiError::PayloadTooLarge(usize::try_from(most).unwrap_or(usize::MAX))
}

/// A zip that is coming in.
struct Taken {
    file: NamedTempFile,
    writer: tokio::fs::File,
    size: u64,
    most: u64,
    sha1: Context,
    sha256: Context,
}

impl Taken {
    async fn new(state: &State, most: u64) -> Result<Self, ApiError> {
        let folder: PathBuf = state.uploads_root();
        let failed = |error: std::io::Error| {
            tracing::error!(%error, "the folder of uploads cannot be written");
            ApiError::Unavailable("the folder of uploads cannot be written")
        };
        tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
        let file = NamedTempFile::with_prefix_in(UPLOAD_PREFIX, &folder).map_err(failed)?;
        let writer = tokio::fs::File::from_std(file.reopen().map_err(failed)?);
        let (sha1, sha256) = (Context::new(&SHA1_FOR_LEGACY_USE_ONLY), Context::new(&SHA256));
        Ok(Self { file, writer, size: 0, most, sha1, sha256 })
    }

    async fn add(&mut self, piece: &[u8]) -> Result<(), ApiError> {
        self.size += piece.len() as u64;
        if self.size > self.most {
            return Err(too_large(self.most));
        }
        self.sha1.update(piece);
        self.sha256.update(piece);
        self.writer.write_all(piece).await.map_err(full)
    }

    async fn finish(mut self, metadata: Option<Vec<u8>>) -> Result<Received, ApiError> {
        self.writer.flush().await.map_err(full)?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.sha256.finish().as_ref());
        let sha1 = self.sha1.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Received { file: self.file, size: self.size, sha1, sha256: Digest::from_bytes(sha256), metadata })
    }
}

fn full(error: std::io::Error) -> ApiError {
    tracing::error!(%error, "an upload cannot be written; look at the free disk space");
    ApiError::Unavailable("the folder of uploads cannot be written")
}
