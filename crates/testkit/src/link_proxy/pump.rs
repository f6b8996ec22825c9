//! The threads of one connection: bytes of calls, frames of streams.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use super::frame::Frame;
use super::{Direction, Fault, Shared};

/// Serves a connection of the edge until its end.
pub(super) fn connect(shared: &Arc<Shared>, edge: TcpStream) -> io::Result<()> {
    let control_plane = TcpStream::connect(&shared.upstream)?;
    for stream in [&edge, &control_plane] {
        stream.set_nodelay(true)?;
        shared.state().open.push(stream.try_clone()?);
    }
    let mut up = Pump::new(shared, Direction::ToControlPlane, &edge, &control_plane)?;
    let mut down = Pump::new(shared, Direction::ToEdge, &control_plane, &edge)?;
    let request = up.head()?;
    let is_stream = String::from_utf8_lossy(&request).to_ascii_lowercase().contains("upgrade: websocket");
    up.send(&request)?;
    if is_stream {
        let response = down.head()?;
        down.send(&response)?;
        let switched = response.starts_with(b"HTTP/1.1 101");
        (up.frames, down.frames) = (switched, switched);
    }
    let down = std::thread::spawn(move || down.run());
    up.run();
    let _ = down.join();
    Ok(())
}

struct Pump {
    shared: Arc<Shared>,
    direction: Direction,
    from: TcpStream,
    to: TcpStream,
    under_way: Sender<(Instant, Vec<u8>)>,
    delivery: JoinHandle<()>,
    buffer: Vec<u8>,
    frames: bool,
    /// Comes after the next message.
    held: Option<Frame>,
}

impl Pump {
    fn new(shared: &Arc<Shared>, direction: Direction, from: &TcpStream, to: &TcpStream) -> io::Result<Self> {
        let (under_way, due) = channel();
        let (cut, mut target) = (Arc::clone(shared), to.try_clone()?);
        let delivery = std::thread::spawn(move || deliver(&cut, direction, &due, &mut target));
        Ok(Self {
            shared: Arc::clone(shared),
            direction,
            from: from.try_clone()?,
            to: to.try_clone()?,
            under_way,
            delivery,
            buffer: Vec::new(),
            frames: false,
            held: None,
        })
    }

    /// A request's or an answer's first lines.
    fn head(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                return Ok(std::mem::replace(&mut self.buffer, rest));
            }
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 16 << 10];
        let length = self.from.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..length]);
        Ok(length > 0)
    }

    /// Until either side ends.
    fn run(mut self) {
        while self.carry().is_ok() && self.fill().unwrap_or(false) {}
        let _ = self.carry();
        let Self { from, to, under_way, delivery, frames, .. } = self;
        drop(under_way);
        let _ = delivery.join();
        let _ = to.shutdown(Shutdown::Write);
        if frames {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        }
    }

    fn carry(&mut self) -> io::Result<()> {
        if !self.frames {
            let bytes = std::mem::take(&mut self.buffer);
            return self.send(&bytes);
        }
        while let Some(frame) = Frame::take(&mut self.buffer) {
            match (self.shared.translation(), frame.read()) {
                (Some(translate), Some(text)) => {
                    let masked = self.direction == Direction::ToControlPlane;
                    for text in translate(self.direction, &text) {
                        self.carry_frame(Frame::text(&text, masked))?;
                    }
                }
                _ => self.carry_frame(frame)?,
            }
        }
        Ok(())
    }

    fn carry_frame(&mut self, frame: Frame) -> io::Result<()> {
        let fault = if frame.is_message() { self.shared.next_fault(self.direction) } else { Fault::Pass };
        let masked = self.direction == Direction::ToControlPlane;
        match fault {
            Fault::Pass => self.send(&frame.0)?,
            Fault::Drop => {}
            Fault::Double => self.send(&[frame.0.as_slice(), &frame.0].concat())?,
            Fault::Halve => self.send(&frame.halved().0)?,
            Fault::After(text) => {
                self.send(&Frame::text(&text, masked).0)?;
                self.send(&frame.0)?;
            }
            Fault::Swap => {
                if let Some(earlier) = self.held.replace(frame) {
                    self.send(&earlier.0)?;
                }
                return Ok(());
            }
        }
        self.held.take().map_or(Ok(()), |held| self.send(&held.0))
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let due = Instant::now() + self.shared.delay(self.direction);
        self.under_way.send((due, bytes.to_vec())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// What is late is late by the same time, however much of it there is: a long way, not a narrow one.
fn deliver(shared: &Shared, direction: Direction, due: &Receiver<(Instant, Vec<u8>)>, to: &mut TcpStream) {
    for (due, bytes) in due {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        shared.wait_for_passage(direction);
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
}
