//! Whom the edge believes to be the control plane, where TLS lies between the two.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// The settings of every TLS connection to the control plane.
pub(crate) fn client_config() -> Arc<ClientConfig> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
