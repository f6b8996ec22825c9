//! The connection to the control plane: what is asked there, and what is told.

pub(crate) mod control_plane;
pub(crate) mod installs;
pub(crate) mod reading;
