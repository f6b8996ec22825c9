//! The body of an upload: a zip alone, or with a composer.json beside it. The file is read while it is sent.

use std::io::IsTerminal;
use std::path::Path;

use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Body;
use tokio::fs::File;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use crate::exit::Failure;

/// What is sent, and what it is.
pub(crate) struct Upload {
    pub(super) content_type: String,
    pub(super) length: u64,
    pub(super) body: Body,
    /// Moves while the body is sent; hidden where nobody looks.
    pub(super) progress: ProgressBar,
}

impl Upload {
    /// Of the archive, and of the composer.json of one that has none.
    pub(super) async fn of(archive: &Path, metadata: Option<&Path>) -> Result<Self, Failure> {
        let unreadable =
            |path: &Path, error: std::io::Error| Failure::usage(format!("cannot read {}: {error}", path.display()));
        let file = File::open(archive).await.map_err(|error| unreadable(archive, error))?;
        let about = file.metadata().await.map_err(|error| unreadable(archive, error))?;
        if !about.is_file() {
            return Err(Failure::usage(format!("{} is no file; give the zip archive", archive.display())));
        }
        let metadata = match metadata {
            Some(path) => Some(tokio::fs::read(path).await.map_err(|error| unreadable(path, error))?),
            None => None,
        };
        Ok(Self::around(file, about.len(), metadata))
    }

    fn around(file: File, size: u64, metadata: Option<Vec<u8>>) -> Self {
        // Cut off where its length was read: a file that grows meanwhile does not break the message.
        let file = tokio::io::AsyncReadExt::take(file, size);
        let (content_type, before, after) = match metadata {
            None => ("application/zip".to_owned(), Vec::new(), Vec::new()),
            Some(metadata) => parts(&metadata, &format!("cargoman-{}", Uuid::now_v7().simple())),
        };
        let progress = match std::io::stderr().is_terminal() {
            true => ProgressBar::new(size).with_style(style()),
            false => ProgressBar::hidden(),
        };
        let bar = progress.clone();
        let length = before.len() as u64 + size + after.len() as u64;
        let read = ReaderStream::with_capacity(file, 64 << 10).inspect_ok(move |bytes| bar.inc(bytes.len() as u64));
        let whole = stream::iter([Ok(before.into())]).chain(read).chain(stream::iter([Ok(after.into())]));
        Self { content_type, length, body: Body::wrap_stream(whole), progress }
    }
}

/// The content type, and what goes before and after the zip (RFC 7578).
fn parts(metadata: &[u8], boundary: &str) -> (String, Vec<u8>, Vec<u8>) {
    let part = |name: &str, file: &str, kind: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file}\"\r\nContent-Type: {kind}\r\n\r\n"
        )
    };
    let mut before = part("metadata", "composer.json", "application/json").into_bytes();
    before.extend_from_slice(metadata);
    before.extend_from_slice(b"\r\n");
    before.extend_from_slice(part("zip", "archive.zip", "application/zip").as_bytes());
    let after = format!("\r\n--{boundary}--\r\n").into_bytes();
    (format!("multipart/form-data; boundary={boundary}"), before, after)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
