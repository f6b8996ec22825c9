//! Decides whom the control plane believes over TLS when it connects to others: the authorities the web trusts, and those the operator
//! names in `trust.ca_files`. Must never connect without checking.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Further authorities, as PEM text.
#[derive(Debug, Clone, Default)]
pub struct Trust(Option<String>);

/// Something that should be certificates is not.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file of the configuration.
    #[error("trust.ca_files: {0}: {1}; name a file of certificates as PEM text")]
    File(PathBuf, String),
    /// PEM text that has come from elsewhere.
    #[error("root_certificates: {0}; give certificates as PEM text")]
    Text(String),
    /// The TLS library.
    #[error("cannot set up TLS: {0}")]
    Library(#[from] rustls::Error),
}

impl Trust {
    /// Reads the files, each of which must hold a certificate that can be an authority's.
    ///
    /// # Errors
    /// With the file's name.
    pub fn read(files: &[PathBuf]) -> Result<Self, TrustError> {
        let mut all = String::new();
        for file in files {
            let wrong = |what: String| TrustError::File(file.clone(), what);
            let text = read(file).map_err(wrong)?;
            if roots(&text).map_err(wrong)?.is_empty() {
                return Err(TrustError::File(file.clone(), "it holds no certificate".to_owned()));
            }
            all.push_str(&text);
            all.push('\n');
        }
        Ok(Self(Some(all).filter(|all| !all.is_empty())))
    }

    /// The further authorities; none: only the web's.
    #[must_use]
    pub fn pem(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

fn read(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"))
}

fn roots(pem: &str) -> Result<rustls::RootCertStore, String> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

/// How TLS is spoken as a client that believes the web's authorities and these.
///
/// # Errors
/// When `pem` is no list of certificates.
pub fn client_config(pem: Option<&str>) -> Result<rustls::ClientConfig, TrustError> {
    let mut all = roots(pem.unwrap_or_default()).map_err(TrustError::Text)?;
    all.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(all)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let authority = rcgen::generate_simple_self_signed(["forge.internal".to_owned()]).unwrap().cert.pem();
        let good = write("good.pem", &authority);
        assert!(Trust::read(&[]).unwrap().pem().is_none());
        let twice = Trust::read(&[good.clone(), good.clone()]).unwrap();
        assert_eq!(twice.pem().unwrap().matches("BEGIN CERTIFICATE").count(), 2);
        assert!(client_config(twice.pem()).is_ok());
        for (name, text, words) in [
            ("empty.pem", "", "no certificate"),
            ("text.pem", "hello", "no certificate"),
            ("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "broken.pem"),
        ] {
            let error = Trust::read(&[good.clone(), write(name, text)]).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(name), "{error}");
        }
        assert!(Trust::read(&[folder.path().join("missing")]).unwrap_err().to_string().contains("cannot be read"));
        assert!(client_config(Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")).is_err());
    }
}
