//! How the control plane reaches others: whom it believes, and through what it goes.

use std::path::PathBuf;

use serde::Deserialize;

use super::Config;
use crate::git::network::{Network, ProxyUrl};
use crate::trust::Trust;

/// Whom the control plane believes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustConfig {
    /// Files of certificates, PEM, of authorities that are believed beside the web's.
    pub ca_files: Vec<PathBuf>,
}

/// Through what the control plane goes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Proxy for https to git servers that are not in `git.allowed_hosts`.
    pub proxy: Option<ProxyUrl>,
}

impl Config {
    /// What git workers may reach.
    #[must_use]
    pub fn network(&self, trust: &Trust) -> Network {
        Network {
            allow_local: self.git.allow_local,
            allowed_hosts: self.git.allowed_hosts.clone(),
            allowed_ports: self.git.allowed_ports.clone(),
            known_hosts: self.git.known_hosts.clone(),
            root_certificates: trust.pem().map(str::to_owned),
            proxy: self.network.proxy.clone(),
        }
    }
}
