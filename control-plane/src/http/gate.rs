//! Stands in front of a listener's router: as long as there is no database every path but `/healthz` answers 503, and whoever
//! waits for a database that stops answering gets his 503 at once. Decides nothing else about a request.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

use crate::error::ApiError;
use crate::store::Health;

/// One listener's gate; closed at first.
#[derive(Debug)]
pub(crate) struct Gate {
    router: OnceLock<Router>,
    health: Health,
}

impl Gate {
    pub(crate) fn new(health: Health) -> Arc<Self> {
        Arc::new(Self { router: OnceLock::new(), health })
    }

    /// From now on `router` answers.
    pub(crate) fn open(&self, router: Router) {
        // A gate is opened once; a second router would be a mistake that the first one hides.
        self.router.set(router).ok();
    }

    /// What the listener serves.
    pub(crate) fn service(self: &Arc<Self>) -> Router {
        let gate = Arc::clone(self);
        Router::new().fallback(move |request: Request| {
            let gate = Arc::clone(&gate);
            async move { gate.pass(request).await }
        })
    }

    async fn pass(&self, request: Request) -> Response {
        let alive = request.uri().path() == "/healthz" && matches!(*request.method(), Method::GET | Method::HEAD);
        let Some(router) = self.router.get() else {
            return match alive {
                true => "ok\n".into_response(),
                false => ApiError::Unavailable("the control plane waits for its database").into_response(),
            };
        };
        let answer = async {
            match router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        };
        if alive {
            return answer.await;
        }
        tokio::select! {
            biased;
            () = self.health.lost() => ApiError::Unavailable("the database does not answer").into_response(),
            response = answer => response,
        }
    }
}
