//! Decides what libgit2 gets to see of a git server: the narrowed list of refs from memory, and the answers of our own client.
//! libgit2 negotiates and indexes the pack; it opens no connection and reads no ref name that was not checked.

use std::cell::RefCell;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex, Once, PoisonError};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use git2::{AutotagOption, ErrorClass, ErrorCode, FetchOptions, RemoteCallbacks, Repository};

use super::super::failure::Result;
use super::super::protocol::{Failed, Limits};
use super::super::text::printable;
use super::client::HttpRemote;
use super::ssh::{self, SshRemote};
use crate::git::refs::advertisement::SERVICE;

/// A git server.
#[derive(Clone)]
pub(in crate::git) enum Remote {
    /// Asked over HTTP: each round is a request.
    Http(Arc<HttpRemote>),
    /// Asked over ssh: all rounds are one connection.
    Ssh(Arc<SshRemote>),
}

/// One download: what libgit2 may see, and what went wrong on our side of the border to C.
struct Session {
    remote: Remote,
    advertisement: Vec<u8>,
    failure: Mutex<Option<Failed>>,
}

impl Session {
    fn fail(&self, failure: Failed) -> git2::Error {
        let error = git2::Error::new(ErrorCode::GenericError, ErrorClass::Net, failure.message.replace('\0', ""));
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        error
    }
}

thread_local! {
    /// libgit2 makes transports by scheme alone; the download that runs on this thread is what it is given.
    static CURRENT: RefCell<Option<Arc<Session>>> = const { RefCell::new(None) };
}

/// Downloads what the refs of `advertisement` need and the mirror lacks. Refs of the mirror are not touched.
pub(in crate::git) fn download(
    mirror: &Repository,
    remote: &Remote,
    advertisement: Vec<u8>,
    limits: &Limits,
    progress: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    register()?;
    // libgit2 looks at the scheme and at nothing else of it.
    let url = match remote {
        Remote::Http(remote) => remote.base().as_str().to_owned(),
        Remote::Ssh(_) => "ssh://git@host/path".to_owned(),
    };
    let session = Arc::new(Session { remote: remote.clone(), advertisement, failure: Mutex::new(None) });
    CURRENT.set(Some(Arc::clone(&session)));
    let outcome = run(mirror, &url, &session, limits, progress);
    CURRENT.set(None);
    let failure = session.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (outcome, failure) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(failure)) => Err(failure),
        // Memory is bounded for this process alone, and a remote decides how much is asked for by what it announces.
        (Err(error), None) if error.class() == ErrorClass::NoMemory => {
            let most = limits.address_space_bytes >> 20;
            Err(Failed::limit(format!("receiving what the remote sends takes more than {most} MiB of memory")))
        }
        // All talk with the remote is ours: what the system refuses libgit2 is disk, and no fault of the remote.
        (Err(error), None) if error.class() == ErrorClass::Os => {
            Err(Failed::machine("receiving objects into the mirror", printable(error.message().as_bytes())))
        }
        (Err(error), None) => Err(Failed::protocol(printable(error.message().as_bytes()))),
    }
}

fn run(
    mirror: &Repository,
    url: &str,
    session: &Session,
    limits: &Limits,
    progress: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> std::result::Result<(), git2::Error> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|state| {
        let most = limits.pack_objects;
        let checked = if state.total_objects() > most {
            Err(Failed::limit(format!("the remote sends more than {most} objects")))
        } else {
            progress(state.received_objects() as u64, state.total_objects() as u64)
        };
        checked.map_err(|failure| session.fail(failure)).is_ok()
    });
    let mut options = FetchOptions::new();
    options.remote_callbacks(callbacks).download_tags(AutotagOption::None).update_fetchhead(false);
    let mut remote = mirror.remote_anonymous(url)?;
    remote.download(&["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"], Some(&mut options))?;
    remote.disconnect()
}

