//! Certificates from files, chosen by the name that a client asks for. Files that change are read again while the edge runs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Where a certificate with its chain lies, and its key; both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, then those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The certificates of this edge, as they are now.
#[derive(Debug)]
pub(crate) struct Certificates {
    files: Vec<CertificateFiles>,
    present: ArcSwap<Named>,
}

/// By name. Names are in lower case; wildcards are kept by what follows their star.
#[derive(Debug)]
struct Named {
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcards: HashMap<String, Arc<CertifiedKey>>,
    /// For clients that name nobody: those that were given an address.
    first: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// With a line for each file that cannot be used.
    pub(crate) fn read(files: &[CertificateFiles]) -> Result<Self, Vec<String>> {
        Ok(Self { files: files.to_vec(), present: ArcSwap::from_pointee(Named::read(files)?) })
    }

    /// Reads them again whenever one of them is another, for as long as it is polled. What cannot be used is told, and the
    /// certificates from before go on.
    pub(crate) async fn follow(self: Arc<Self>) {
        if self.files.is_empty() {
            return;
        }
        let (mut known, mut told) = (self.looks(), None);
        loop {
            tokio::time::sleep(EVERY).await;
            let looks = self.looks();
            if looks == known {
                continue;
            }
            match Named::read(&self.files) {
                Ok(named) => {
                    self.present.store(Arc::new(named));
                    known = looks;
                    tracing::info!(target: "cargoman::edge", "certificates were read again");
                }
                // A certificate and its key are two files, written one after the other: it is tried until they belong together.
                Err(problems) if told.as_ref() != Some(&looks) => {
                    let problems = problems.join("; ");
                    tracing::warn!(target: "cargoman::edge", problems, "new certificates cannot be used; the old ones go on");
                    told = Some(looks);
                }
                Err(_) => {}
            }
        }
    }

    fn looks(&self) -> Vec<Option<(SystemTime, u64)>> {
        let look = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.files.iter().flat_map(|files| [look(&files.certificate), look(&files.key)]).collect()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.present.load().find(hello.server_name())
    }
}

impl Named {
    fn read(files: &[CertificateFiles]) -> Result<Self, Vec<String>> {
        let mut named = Self { exact: HashMap::new(), wildcards: HashMap::new(), first: None };
        let mut problems = Vec::new();
        for files in files {
            match certified(files) {
                Ok((names, key)) => named.add(&names, &key),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(named) } else { Err(problems) }
    }

    /// Of two certificates for a name the one that stands first.
    fn add(&mut self, names: &[String], key: &Arc<CertifiedKey>) {
        self.first.get_or_insert_with(|| Arc::clone(key));
        for name in names {
            let name = name.to_ascii_lowercase();
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcards, parent.to_owned()),
                None => (&mut self.exact, name),
            };
            map.entry(name).or_insert_with(|| Arc::clone(key));
        }
    }

    /// A star stands for one label. For a name that is nobody's there is nothing, which ends the handshake.
    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let Some(name) = name else { return self.first.clone() };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(&name).or_else(wildcard).cloned()
    }
}

fn certified(files: &CertificateFiles) -> Result<(Vec<String>, Arc<CertifiedKey>), String> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let of_certificate = |error: &dyn std::fmt::Display| wrong(&files.certificate, error);
    let chain = CertificateDer::pem_file_iter(&files.certificate).map_err(|error| of_certificate(&error))?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|error| of_certificate(&error))?;
    let first = chain.first().ok_or_else(|| of_certificate(&"it holds no certificate"))?;
    let end = EndEntityCert::try_from(first).map_err(|error| of_certificate(&error))?;
    let names: Vec<String> = end.valid_dns_names().map(str::to_owned).collect();
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| wrong(&files.key, &format!("{error}; is it the key of {}?", files.certificate.display())))?;
    Ok((names, Arc::new(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, names: &[&str]) -> CertificateFiles {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let own = rcgen::generate_simple_self_signed(names).unwrap();
        let files = CertificateFiles {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        std::fs::write(&files.certificate, own.cert.pem()).unwrap();
        std::fs::write(&files.key, own.signing_key.serialize_pem()).unwrap();
        files
    }

    /// E-H12, in small.
    #[test]
    fn by_name() {
        let folder = tempfile::tempdir().unwrap();
        let all = write(folder.path(), "all", &["*.example.com", "example.com"]);
        let own = write(folder.path(), "own", &["Packages.Example.com", "shop.example"]);
        let certificates = Certificates::read(&[all, own]).unwrap();
        let present = certificates.present.load();
        let find = |name: Option<&str>| present.find(name).map(|key| key.cert.clone());
        let (all, own) = (find(Some("a.example.com")), find(Some("shop.example")));
        assert!(all.is_some() && own.is_some() && all != own);
        for (name, expected) in [
            (Some("example.com"), &all),
            (Some("A.EXAMPLE.com."), &all),
            (Some("packages.example.com"), &own),
            (Some("a.b.example.com"), &None),
            (Some("com"), &None),
            (Some("other.example"), &None),
            (None, &all),
        ] {
            assert_eq!(&find(name), expected, "{name:?}");
        }
    }

    #[test]
    fn what_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (write(folder.path(), "one", &["a.example"]), write(folder.path(), "other", &["b.example"]));
        let mixed = CertificateFiles { key: other.key.clone(), ..one.clone() };
        let empty = CertificateFiles { certificate: one.key.clone(), ..one.clone() };
        let missing = CertificateFiles { key: folder.path().join("none"), ..one.clone() };
        let problems = Certificates::read(&[mixed, one, empty, missing]).unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("is it the key of"), "{problems:?}");
        assert!(problems[1].contains("no certificate"), "{problems:?}");
        assert!(problems[2].contains("none"), "{problems:?}");
    }
}
