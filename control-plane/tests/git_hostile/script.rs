//! A server that answers each request as its script says, byte for byte: nothing of HTTP or git is put right on the way.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// What was asked; the body is read to its end.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
}

pub(crate) type Script = Arc<dyn Fn(&Asked, &mut TcpStream) -> io::Result<()> + Send + Sync>;

/// Serves until the test's process ends; gives the port.
pub(crate) fn serve(script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = Arc::clone(&script);
            // A client that hangs up on its tormentor is what is wanted.
            std::thread::spawn(move || drop(answer(stream, &script)));
        }
    });
    port
}

fn answer(mut stream: TcpStream, script: &Script) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let asked = read(&mut BufReader::new(stream.try_clone()?))?;
    script(&asked, &mut stream)?;
    stream.flush()
}

fn read(reader: &mut impl BufRead) -> io::Result<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line)? > 0 && !line.trim().is_empty() {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length])?;
    Ok(Asked { method, target })
}

pub(crate) const LISTING: &str = "application/x-git-upload-pack-advertisement";
pub(crate) const RESULT: &str = "application/x-git-upload-pack-result";

/// The head of an answer whose body ends with the connection.
pub(crate) fn head(stream: &mut TcpStream, kind: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {kind}\r\n\r\n")
}

/// A whole answer.
pub(crate) fn reply(stream: &mut TcpStream, kind: &str, body: &[u8]) -> io::Result<()> {
    head(stream, kind)?;
    stream.write_all(body)
}

/// The same bytes again and again, until the client hangs up.
pub(crate) fn endless(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let many = bytes.repeat(64 * 1024 / bytes.len() + 1);
    loop {
        stream.write_all(&many)?;
    }
}

/// One byte every 50 ms: never silent, never done.
pub(crate) fn drip(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes.iter().cycle() {
        stream.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A packet of git's protocol.
pub(crate) fn packet(payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    [format!("{:04x}", payload.len() + 4).as_bytes(), payload].concat()
}

/// A list of refs in version 0 of the protocol.
pub(crate) fn listing(refs: &[(&str, &str)], capabilities: &str) -> Vec<u8> {
    let mut out = [packet("# service=git-upload-pack\n"), b"0000".to_vec()].concat();
    for (at, (oid, name)) in refs.iter().enumerate() {
        let capabilities = if at == 0 { format!("\0{capabilities}") } else { String::new() };
        out.extend_from_slice(&packet(format!("{oid} {name}{capabilities}\n")));
    }
    out.extend_from_slice(b"0000");
    out
}
