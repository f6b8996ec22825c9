//! `[storage]`: where dists lie. A folder or a bucket, never a mixture: keys of the other kind are errors.

use std::path::PathBuf;

use serde::Deserialize;

/// Where dists lie.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// Kind of storage.
    pub kind: StorageKind,
    /// Folder of the kind `fs`; without it `storage` in the data folder.
    pub root: Option<PathBuf>,
    /// Bucket of the kind `s3`.
    pub bucket: Option<String>,
    /// Address of the S3 service, `https://s3.eu-central-1.amazonaws.com`; without it that of Amazon.
    pub endpoint: Option<String>,
    /// The same as customers reach it, where that is another one: presigned redirects name it.
    pub public_endpoint: Option<String>,
    /// Region of the bucket; `auto` at Cloudflare, `us-east-1` at MinIO.
    pub region: Option<String>,
    /// How the bucket stands in addresses.
    pub addressing: Addressing,
    /// Keys begin so.
    pub prefix: Option<String>,
    /// Who signs.
    pub access_key_id: Option<String>,
    /// A file that holds the secret access key.
    pub secret_access_key_file: Option<PathBuf>,
    /// The secret access key: from the environment, never from the file.
    #[serde(skip)]
    pub secret_access_key: Option<SecretAccessKey>,
    /// Days that a dist is kept after the last version that needs it is gone.
    pub retention_days: u32,
}

/// Kind of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// A folder.
    Fs,
    /// A bucket of an S3 service.
    S3,
}

/// How a bucket stands in addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressing {
    /// `https://endpoint/bucket/key`: every service knows it.
    Path,
    /// `https://bucket.endpoint/key`: what Amazon asks of new buckets.
    VirtualHost,
}

/// A secret access key. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretAccessKey(String);

impl SecretAccessKey {
    /// The key without the white space around it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The key itself: for signing and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretAccessKey(…)")
    }
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            kind: StorageKind::Fs,
            root: None,
            bucket: None,
            endpoint: None,
            public_endpoint: None,
            region: None,
            addressing: Addressing::Path,
            prefix: None,
            access_key_id: None,
            secret_access_key_file: None,
            secret_access_key: None,
            retention_days: 30,
        }
    }
}

impl StorageConfig {
    /// A folder.
    #[must_use]
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        Self { root: Some(root.into()), ..Self::default() }
    }

    /// Everything that makes no sense, each with its key.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = match self.kind {
            StorageKind::Fs => {
                self.set_for_s3().map(|key| format!("storage.{key}: is for storage.kind = \"s3\"")).collect()
            }
            StorageKind::S3 => self.problems_of_s3(),
        };
        if self.retention_days > 36_500 {
            problems.push("storage.retention_days: must be 0 to 36500 (a hundred years)".to_owned());
        }
        problems
    }

    fn set_for_s3(&self) -> impl Iterator<Item = &'static str> {
        let set = [
            ("bucket", self.bucket.is_some()),
            ("endpoint", self.endpoint.is_some()),
            ("public_endpoint", self.public_endpoint.is_some()),
            ("region", self.region.is_some()),
            ("prefix", self.prefix.is_some()),
            ("access_key_id", self.access_key_id.is_some()),
            ("secret_access_key_file", self.secret_access_key_file.is_some()),
        ];
        set.into_iter().filter(|(_, set)| *set).map(|(key, _)| key)
    }

    fn problems_of_s3(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut say = |key: &str, problem: &str| problems.push(format!("storage.{key}: {problem}"));
        if self.root.is_some() {
            say("root", "is for storage.kind = \"fs\"; here keys begin with storage.prefix");
        }
        match self.bucket.as_deref() {
            None => say("bucket", "must be set for storage.kind = \"s3\""),
            Some(bucket) if !is_bucket(bucket) => {
                say(
                    "bucket",
                    "must be 3 to 63 small letters, digits, `-` and `.`, with a letter or digit at both ends",
                );
            }
            Some(bucket) if bucket.contains('.') && self.addressing == Addressing::VirtualHost => {
                say("addressing", "must be \"path\" for a bucket with dots in its name: no certificate fits its host");
            }
            Some(_) => {}
        }
        if self.region.as_deref().is_none_or(|region| !is_word(region)) {
            say("region", "must be set: the bucket's region; \"auto\" at Cloudflare, \"us-east-1\" at MinIO");
        }
        if self.access_key_id.as_deref().is_none_or(|id| id.trim().is_empty()) {
            say("access_key_id", "must be set: the id of the key that signs");
        }
        for (key, endpoint) in [("endpoint", &self.endpoint), ("public_endpoint", &self.public_endpoint)] {
            if endpoint.as_deref().is_some_and(|endpoint| !is_endpoint(endpoint)) {
                say(key, "must be https:// or http://, a host and at most a port: https://s3.example.com");
            }
        }
        if self.prefix.as_deref().is_some_and(|prefix| !is_prefix(prefix)) {
            say(
                "prefix",
                "must be words of letters, digits, `.`, `_` and `-`, separated by single slashes: cargoman/production",
            );
        }
        problems
    }
}

