//! Which content coding an answer may take: gzip or none.

use bytes::Bytes;
use http::{HeaderMap, header};

/// Most bytes of `Accept-Encoding` that are read; the rest changes nothing.
const MOST_READ: usize = 1_024;

/// Bodies below this size are not worth compressing.
const LEAST: usize = 860;

/// Whether the client takes gzip. Without a word on it, it does not.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        let bytes = value.as_bytes();
        let Ok(text) = std::str::from_utf8(bytes.get(..MOST_READ).unwrap_or(bytes)) else { continue };
        for item in text.split(',') {
            let mut parts = item.split(';');
            let coding = parts.next().unwrap_or_default().trim();
            let wanted = !parts.any(|part| is_zero(part.trim()));
            if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
                return wanted;
            }
            if coding == "*" {
                any = Some(wanted);
            }
        }
    }
    any.unwrap_or(false)
}

fn is_zero(parameter: &str) -> bool {
    let quality = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="));
    quality.is_some_and(|quality| quality.starts_with('0') && quality.bytes().all(|byte| byte == b'0' || byte == b'.'))
}

/// The gzip form, where it is smaller. `level` 1 is quick, 9 is small.
pub(crate) fn gzip(identity: &[u8], level: i32) -> Option<Bytes> {
    if identity.len() < LEAST {
        return None;
    }
    let level = libdeflater::CompressionLvl::new(level).ok()?;
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(identity.len())];
    let length = compressor.gzip_compress(identity, &mut out).ok()?;
    out.truncate(length);
    out.shrink_to_fit();
    (length < identity.len()).then(|| Bytes::from(out))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// E-G7.
    #[test]
    fn table() {
        let thousand = "br,".repeat(1_000) + "gzip";
        for (value, expected) in [
            ("gzip", true),
            ("deflate, gzip, br, zstd", true),
            ("GZIP;q=0.5", true),
            ("x-gzip", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("gzip;q=0, identity;q=0", false),
            ("*;q=0", false),
            ("identity", false),
            ("br", false),
            ("", false),
            (&thousand, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            assert_eq!(accepts_gzip(&headers), expected, "{}", value.get(..40).unwrap_or(value));
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn compressed_bytes_come_back() {
        let body = "{\"packages\":[]}".repeat(200);
        let packed = gzip(body.as_bytes(), 6).unwrap();
        let mut out = vec![0; body.len()];
        assert_eq!(libdeflater::Decompressor::new().gzip_decompress(&packed, &mut out).unwrap(), body.len());
        assert_eq!(out, body.as_bytes());
        assert_eq!(gzip(b"short", 6), None);
    }
}
