//! The least that a server can do: wait, read once, write once. What is above it is what the others do besides.
//!
//! No server: it believes that every read brings one whole request, as it does under these loads.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::load::{Question, Target};

/// The argument that makes this program such a server.
pub(crate) const ARGUMENT: &str = "--floor";

const THREADS: usize = 2;

/// Such a server with one answer; ends when it is dropped.
pub(crate) struct Floor {
    child: Child,
    address: String,
}

impl Floor {
    /// With the answer that `from` gives to the question.
    pub(crate) fn start(from: &Target, question: &Question<'_>) -> Result<Self> {
        let mut request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", question.path, from.address);
        for (name, value) in &question.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = TcpStream::connect(&from.address)?;
        stream.write_all(format!("{request}\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let close = b"connection: close";
        let at = answer.windows(close.len()).position(|part| part.eq_ignore_ascii_case(close));
        let at = at.context("the answer does not say that it is the last")?;
        answer.splice(at..at + close.len(), b"connection: keep-alive".iter().copied());

        let own = std::env::current_exe()?;
        let mut child = Command::new(own).arg(ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        // Dropping it ends the answer.
        child.stdin.take().context("no input")?.write_all(&answer)?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().to_owned() })
    }

    pub(crate) fn target(&self) -> Target {
        Target { address: self.address.clone(), processes: vec![self.child.id()] }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Serves the answer that stands on standard input, until it is killed.
pub(crate) fn serve() -> Result<()> {
    let mut answer = Vec::new();
    std::io::stdin().read_to_end(&mut answer)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| answer_all(&listener, &answer))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked")))
    })
}

/// Takes connections and answers them.
fn answer_all(listener: &TcpListener, answer: &[u8]) -> Result<()> {
    const LISTENER: u64 = u64::MAX;
    let queue = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&queue, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut streams: Vec<TcpStream> = Vec::new();
    let (mut events, mut buffer) = (Vec::with_capacity(512), [0; 4 << 10]);
    loop {
        events.clear();
        epoll::wait(&queue, spare_capacity(&mut events), None)?;
        for event in &events {
            let data = event.data;
            let at = usize::try_from(data.u64()).unwrap_or(usize::MAX);
            match streams.get_mut(at) {
                // Gone: what follows is nothing.
                Some(stream) => match stream.read(&mut buffer) {
                    Ok(1..) => stream.write_all(answer)?,
                    _ => epoll::delete(&queue, &*stream)?,
                },
                None => {
                    // The other thread may have been first.
                    let Ok((stream, _)) = listener.accept() else { continue };
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    epoll::add(
                        &queue,
                        &stream,
                        EventData::new_u64(streams.len() as u64),
                        EventFlags::IN | EventFlags::ET,
                    )?;
                    streams.push(stream);
                }
            }
        }
    }
}
