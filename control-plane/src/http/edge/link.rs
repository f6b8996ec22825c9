//! An edge's stream: a WebSocket whose every message is one text frame.

use axum::extract::State as FromState;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use cargoman_edge_protocol::link::MOST_FRAME;
use futures::{SinkExt, StreamExt, future};

use super::Edge;
use crate::domain::id::EdgeId;
use crate::state::State;

pub(crate) async fn link(FromState(state): FromState<State>, edge: Edge, upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.max_message_size(MOST_FRAME).max_frame_size(MOST_FRAME);
    upgrade.on_upgrade(async move |socket| serve(state, edge.id, socket).await)
}

async fn serve(state: State, edge: Option<EdgeId>, socket: WebSocket) {
    let (outgoing, incoming) = socket.split();
    let incoming = incoming.take_while(|message| future::ready(!matches!(message, Err(_) | Ok(Message::Close(_)))));
    let texts = incoming.filter_map(|message| {
        future::ready(match message {
            Ok(Message::Text(text)) => Some(text.to_string()),
            // No message of any release.
            Ok(Message::Binary(_)) => Some(String::new()),
            _ => None,
        })
    });
    let outgoing = outgoing.with(|text: String| future::ready(Ok::<_, axum::Error>(Message::text(text))));
    state.link.serve(state.database.system(), edge, texts, outgoing).await;
}
