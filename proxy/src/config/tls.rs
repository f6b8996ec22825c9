//! The section `[tls]`: HTTPS at the edge, with certificates from files.

use std::net::SocketAddr;

use toml::{Table, Value};

use crate::settings::{self, Section};
use crate::tls::{CertificateFiles, Certificates};

/// HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Where to listen; nowhere: no HTTPS.
    pub listen: Vec<SocketAddr>,
    /// What clients are shown, by the name they ask for.
    pub certificates: Vec<CertificateFiles>,
    /// Whether requests without TLS are sent to the same address with it.
    pub redirect: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self { listen: Vec::new(), certificates: Vec::new(), redirect: true }
    }
}

impl Tls {
    /// Takes the section out of `root`. Certificates are read once here, so that a wrong file is told before anything starts.
    pub(super) fn take(root: &mut Table, problems: &mut Vec<String>) -> Self {
        let entries = match root.get_mut("tls").and_then(Value::as_table_mut).and_then(|tls| tls.remove("certificates"))
        {
            None => Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(_) => {
                problems.push("tls.certificates must be a list: write `[[tls.certificates]]`".to_owned());
                Vec::new()
            }
        };
        let mut certificates = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut wrapper = Table::from_iter([("tls.certificates".to_owned(), entry)]);
            let mut section = Section::take(&mut wrapper, "tls.certificates", problems);
            let (certificate, key) =
                (section.require("certificate", settings::path), section.require("key", settings::path));
            section.finish();
            if let Some((certificate, key)) = certificate.zip(key) {
                certificates.push(CertificateFiles { certificate, key });
            }
        }
        let mut section = Section::take(root, "tls", problems);
        let listen = section.list("listen", settings::SOCKET_ADDRESS).unwrap_or_default();
        let redirect = section.read("redirect", settings::boolean).unwrap_or(true);
        if certificates.is_empty() && !listen.is_empty() {
            section.problem(
                "certificates",
                "is missing: name at least one `[[tls.certificates]]` with `certificate` and `key`",
            );
        }
        section.finish();
        if let Err(wrong) = Certificates::read(&certificates) {
            problems.extend(wrong.into_iter().map(|wrong| format!("tls.certificates: {wrong}")));
        }
        Self { listen, certificates, redirect }
    }
}
