//! A file onto a connection without TLS: the kernel moves the bytes, none of them pass through this process.
//!
//! Decides nothing; must never be given a connection whose bytes are changed on the way.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use pingora::protocols::Stream;
use pingora::protocols::l4;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::pace::Pace;

/// Most bytes of one call: others on this thread get their turn in between.
const MOST: u64 = 1 << 20;

/// A socket to send files to.
pub(super) struct Socket<'a> {
    stream: &'a l4::stream::Stream,
    /// Made when the socket is full for the first time: most files fit.
    writable: Option<TcpStream>,
}

impl<'a> Socket<'a> {
    /// None when the stream is no bare socket.
    pub(super) fn of(stream: &'a Stream) -> Option<Self> {
        let stream = stream.as_any().downcast_ref::<l4::stream::Stream>()?;
        Some(Self { stream, writable: None })
    }

    /// Sends `length` bytes from `first` on. All that was written before must have been flushed.
    pub(super) async fn send(&mut self, file: &File, first: u64, length: u64, pace: &mut Pace) -> io::Result<()> {
        let (mut at, end) = (first, first + length);
        while at < end {
            let size = usize::try_from((end - at).min(MOST)).unwrap_or(usize::MAX);
            let sent = match &self.writable {
                None => match self.try_send(file, at, size) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.writable = Some(self.watched()?);
                        continue;
                    }
                    sent => pace.step(std::future::ready(sent)).await?,
                },
                Some(writable) => {
                    pace.goes_on()?;
                    let sending = writable.async_io(Interest::WRITABLE, || send_some(writable, file, at, size));
                    pace.step(sending).await?
                }
            };
            if sent == 0 {
                // The file is shorter than it was; the client must not take what came for the whole.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at += sent as u64;
        }
        Ok(())
    }

    fn try_send(&self, file: &File, at: u64, size: usize) -> io::Result<usize> {
        send_some(self.borrowed(), file, at, size)
    }

    /// The socket once more, under another number, so that it can be waited for beside Pingora's own waiting.
    fn watched(&self) -> io::Result<TcpStream> {
        let socket = rustix::io::fcntl_dupfd_cloexec(self.borrowed(), 0)?;
        TcpStream::from_std(std::net::TcpStream::from(socket))
    }

    #[expect(unsafe_code, reason = "Pingora shows the number of its socket and nothing safer")]
    fn borrowed(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is the stream's, which is borrowed for at least as long as what this gives.
        unsafe { BorrowedFd::borrow_raw(self.stream.as_raw_fd()) }
    }
}

fn send_some(socket: impl AsFd, file: &File, at: u64, size: usize) -> io::Result<usize> {
    let mut at = at;
    Ok(rustix::fs::sendfile(socket, file, Some(&mut at), size)?)
}
