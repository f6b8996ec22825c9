//! What a failure of the storage means, in words for the operator: which setting is wrong, and what to do.

use opendal::ErrorKind;

/// The failure without what only a developer could read.
pub(super) fn words(error: &opendal::Error) -> String {
    if let Some(code) = code(error) {
        return match message_of_service(error) {
            Some(message) if !message.is_empty() => format!("{code}: {message}"),
            _ => code.to_owned(),
        };
    }
    let mut text = error.message().lines().next().unwrap_or_default().trim().to_owned();
    // The library says what it did; the cause says why that failed.
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = if text.is_empty() { cause_text } else { format!("{text}: {cause_text}") };
        }
        source = cause.source();
    }
    if text.is_empty() { error.kind().to_string() } else { text }
}

/// Which setting a refusal of an S3 service is about, and what to do; none when it may pass by itself.
pub(super) fn setting(error: &opendal::Error, place: &str) -> Option<String> {
    let about = match code(error) {
        Some("NoSuchBucket") => {
            "storage.bucket: there is no such bucket; create it, or correct the name or storage.endpoint"
        }
        Some("InvalidBucketName") => "storage.bucket: the service does not take this name; correct it",
        Some("InvalidAccessKeyId") => {
            "storage.access_key_id: the service does not know this key; correct it or make a new one"
        }
        Some("SignatureDoesNotMatch") => {
            "storage.secret_access_key_file: the key does not belong to storage.access_key_id; correct it (or \
             CARGOMAN_STORAGE__SECRET_ACCESS_KEY), and look whether storage.region is the bucket's"
        }
        Some("RequestTimeTooSkewed" | "RequestExpired") => {
            "this machine's clock is wrong by many minutes, so signatures are refused; let it be set by NTP"
        }
        Some("AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException") => {
            "storage.region or storage.endpoint: the bucket is in another region; set the one the service names"
        }
        Some("AccessDenied" | "AllAccessDisabled" | "AccountProblem") => {
            "storage.access_key_id: this key may not do it; allow it GetObject, PutObject, DeleteObject, AbortMultipartUpload and \
             ListBucket on the bucket"
        }
        _ => match error.kind() {
            ErrorKind::PermissionDenied => {
                "storage.root or storage.access_key_id: not allowed; correct the permissions of the folder or of the key"
            }
            ErrorKind::ConfigInvalid | ErrorKind::Unsupported => {
                "storage: the settings do not fit this service; check each"
            }
            _ => return None,
        },
    };
    Some(format!("{about} ({place} said: {})", words(error)))
}

/// The code of an S3 service's answer, as the library quotes it.
fn code(error: &opendal::Error) -> Option<&str> {
    quoted(error.message(), "code: \"").filter(|code| !code.is_empty())
}

fn message_of_service(error: &opendal::Error) -> Option<&str> {
    quoted(error.message(), "message: \"")
}

fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let (_, rest) = text.strip_prefix("S3Error {")?.split_once(before)?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use opendal::Error;

    use super::*;

    #[test]
    fn what_a_refusal_is_about() {
        let refused = |code: &str| {
            let text = format!("S3Error {{ code: \"{code}\", message: \"No.\", resource: \"\", request_id: \"1\" }}");
            Error::new(ErrorKind::Unexpected, text)
        };
        for (code, about) in [
            ("NoSuchBucket", Some("storage.bucket")),
            ("InvalidAccessKeyId", Some("storage.access_key_id")),
            ("SignatureDoesNotMatch", Some("storage.secret_access_key_file")),
            ("RequestTimeTooSkewed", Some("clock")),
            ("AuthorizationHeaderMalformed", Some("storage.region")),
            ("AccessDenied", Some("storage.access_key_id")),
            ("SlowDown", None),
            ("InternalError", None),
        ] {
            let error = refused(code);
            let said = setting(&error, "the bucket b");
            assert_eq!(said.is_some(), about.is_some(), "{code}: {said:?}");
            assert!(said.is_none_or(|said| said.contains(about.unwrap()) && said.contains(code)), "{code}");
            assert_eq!(words(&error), format!("{code}: No."));
        }
        assert!(setting(&Error::new(ErrorKind::Unexpected, "connection refused"), "x").is_none());
        let caused =
            Error::new(ErrorKind::Unexpected, "send http request").set_source(std::io::Error::other("refused"));
        assert_eq!(words(&caused), "send http request: refused");
    }
}
