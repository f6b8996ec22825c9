//! Reads the name of a package before it is added: the git worker looks at the default branch's composer.json and nothing else.

use tokio::sync::mpsc;

use crate::git::protocol::{Credential, Event, Failed, FailureCode, Limits, Mode, Request};
use crate::state::State;

/// A caller waits for it: shorter than a sync may take.
const SECONDS: u64 = 60;

/// The name in the default branch's composer.json of `repository_url`, which `credential` opens.
///
/// # Errors
/// Why it cannot be read, in words for the operator.
pub async fn package_name(
    state: &State,
    repository_url: &str,
    credential: Option<Credential>,
) -> Result<String, Failed> {
    let folder = state.git_root().join("probe").join(uuid::Uuid::now_v7().as_simple().to_string());
    let machine = |error: std::io::Error| Failed {
        code: FailureCode::Machine,
        message: format!("cannot make a folder for the repository: {error}"),
        remedy: "look at free disk space and permissions of the data folder".to_owned(),
    };
    state.git_worker.make_folder(&folder).await.map_err(machine)?;
    let request = Request {
        mode: Mode::Probe,
        repository_url: repository_url.to_owned(),
        mirror: folder.join("mirror.git"),
        output: folder.clone(),
        network: (*state.network).clone(),
        credential,
        bound_name: None,
        previous: None,
        branches: Vec::new(),
        monorepo: None,
        known: std::collections::BTreeMap::new(),
        limits: Limits { total_seconds: SECONDS, network_seconds: SECONDS, ..Limits::default() },
    };
    let name = ask(state, request).await;
    // Whatever is left over is only disk space; the folder's name is never used again.
    tokio::fs::remove_dir_all(&folder).await.ok();
    name
}

async fn ask(state: &State, request: Request) -> Result<String, Failed> {
    let (sender, mut events) = mpsc::channel(8);
    let heard = async {
        let mut found = None;
        while let Some(event) = events.recv().await {
            if let Event::Head { name, .. } = event {
                found = Some(name);
            }
        }
        found
    };
    let (end, name) = tokio::join!(state.git_worker.run(&request, sender), heard);
    end?;
    name.ok_or_else(|| Failed {
        code: FailureCode::Died,
        message: "the git worker said nothing".to_owned(),
        remedy: "look at the log of the control plane".to_owned(),
    })
}
