//! Which content coding an answer may take: zstd, gzip or none.

use bytes::Bytes;
use http::{HeaderMap, header};

/// Most bytes of `Accept-Encoding` that are read; the rest changes nothing.
const MOST_READ: usize = 1_024;

/// Bodies below this size are not worth compressing.
const LEAST: usize = 860;

/// How the bytes of a body are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Coding {
    /// As they are.
    #[default]
    Identity,
    /// What Composer asks for, and what documents are held in.
    Gzip,
    /// Smaller, for clients that offer it.
    Zstd,
}

impl Coding {
    /// What stands in `Content-Encoding`.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// The coding that a client gets: the smallest it takes. Without a word on it, none. How much it likes one better than the other
/// is not looked at: it takes both.
pub(crate) fn coding(headers: &HeaderMap) -> Coding {
    let (mut gzip, mut zstd, mut any) = (None, None, None);
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        let bytes = value.as_bytes();
        let Ok(text) = std::str::from_utf8(bytes.get(..MOST_READ).unwrap_or(bytes)) else { continue };
        for item in text.split(',') {
            let mut parts = item.split(';');
            let coding = parts.next().unwrap_or_default().trim();
            let wanted = !parts.any(|part| is_zero(part.trim()));
            let said = match coding {
                "*" => &mut any,
                _ if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => &mut gzip,
                _ if coding.eq_ignore_ascii_case("zstd") => &mut zstd,
                _ => continue,
            };
            // The first word on it counts.
            said.get_or_insert(wanted);
        }
    }
    match (zstd, gzip.or(any)) {
        (Some(true), _) => Coding::Zstd,
        (_, Some(true)) => Coding::Gzip,
        _ => Coding::Identity,
    }
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

/// What [`gzip`] made something of.
pub(crate) fn gunzip(packed: &[u8], length: usize) -> Option<Bytes> {
    let mut out = vec![0; length];
    let unpacked = libdeflater::Decompressor::new().gzip_decompress(packed, &mut out).ok()?;
    (unpacked == length).then(|| Bytes::from(out))
}

/// The zstd form, small: made once for many requests, but while one waits for it.
pub(crate) fn zstd(identity: &[u8]) -> Option<Bytes> {
    zstd::bulk::compress(identity, 9).ok().map(Bytes::from)
}

/// The zstd form, made for one request, where it is worth it.
pub(crate) fn zstd_quickly(identity: &[u8]) -> Option<Bytes> {
    let packed = zstd::bulk::compress(identity, 1).ok().filter(|_| identity.len() >= LEAST)?;
    (packed.len() < identity.len()).then(|| Bytes::from(packed))
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
            ("deflate, gzip, br", true),
            ("gzip, zstd;q=0", true),
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
            let expected = if expected { Coding::Gzip } else { Coding::Identity };
            assert_eq!(coding(&headers), expected, "{}", value.get(..40).unwrap_or(value));
        }
        assert_eq!(coding(&HeaderMap::new()), Coding::Identity);
    }

    #[test]
    fn zstd_where_it_is_offered() {
        for value in ["zstd", "gzip, deflate, br, zstd", "ZSTD;q=0.1, gzip", "gzip;q=0, zstd"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            assert_eq!(coding(&headers), Coding::Zstd, "{value}");
        }
    }

    #[test]
    fn compressed_bytes_come_back() {
        let body = "{\"packages\":[]}".repeat(200);
        let packed = gzip(body.as_bytes(), 6).unwrap();
        let mut out = vec![0; body.len()];
        assert_eq!(libdeflater::Decompressor::new().gzip_decompress(&packed, &mut out).unwrap(), body.len());
        assert_eq!(out, body.as_bytes());
        assert_eq!(gunzip(&packed, body.len()).unwrap(), body.as_bytes());
        assert_eq!(gunzip(&packed, body.len() + 1), None);
        assert_eq!(zstd::bulk::decompress(&zstd(body.as_bytes()).unwrap(), body.len()).unwrap(), body.as_bytes());
        assert_eq!(gzip(b"short", 6), None);
    }
}
