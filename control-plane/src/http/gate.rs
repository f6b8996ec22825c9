//! Stands in front of a listener's router: as long as there is no database every path but `/healthz` answers 503, and whoever
//! waits for a database that stops answering gets his 503 at once. When the program is to end, each answer says that it is the
//! connection's last. Decides nothing else about a request.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::error::ApiError;
use crate::store::Health;

/// One listener's gate; closed at first.
#[derive(Debug)]
pub(crate) struct Gate {
    router: OnceLock<Router>,
    health: Health,
    stop: watch::Receiver<bool>,
    patience: Patience,
}

/// How long a request may wait for a start that is under way; not at all once it was found that the database is away.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    until: Instant,
    over: watch::Receiver<bool>,
}

impl Patience {
    pub(crate) fn new(until: Instant, over: watch::Receiver<bool>) -> Self {
        Self { until, over }
    }

    async fn wait(&self) {
        // Whichever ends it: who asks looks at the gate then.
        tokio::time::timeout_at(self.until, self.over.clone().wait_for(|over| *over)).await.ok();
    }
}

impl Gate {
    pub(crate) fn new(health: Health, stop: watch::Receiver<bool>, patience: Patience) -> Arc<Self> {
        Arc::new(Self { router: OnceLock::new(), health, stop, patience })
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
            async move {
                let mut response = gate.pass(request).await;
                // What was upgraded is HTTP no more.
                if *gate.stop.borrow() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
        })
    }

    async fn pass(&self, request: Request) -> Response {
        let alive = request.uri().path() == "/healthz" && matches!(*request.method(), Method::GET | Method::HEAD);
        if self.router.get().is_none() && !alive {
            self.patience.wait().await;
        }
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
