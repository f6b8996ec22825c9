use serde::{Deserialize, Serialize};

/// Path where an edge gets a credential of its own for a join token (POST, [`JoinRequest`] → [`JoinReply`]). Asked without any
/// credential.
pub const JOIN_PATH: &str = "/edge/v1/join";

/// An edge wants in.
#[derive(Clone, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The join token, `cmj_…`. It is good for one edge.
    pub token: String,
    /// What the edge calls itself; the token may say otherwise.
    #[serde(default)]
    pub name: String,
}

/// It is in.
#[derive(Clone, Serialize, Deserialize)]
pub struct JoinReply {
    /// What the edge is called from now on.
    pub name: String,
    /// Its credential, `cme_…`. Said this once.
    pub credential: String,
}
