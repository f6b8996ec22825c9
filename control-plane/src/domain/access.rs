//! Decides what becomes of the words of a grant or token that an operator wrote: checked here, kept verbatim.

use cargoman_composer::constraint::Constraint;
use cargoman_composer::stability::Stability;
use cargoman_licence::{PackageGlob, Scope};

/// Why a word is refused; the caller names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WordError(pub String);

/// A Composer constraint, kept as written.
///
/// # Errors
/// When Composer would not read it.
pub fn constraint(text: &str) -> Result<String, WordError> {
    Constraint::parse(text).map(|_| text.to_owned()).map_err(|error| WordError(error.to_string()))
}

/// A stability in any case, in its one spelling.
///
/// # Errors
/// When it is none.
pub fn stability(text: &str) -> Result<String, WordError> {
    text.parse::<Stability>()
        .map(|stability| stability.to_string())
        .map_err(|_| WordError("must be one of stable, RC, beta, alpha, dev".to_owned()))
}

/// A token's scope.
///
/// # Errors
/// When there is no such scope.
pub fn scope(text: &str) -> Result<Scope, WordError> {
    [Scope::Download, Scope::Admin, Scope::Developer, Scope::Webhook]
        .into_iter()
        .find(|scope| scope.as_str() == text)
        .ok_or_else(|| WordError("must be one of download, admin, developer, webhook".to_owned()))
}

/// A pattern of package names.
///
/// # Errors
/// When it is none.
pub fn package_glob(text: &str) -> Result<PackageGlob, WordError> {
    PackageGlob::parse(text).map_err(|error| WordError(error.to_string()))
}

/// Whether metadata shows where the source lies, in its one spelling.
///
/// # Errors
/// When it is neither `hide` nor `show`.
pub fn source(text: &str) -> Result<String, WordError> {
    match text {
        "hide" | "show" => Ok(text.to_owned()),
        _ => Err(WordError("must be `hide` or `show`; null for what the package, then the registry says".to_owned())),
    }
}
