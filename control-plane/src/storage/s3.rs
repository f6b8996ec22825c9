//! A bucket: with the keys of the configuration and no others, over our own TLS. What lies around on the machine, such as another
//! program's profile or the cloud's metadata service, is never asked.

use std::time::Duration;

use opendal::{HttpTransporter, OperationContext, Operator};
use opendal_http_transport_reqwest::ReqwestTransport;

use super::{StorageError, fault};
use crate::config::{Addressing, SecretAccessKey, StorageConfig};
use crate::trust::{self, Trust};

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(5);
const AMAZON: &str = "https://s3.amazonaws.com";

/// A bucket at `endpoint`.
pub(super) fn operator(
    config: &StorageConfig,
    endpoint: Option<&str>,
    trust: &Trust,
) -> Result<Operator, StorageError> {
    let secret = secret(config)?;
    let mut builder = opendal::services::S3::default()
        .bucket(config.bucket.as_deref().unwrap_or_default())
        .endpoint(endpoint.unwrap_or(AMAZON).trim_end_matches('/'))
        .region(config.region.as_deref().unwrap_or_default())
        .access_key_id(config.access_key_id.as_deref().unwrap_or_default().trim())
        .secret_access_key(secret.expose())
        .disable_config_load()
        .disable_ec2_metadata();
    if let Some(prefix) = &config.prefix {
        builder = builder.root(prefix);
    }
    if config.addressing == Addressing::VirtualHost {
        builder = builder.enable_virtual_host_style();
    }
    let operator = Operator::new(builder)
        .map_err(|error| StorageError::Setting(format!("storage: {}; check its settings", fault::words(&error))))?;
    let transport = HttpTransporter::new(ReqwestTransport::new(client(trust)?));
    Ok(operator.with_context(OperationContext::new().with_http_transport(transport)))
}

/// The bucket in words.
pub(super) fn shown(config: &StorageConfig) -> String {
    let bucket = config.bucket.as_deref().unwrap_or_default();
    let at = config.endpoint.as_deref().unwrap_or(AMAZON);
    match &config.prefix {
        Some(prefix) => format!("the bucket {bucket} at {at}, below {prefix}/"),
        None => format!("the bucket {bucket} at {at}"),
    }
}

fn secret(config: &StorageConfig) -> Result<SecretAccessKey, StorageError> {
    const REMEDY: &str =
        "name a file that holds the secret access key, or set CARGOMAN_STORAGE__SECRET_ACCESS_KEY in the environment";
    let wrong = |what: String| StorageError::Setting(format!("storage.secret_access_key_file: {what}; {REMEDY}"));
    let secret = match (&config.secret_access_key_file, &config.secret_access_key) {
        (_, Some(secret)) => secret.clone(),
        (Some(file), None) => std::fs::read_to_string(file)
            .map(|text| SecretAccessKey::new(&text))
            .map_err(|error| wrong(format!("cannot read {}: {error}", file.display())))?,
        (None, None) => return Err(wrong("is missing".to_owned())),
    };
    if secret.expose().is_empty() { Err(wrong("is empty".to_owned())) } else { Ok(secret) }
}

/// Follows no redirect: a signature is good for one host.
pub(super) fn client(trust: &Trust) -> Result<reqwest::Client, StorageError> {
    let failed =
        |error: &dyn std::fmt::Display| StorageError::Setting(format!("cannot set up TLS for the storage: {error}"));
    let tls = trust::client_config(trust.pem()).map_err(|error| failed(&error))?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
        .map_err(|error| failed(&error))
}
