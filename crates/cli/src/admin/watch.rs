//! Waits for a task, and shows meanwhile how far it is: a bar on a terminal, nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::Instant;

use super::client::Client;
use super::output::text;
use crate::exit::Failure;

/// As long as the API itself would wait.
const LONGEST: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The task of that id once it is over, or as it is after five minutes; `what` it is about is for people.
pub(super) async fn task(client: &Client, id: &str, what: &str) -> Result<Value, Failure> {
    let bar = ProgressBar::new_spinner();
    bar.set_message(format!("{what}: waiting"));
    bar.enable_steady_tick(Duration::from_millis(100));
    let path = format!("tasks/{id}");
    let until = Instant::now() + LONGEST;
    let mut task = client.get(&path).await?;
    while matches!(text(&task, "state"), "queued" | "running") && Instant::now() < until {
        tokio::time::sleep(LOOK_EVERY).await;
        task = client.get(&path).await?;
        show(&bar, what, task.get("progress").unwrap_or(&Value::Null));
    }
    bar.finish_and_clear();
    Ok(task)
}

fn show(bar: &ProgressBar, what: &str, progress: &Value) {
    let number = |name: &str| progress.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (phase, total) = (text(progress, "phase"), number("total"));
    if phase.is_empty() {
        return;
    }
    bar.set_message(format!("{what}: {phase}"));
    if total > 0 {
        // What cannot be drawn is only not drawn.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {pos}/{len}") {
            bar.set_style(style);
        }
        bar.set_length(total);
        bar.set_position(number("done"));
    }
}
