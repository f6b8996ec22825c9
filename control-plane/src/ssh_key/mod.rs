//! Private keys in OpenSSH's form: makes ed25519 keys, and reads enough of a given key to tell its public half. Pure.
//!
//! The form is that of OpenSSH's PROTOCOL.key and RFC 4253 §6.6: fields with their length in front. Keys under a passphrase are refused:
//! nobody is there to type it. Nothing of a private key is ever in an error.

mod given;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::digest;
use ring::rand::SecureRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

pub use given::{GivenKeyError, read};

use crate::secrets::SecretBytes;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";
const ED25519: &str = "ssh-ed25519";
/// Of a cipher that is none.
const BLOCK: usize = 8;

/// A private key and its public half.
#[derive(Debug)]
pub struct SshKey {
    /// The private key, as text in OpenSSH's form.
    pub private_key: SecretBytes,
    /// A line of `authorized_keys`.
    pub public_key: String,
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
}

/// The system gives no random bytes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct NoRandomness;

/// Makes an ed25519 key. `comment` is printable ASCII and goes with the public half.
///
/// # Errors
/// When there is no randomness.
pub fn generate(comment: &str, random: &dyn SecureRandom) -> Result<SshKey, NoRandomness> {
    let mut seed = Zeroizing::new([0; 32]);
    let mut check = [0; 4];
    random.fill(seed.as_mut_slice()).and_then(|()| random.fill(&mut check)).map_err(|_| NoRandomness)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| NoRandomness)?;
    let public = pair.public_key().as_ref();
    let blob = wire::strings(&[ED25519.as_bytes(), public]);
    let private_key = SecretBytes::new(document(&blob, &private_section(&seed, public, comment, check)));
    Ok(SshKey { private_key, public_key: line(ED25519, &blob, comment), fingerprint: fingerprint(&blob) })
}

fn private_section(seed: &[u8; 32], public: &[u8], comment: &str, check: [u8; 4]) -> Zeroizing<Vec<u8>> {
    let both = Zeroizing::new([seed.as_slice(), public].concat());
    let mut section = Zeroizing::new(Vec::with_capacity(512 + comment.len()));
    section.extend_from_slice(&check);
    section.extend_from_slice(&check);
    for field in [ED25519.as_bytes(), public, &both, comment.as_bytes()] {
        wire::put(&mut section, field);
    }
    for byte in 1..=u8::MAX {
        if section.len().is_multiple_of(BLOCK) {
            break;
        }
        section.push(byte);
    }
    section
}

/// The armoured text, in lines of 70 characters as OpenSSH writes them.
fn document(blob: &[u8], section: &[u8]) -> Vec<u8> {
    let mut whole = Zeroizing::new(Vec::with_capacity(1024 + section.len()));
    whole.extend_from_slice(MAGIC);
    wire::put(&mut whole, b"none");
    wire::put(&mut whole, b"none");
    wire::put(&mut whole, b"");
    whole.extend_from_slice(&1u32.to_be_bytes());
    wire::put(&mut whole, blob);
    wire::put(&mut whole, section);
    let encoded = Zeroizing::new(STANDARD.encode(whole.as_slice()));
    let mut text = Vec::with_capacity(encoded.len() + 200);
    text.extend_from_slice(BEGIN.as_bytes());
    for line in encoded.as_bytes().chunks(70) {
        text.push(b'\n');
        text.extend_from_slice(line);
    }
    text.extend_from_slice(format!("\n{END}\n").as_bytes());
    text
}

fn line(algorithm: &str, blob: &[u8], comment: &str) -> String {
    format!("{algorithm} {} {comment}", STANDARD.encode(blob)).trim_end().to_owned()
}

fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(digest::digest(&digest::SHA256, blob)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::process::Command;

    use super::*;

    /// What `ssh-keygen` says of a private key: its public half, or its fingerprint.
    fn keygen(arguments: &[&str], text: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, text).unwrap();
        let done = Command::new("ssh-keygen").args(arguments).arg("-f").arg(&path).output().expect("ssh-keygen");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// OpenSSH itself reads our keys, and agrees on public half and fingerprint.
    #[test]
    fn openssh_reads_what_we_make() {
        for comment in ["cargoman", "", "c", "cargoman gitcred_01", "1234567"] {
            let key = generate(comment, &ring::rand::SystemRandom::new()).unwrap();
            assert_eq!(keygen(&["-y"], key.private_key.expose()), key.public_key, "{comment}");
            let listed = keygen(&["-l"], key.private_key.expose());
            assert!(listed.contains(&key.fingerprint) && listed.ends_with("(ED25519)"), "{listed}");
            let again = read(key.private_key.expose_text().unwrap()).unwrap();
            assert_eq!((again.public_key, again.fingerprint), (key.public_key, key.fingerprint));
        }
    }

    /// Keys that OpenSSH makes are read, whatever their algorithm; comment included.
    #[test]
    fn we_read_what_openssh_makes() {
        let folder = tempfile::tempdir().unwrap();
        for (at, (algorithm, bits)) in
            [("ed25519", "256"), ("rsa", "2048"), ("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "521")]
                .iter()
                .enumerate()
        {
            let path = folder.path().join(at.to_string());
            let made = Command::new("ssh-keygen")
                .args(["-q", "-N", "", "-C", "me at work", "-t", algorithm, "-b", bits, "-f"])
                .arg(&path)
                .status()
                .unwrap();
            assert!(made.success());
            let text = std::fs::read_to_string(&path).unwrap();
            let key = read(&text).unwrap();
            let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
            assert_eq!(key.public_key, public.trim(), "{algorithm}");
            assert!(keygen(&["-l"], text.as_bytes()).contains(&key.fingerprint), "{algorithm}");
        }
    }

    #[test]
    fn refused() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, arguments: &[&str]| {
            let path = folder.path().join(name);
            let made = Command::new("ssh-keygen").args(["-q"]).args(arguments).arg("-f").arg(&path).status().unwrap();
            assert!(made.success());
            std::fs::read_to_string(path).unwrap()
        };
        let locked = make("locked", &["-t", "ed25519", "-N", "a passphrase"]);
        let short = make("short", &["-t", "rsa", "-b", "1024", "-N", ""]);
        let pem = make("pem", &["-t", "rsa", "-m", "PEM", "-N", ""]);
        let good = make("good", &["-t", "ed25519", "-N", ""]);
        let public = std::fs::read_to_string(folder.path().join("good.pub")).unwrap();
        let cut = good.replacen(|c: char| c.is_ascii_digit(), "", 1);
        for (text, words) in [
            (locked.as_str(), "passphrase"),
            (&short, "2048"),
            (&pem, "ssh-keygen -p"),
            (&public, "public half"),
            (&cut, "not whole"),
            ("", "OpenSSH"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "not whole"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    proptest::proptest! {
        /// Whatever is given, reading does not panic; and a key with a changed byte is not taken for another one.
        #[test]
        fn garbage_is_refused(at: proptest::sample::Index, byte: u8, garbage: Vec<u8>) {
            let armoured = |bytes: &[u8]| format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(bytes));
            proptest::prop_assert!(read(&armoured(&garbage)).is_err());
            proptest::prop_assert!(read(&armoured(&[MAGIC, &garbage].concat())).is_err());
            let key = generate("c", &ring::rand::SystemRandom::new()).unwrap();
            let text = key.private_key.expose_text().unwrap();
            let encoded: String = text.lines().filter(|line| !line.starts_with('-')).collect();
            let mut bytes = STANDARD.decode(encoded).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(read) = read(&armoured(&bytes)) {
                proptest::prop_assert_eq!(read.fingerprint, key.fingerprint);
            }
        }
    }
}
