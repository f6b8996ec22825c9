//! Plugins that come with the edge, one file each.

pub mod ip_allow_list;
pub mod rate_limit;
pub mod security_headers;
