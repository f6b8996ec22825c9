//! How a command ends when it does not succeed.

use std::process::ExitCode;

use cargoman_control_plane::server::StartError;

/// A failed command: its exit code and what the person reads.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Something failed: 1.
    pub(crate) fn failed(message: impl ToString) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// Wrong usage or configuration: 2.
    pub(crate) fn usage(message: impl ToString) -> Self {
        Self { code: 2, message: message.to_string() }
    }

    /// The database: 3.
    pub(crate) fn database(message: impl ToString) -> Self {
        Self { code: 3, message: message.to_string() }
    }

    /// Says it and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("cargoman: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match &error {
            StartError::Migrate(_) | StartError::Store(_) => Self::database(error),
            StartError::Folders | StartError::Tls(_) | StartError::KnownHosts(..) => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}
