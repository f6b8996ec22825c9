//! The control plane: owns every fact, syncs git, serves the APIs.

pub mod git;
