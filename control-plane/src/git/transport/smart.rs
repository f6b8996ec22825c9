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

/// One download: what libgit2 may see, and what went wrong on our side of the border to C.
struct Session {
    remote: Arc<HttpRemote>,
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
    remote: &Arc<HttpRemote>,
    advertisement: Vec<u8>,
    limits: &Limits,
    progress: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    register()?;
    let url = remote.base().as_str().to_owned();
    let session = Arc::new(Session { remote: Arc::clone(remote), advertisement, failure: Mutex::new(None) });
    CURRENT.set(Some(Arc::clone(&session)));
    let outcome = run(mirror, &url, &session, limits, progress);
    CURRENT.set(None);
    let failure = session.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (outcome, failure) {
        (Ok(()), _) => Ok(()),
        (Err(_), Some(failure)) => Err(failure),
        // All talk with the remote is ours: what the system refuses libgit2 is disk or memory, and no fault of the remote.
        (Err(error), None) if matches!(error.class(), ErrorClass::Os | ErrorClass::NoMemory) => {
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
        for scheme in ["https", "http"] {
            let factory = |remote: &git2::Remote<'_>| match CURRENT.with_borrow(Clone::clone) {
                Some(session) => Transport::smart(remote, true, Subtransport(session)),
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
        match action {
            Service::UploadPackLs => Ok(Box::new(Advertised(Cursor::new(self.0.advertisement.clone())))),
            Service::UploadPack => {
                Ok(Box::new(Exchange { session: Arc::clone(&self.0), request: Vec::new(), answer: None }))
            }
            Service::ReceivePackLs | Service::ReceivePack => Err(git2::Error::from_str("nothing is ever pushed")),
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
            let answer = self
                .session
                .remote
                .upload_pack(std::mem::take(&mut self.request))
                .map_err(|failure| self.failed(failure))?;
            self.answer = Some(Box::new(answer));
        }
        let Some(answer) = &mut self.answer else { return Ok(0) };
        answer.read(buffer).map_err(|error| self.failed(self.session.remote.read_failure(&error)))
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
