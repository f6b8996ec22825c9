//! Whom the edge believes to be the control plane, where TLS lies between the two: the public authorities, and those of one's own
//! that the configuration names.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

/// Certificates of authorities of one's own.
pub(crate) type Authorities = Vec<CertificateDer<'static>>;

/// The settings of every TLS connection to the control plane.
pub(crate) fn client_config(authorities: &[CertificateDer<'static>]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // Those that are no authorities were refused with the configuration.
    roots.add_parsable_certificates(authorities.iter().cloned());
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// The authorities in a file of PEM.
pub(crate) fn read_authorities(path: &Path) -> Result<Authorities, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("cannot be used: {}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
    let found = found.collect::<Result<Authorities, _>>().map_err(|error| wrong(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots.add(certificate.clone()).map_err(|error| wrong(&error))?;
    }
    if found.is_empty() { Err(wrong(&"it holds no certificate")) } else { Ok(found) }
}

/// Whether what is sent there without TLS can be read on a network that is not one's own.
pub(crate) fn is_exposed(url: &Url) -> bool {
    let private = match url.host() {
        Some(Host::Ipv4(ip)) => is_private(ip.into()),
        Some(Host::Ipv6(ip)) => is_private(ip.to_canonical()),
        // A name without a dot is one of the own network: a container's, a service's.
        Some(Host::Domain(name)) => !name.trim_end_matches('.').contains('.') || is_internal(name),
        None => true,
    };
    url.scheme() == "http" && !private
}

fn is_internal(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    ["localhost", "internal", "local", "svc"].iter().any(|end| name.ends_with(&format!(".{end}")))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_could_read() {
        for (url, exposed) in [
            ("http://127.0.0.1:8082", false),
            ("http://[::1]:8082", false),
            ("http://10.0.0.1:8082", false),
            ("http://[::ffff:192.168.0.1]:8082", false),
            ("http://[fd00::1]:8082", false),
            ("http://control-plane:8082", false),
            ("http://control-plane.cargoman.svc:8082", false),
            ("http://localhost", false),
            ("http://198.51.100.1:8082", true),
            ("http://[2001:db8::1]:8082", true),
            ("http://control.example", true),
            ("https://control.example", false),
            ("https://198.51.100.1", false),
        ] {
            assert_eq!(is_exposed(&url.parse().unwrap()), exposed, "{url}");
        }
    }

    #[test]
    fn files_of_authorities() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            read_authorities(file.path()).map(|found| found.len())
        };
        let own = rcgen::generate_simple_self_signed(vec!["control.test".to_owned()]).unwrap().cert.pem();
        assert_eq!(read(&format!("{own}{own}")), Ok(2));
        for bad in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(read(bad).unwrap_err().contains(&file.path().display().to_string()), "{bad}");
        }
        assert!(read_authorities(Path::new("/does/not/exist")).is_err());
    }
}