fn is_bucket(text: &str) -> bool {
    let bytes = text.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: &u8| plain(byte) || matches!(byte, b'-' | b'.');
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(inner)
        && bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && !text.contains("..")
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_endpoint(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        matches!(url.scheme(), "http" | "https") && bare && url.host_str().is_some()
    })
}

/// What the library would trim or collapse is refused: two prefixes must not mean the same place.
fn is_prefix(text: &str) -> bool {
    text.len() <= 200 && text.split('/').all(|part| is_word(part) && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(toml: &str) -> Vec<String> {
        toml::from_str::<StorageConfig>(toml).unwrap().problems()
    }

    #[test]
    fn each_problem_names_its_key() {
        const GOOD: &str = "kind = \"s3\"\nbucket = \"dists\"\nregion = \"auto\"\naccess_key_id = \"A\"\n";
        assert!(problems("").is_empty());
        assert!(problems(GOOD).is_empty());
        let more = |line: &str| problems(&format!("{GOOD}{line}"));
        for good in ["prefix = \"a/b.c\"", "endpoint = \"http://127.0.0.1:9000\"", "addressing = \"virtual-host\""] {
            assert_eq!(more(good), [""; 0], "{good}");
        }
        for (line, key) in [
            ("root = \"/x\"", "storage.root"),
            ("prefix = \"/a\"", "storage.prefix"),
            ("prefix = \"a//b\"", "storage.prefix"),
            ("prefix = \"a/../b\"", "storage.prefix"),
            ("prefix = \"\"", "storage.prefix"),
            ("endpoint = \"s3.example.com\"", "storage.endpoint"),
            ("endpoint = \"https://s3.example.com/bucket\"", "storage.endpoint"),
            ("endpoint = \"https://a:b@s3.example.com\"", "storage.endpoint"),
            ("public_endpoint = \"ftp://x\"", "storage.public_endpoint"),
            ("retention_days = 40000", "storage.retention_days"),
        ] {
            let found = more(line);
            assert!(found.len() == 1 && found[0].starts_with(&format!("{key}: ")), "{line}: {found:?}");
        }
        assert_eq!(problems("kind = \"s3\"").len(), 3);
        assert_eq!(problems("bucket = \"dists\"\nregion = \"x\"").len(), 2, "of the other kind");
        for bad in ["ab", "Dists", "-dists", "dists.", "a..b", "a/b"] {
            assert!(!is_bucket(bad), "{bad}");
        }
    }

    #[test]
    fn the_secret_stands_in_no_file_and_in_no_log() {
        assert!(toml::from_str::<StorageConfig>("secret_access_key = \"x\"").is_err());
        let key = SecretAccessKey::new(" secret\n");
        assert_eq!(key.expose(), "secret");
        let config = StorageConfig { secret_access_key: Some(key), ..StorageConfig::default() };
        assert!(!format!("{config:?}").contains("secret\""), "{config:?}");
    }
}
