//! Decides where refs and objects come from: a git server over HTTP or ssh, or a repository in this machine's file system.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::address::AllowedHosts;
use super::super::failure::Result;
use super::super::mirror::Mirror;
use super::super::object::Objects;
use super::super::protocol::{Failed, FailureCode, Request};
use super::super::refs::advertisement::Advertisement;
use super::super::refs::{Listing, RemoteRef, local};
use super::super::transport::client::HttpRemote;
use super::super::transport::smart::{self, Remote};
use super::super::transport::ssh::SshRemote;
use super::super::url::{RepositoryUrl, UrlPolicy};
use crate::crash::{self, Point};

/// Enough to find three lost objects among thousands of refs, few enough not to trouble a server that is down.
const MOST_DOWNLOADS: usize = 40;
/// One lost object among fifty thousand refs needs so many halvings before the first success.
const MOST_IN_VAIN: usize = 16;

pub(super) type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> Result<()>;

pub(super) enum Source {
    Remote(Remote, Advertised),
    Local(PathBuf),
}

/// The server's capabilities; its listing has been taken out.
pub(super) struct Advertised(Advertisement);

impl Source {
    /// Checks the address and lists the refs. Nothing is downloaded.
    pub(super) fn open(request: &Request) -> Result<(Self, Listing)> {
        match parse_url(request)? {
            (RepositoryUrl::Local(path), _) => {
                let folder = local::repository_folder(&path)?;
                let listing = local::listing(&folder, &request.limits)?;
                Ok((Self::Local(folder), listing))
            }
            (RepositoryUrl::Http(url), allowed) => {
                let mut remote = HttpRemote::new(url, request, allowed)?;
                let advertisement = remote.list()?;
                Ok(Self::remote(Remote::Http(Arc::new(remote)), advertisement))
            }
            (RepositoryUrl::Ssh(address), allowed) => {
                let remote = SshRemote::new(address, request, &allowed)?;
                let advertisement = remote.list()?;
                Ok(Self::remote(Remote::Ssh(Arc::new(remote)), advertisement))
            }
        }
    }

    fn remote(remote: Remote, mut advertisement: Advertisement) -> (Self, Listing) {
        let nothing = Listing::new(super::super::refs::Head::Absent, Vec::new());
        let listing = std::mem::replace(&mut advertisement.listing, nothing);
        (Self::Remote(remote, Advertised(advertisement)), listing)
    }

    /// Brings what `refs` need into the mirror, then makes them the mirror's refs. A failure leaves the mirror as it was.
    pub(super) fn bring(
        self,
        mirror: &Mirror,
        refs: &[RemoteRef],
        request: &Request,
        progress: Progress<'_>,
    ) -> Result<()> {
        mirror.all_or_nothing(|| {
            self.download(mirror, refs, request, progress)?;
            crash::point(Point::WorkerFetched);
            mirror.replace_refs(refs)
        })
    }

    /// Gives `read` the objects of the default branch, by the shortest way.
    pub(super) fn probe<T>(
        self,
        request: &Request,
        branch: &RemoteRef,
        progress: Progress<'_>,
        read: impl FnOnce(&Objects<'_>) -> Result<T>,
    ) -> Result<T> {
        if let Self::Local(folder) = &self {
            let opened = git2::Odb::new()
                .and_then(|odb| odb.add_disk_alternate(&folder.join("objects").to_string_lossy()).map(|()| odb));
            return read(&Objects::new(
                opened.map_err(|error| Failed::machine("opening the repository's objects", error.message()))?,
            ));
        }
        let mirror = Mirror::open(&request.mirror)?;
        self.download(&mirror, std::slice::from_ref(branch), request, progress)?;
        read(&mirror.objects()?)
    }

    fn download(self, mirror: &Mirror, refs: &[RemoteRef], request: &Request, progress: Progress<'_>) -> Result<()> {
        match self {
            Self::Local(folder) => mirror.copy_objects(&folder, progress),
            Self::Remote(remote, Advertised(advertisement)) => {
                let mut download = |refs: &[RemoteRef]| {
                    let narrowed = advertisement.narrowed(refs.iter());
                    smart::download(&mirror.repository, &remote, narrowed, &request.limits, progress)
                };
                match download(refs) {
                    Err(failure) if may_be_one_ref(&failure) && refs.len() > 1 => {
                        around_bad_refs(refs, failure, &mut download)
                    }
                    outcome => outcome,
                }
            }
        }
    }
}

/// A server that lacks an object breaks off, or answers with an error of its own.
fn may_be_one_ref(failure: &Failed) -> bool {
    matches!(failure.code, FailureCode::Protocol | FailureCode::Unreachable)
}

/// Downloads by halves, so that refs whose objects the server itself has lost cost only their own versions: those will be found
/// missing when they are read. `first` is what the download of everything at once said.
fn around_bad_refs(
    refs: &[RemoteRef],
    first: Failed,
    download: &mut dyn FnMut(&[RemoteRef]) -> Result<()>,
) -> Result<()> {
    let mut waiting = vec![refs];
    let mut succeeded = false;
    for attempt in 0..MOST_DOWNLOADS {
        let Some(part) = waiting.pop().filter(|_| succeeded || attempt < MOST_IN_VAIN) else { break };
        match download(part) {
            Ok(()) => succeeded = true,
            Err(failure) if !may_be_one_ref(&failure) => return Err(failure),
            Err(failure) if part.len() == 1 => {
                tracing::warn!(message = failure.message, "a ref cannot be downloaded and is left out")
            }
            Err(_) => {
                let (left, right) = part.split_at(part.len() / 2);
                waiting.extend([right, left]);
            }
        }
    }
    if succeeded { Ok(()) } else { Err(first) }
}

fn parse_url(request: &Request) -> Result<(RepositoryUrl, AllowedHosts)> {
    let allowed_hosts = AllowedHosts::parse(&request.network.allowed_hosts).map_err(|error| {
        Failed::new(FailureCode::Request, error.to_string(), "correct the configuration of the control plane")
    })?;
    let policy = UrlPolicy {
        allow_local: request.network.allow_local,
        allowed_hosts: allowed_hosts.clone(),
        allowed_ports: request.network.allowed_ports.clone(),
    };
    let url = RepositoryUrl::parse(&request.repository_url, &policy).map_err(|error| {
        Failed::new(FailureCode::RepositoryUrl, format!("repository_url: {}", error.problem), error.remedy)
    })?;
    Ok((url, allowed_hosts))
}
