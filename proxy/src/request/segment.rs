//! How a version stands in the path of a dist.

use cargoman_edge_protocol::Version;

/// The path segment that names a version: as it is, or its MD5 where it would not be one plain segment.
pub(crate) fn segment(version: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+@-".contains(&byte);
    if version.bytes().all(plain) { version.to_owned() } else { md5_hex(version) }
}

/// Clients put the version itself or its MD5 into a mirror's URL, depending on the slash in it; both name it.
pub(crate) fn is_named(version: &Version, segment: &str) -> bool {
    let normalized = version.version.normalized();
    normalized == segment || (segment.len() == 32 && md5_hex(normalized) == segment)
}

fn md5_hex(text: &str) -> String {
    use md5::Digest as _;
    use std::fmt::Write as _;
    md5::Md5::digest(text.as_bytes()).iter().fold(String::with_capacity(32), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments() {
        for plain in ["1.0.0.0", "dev-main", "1.0.0.0-beta1", "dev-a+b", "2.x-dev"] {
            assert_eq!(segment(plain), plain);
        }
        // RFC 1321, appendix A.5.
        assert_eq!(md5_hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
        for odd in ["dev-feature/x", "dev-a#b", "dev-é", "dev-a%b", "dev-a b", "dev-a?b"] {
            assert_eq!(segment(odd), md5_hex(odd));
        }
    }
}