/// Puts our transport in the place of libgit2's own, once per process.
#[expect(unsafe_code, reason = "git2 asks that no two registrations run at once")]
fn register() -> Result<()> {
    static ONCE: Once = Once::new();
    let mut outcome = Ok(());
    ONCE.call_once(|| {
        for scheme in ["https", "http", "ssh"] {
            let factory = |remote: &git2::Remote<'_>| match CURRENT.with_borrow(Clone::clone) {
                Some(session) => {
                    let by_requests = matches!(session.remote, Remote::Http(_));
                    Transport::smart(remote, by_requests, Subtransport(session))
                }
                None => Err(git2::Error::from_str("no download is running on this thread")),
            };
            // SAFETY: `Once` runs this alone, and all downloads of this process come through here first.
            let registered = unsafe { git2::transport::register(scheme, factory) };
            outcome = std::mem::replace(&mut outcome, Ok(())).and(registered);
        }
    });
    outcome.map_err(|error| Failed::machine("registering the transport", error.message()))
}

struct Subtransport(Arc<Session>);

impl SmartSubtransport for Subtransport {
    fn action(
        &self,
        _url: &str,
        action: Service,
    ) -> std::result::Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        match (action, &self.0.remote) {
            (Service::UploadPackLs, Remote::Http(_)) => {
                Ok(Box::new(Advertised(Cursor::new(self.0.advertisement.clone()))))
            }
            (Service::UploadPack, Remote::Http(remote)) => {
                let (session, remote) = (Arc::clone(&self.0), Arc::clone(remote));
                Ok(Box::new(Exchange { session, remote, request: Vec::new(), answer: None }))
            }
            // libgit2 goes on with the stream of the listing.
            (Service::UploadPackLs | Service::UploadPack, Remote::Ssh(remote)) => {
                let connection = remote.session().map_err(|failure| self.0.fail(failure))?;
                // Without the line that only HTTP has in front.
                let listing = self.0.advertisement.strip_prefix(SERVICE).unwrap_or(&self.0.advertisement).to_vec();
                Ok(Box::new(Connection { session: Arc::clone(&self.0), listing: Cursor::new(listing), connection }))
            }
            (Service::ReceivePackLs | Service::ReceivePack, _) => Err(git2::Error::from_str("nothing is ever pushed")),
        }
    }

    fn close(&self) -> std::result::Result<(), git2::Error> {
        Ok(())
    }
}

/// The narrowed advertisement.
struct Advertised(Cursor<Vec<u8>>);

impl Read for Advertised {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Advertised {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("the list of refs is only read"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One request and its answer: what is written before the first read is the request's body.
struct Exchange {
    session: Arc<Session>,
    remote: Arc<HttpRemote>,
    request: Vec<u8>,
    answer: Option<Box<dyn Read + Send>>,
}

impl Exchange {
    fn failed(&self, failure: Failed) -> io::Error {
        io::Error::other(self.session.fail(failure).message().to_owned())
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.answer.is_none() {
            let answer =
                self.remote.upload_pack(std::mem::take(&mut self.request)).map_err(|failure| self.failed(failure))?;
            self.answer = Some(Box::new(answer));
        }
        let Some(answer) = &mut self.answer else { return Ok(0) };
        answer.read(buffer).map_err(|error| self.failed(self.remote.read_failure(&error)))
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection over ssh: the narrowed advertisement first, then what the server says.
struct Connection {
    session: Arc<Session>,
    listing: Cursor<Vec<u8>>,
    connection: ssh::Session,
}

impl Connection {
    fn failed(&mut self, error: &io::Error) -> io::Error {
        let failure = self.connection.failure(error);
        io::Error::other(self.session.fail(failure).message().to_owned())
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.listing.read(buffer)?;
        if length > 0 {
            return Ok(length);
        }
        match self.connection.read(buffer) {
            // libgit2 asks no further once it has everything.
            Ok(0) => Err(self.failed(&io::ErrorKind::UnexpectedEof.into())),
            Ok(length) => Ok(length),
            Err(error) => Err(self.failed(&error)),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.connection.write(bytes).map_err(|error| self.failed(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.connection.flush().map_err(|error| self.failed(&error))
    }
}
