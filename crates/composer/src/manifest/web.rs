//! Recognisers for links, mail addresses and dates. They answer yes or no and never change a text.
//!
//! Only what a page or a terminal can show as a link without harm passes: `javascript:` and friends do not.

/// An `http` or `https` URL with a host.
pub(super) fn is_http_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| has_host(text, scheme))
}

/// An `irc` or `ircs` URL with a host.
pub(super) fn is_irc_url(text: &str) -> bool {
    ["irc://", "ircs://"].iter().any(|scheme| has_host(text, scheme))
}

fn has_host(text: &str, scheme: &str) -> bool {
    let Some(rest) = text.strip_prefix(scheme) else { return false };
    let clean = !rest.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\'));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, ""),
    };
    let plain = host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':' | '%'));
    clean && plain && !host.is_empty() && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// A plain mail address: no quotes, no comments, a domain with a dot.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    local.len() <= 64
        && local.split('.').all(|part| !part.is_empty() && part.bytes().all(atom))
        && domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(label)
}

/// A date that any reader understands: `2024-01-31`, optionally with a time and an offset as in RFC 3339.
pub(super) fn is_date(text: &str) -> bool {
    let Some((date, rest)) = text.split_at_checked(10) else { return false };
    let [year, month, day] = date.split('-').collect::<Vec<_>>()[..] else { return false };
    let dated = number(year, 4, 1970, 9999) && number(month, 2, 1, 12) && number(day, 2, 1, 31);
    dated && (rest.is_empty() || rest.strip_prefix(['T', ' ']).is_some_and(is_time))
}

fn is_time(text: &str) -> bool {
    let zone = text.find(['Z', '+', '-', ' ']).unwrap_or(text.len());
    let (time, zone) = text.split_at(zone);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let parts: Vec<&str> = time.split(':').collect();
    let timed = match parts[..] {
        [hour, minute] => number(hour, 2, 0, 23) && number(minute, 2, 0, 59) && fraction == "0",
        [hour, minute, second] => number(hour, 2, 0, 23) && number(minute, 2, 0, 59) && number(second, 2, 0, 60),
        _ => false,
    };
    timed && number(fraction, fraction.len().clamp(1, 9), 0, u32::MAX) && is_zone(zone)
}

fn is_zone(text: &str) -> bool {
    let text = text.strip_prefix(' ').unwrap_or(text);
    if matches!(text, "" | "Z" | "UTC") {
        return true;
    }
    let Some(offset) = text.strip_prefix(['+', '-']) else { return false };
    let digits = offset.replacen(':', "", 1);
    digits.len() == 4 && number(&digits[..2], 2, 0, 14) && number(&digits[2..], 2, 0, 59)
}

fn number(text: &str, length: usize, least: u32, most: u32) -> bool {
    let digits = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    digits && text.parse().is_ok_and(|number: u32| (least..=most).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        for url in [
            "http://a",
            "https://a.example:8080/x?y#z",
            "https://u:p@a.example/",
            "http://[::1]:80/",
            "https://ü.example",
        ] {
            assert!(is_http_url(url), "{url}");
        }
        for url in [
            "",
            "a.example",
            "javascript:alert(1)",
            "http://",
            "http:///x",
            "HTTP://a",
            "http://a b",
            "http://a:99999",
            "https://a/\"><script>",
            "mailto:a@b.example",
            "http://@",
            "ftp://a",
            "http://a\n",
            " http://a",
            "http://a:b",
        ] {
            assert!(!is_http_url(url), "{url:?}");
        }
        assert!(is_irc_url("irc://irc.example/composer") && is_irc_url("ircs://a") && !is_irc_url("http://a"));
    }

    #[test]
    fn mail_addresses() {
        for address in ["a@b.example", "first.last+tag@sub.b-c.example"] {
            assert!(is_email(address), "{address}");
        }
        for address in [
            "",
            "a",
            "a@b",
            "a@b.example\nBcc: c@d.example",
            "a b@c.example",
            ".a@b.example",
            "a@-b.example",
            "a@b@c.d",
        ] {
            assert!(!is_email(address), "{address:?}");
        }
    }

    #[test]
    fn dates() {
        for date in [
            "2024-01-31",
            "2024-01-31 10:20",
            "2024-01-31T10:20:30Z",
            "2024-01-31T10:20:30.5+02:00",
            "2024-01-31 10:20:30 UTC",
        ] {
            assert!(is_date(date), "{date}");
        }
        for date in [
            "",
            "yesterday",
            "2024-13-01",
            "2024-1-1",
            "2024-01-31T",
            "2024-01-31T25:00",
            "2024-01-31T10:20:30+99:00",
            "2024-01-3é",
        ] {
            assert!(!is_date(date), "{date:?}");
        }
    }
}
