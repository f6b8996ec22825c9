//! The connection to the control plane: what is asked there, and what is told.

pub(crate) mod control_plane;
pub(crate) mod reading;
pub(crate) mod spool;
pub(crate) mod state;
pub(crate) mod token_uses;
pub(crate) mod usage;
