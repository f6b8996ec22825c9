//! `cargoman-edge`: one edge as a process of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use cargoman_listeners::{Listeners, ListenersError};
use cargoman_proxy::config::EdgeConfig;
use cargoman_proxy::join::join_if_new;
use cargoman_proxy::plugin;
use cargoman_proxy::server::Edge;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Requests allocate a few dozen small things each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Answers Composer from memory, and passes everything else to the control plane.
#[derive(Parser)]
#[command(name = "cargoman-edge", version)]
struct Arguments {
    /// The configuration file; every setting can also be given as CARGOMAN_SECTION__KEY.
    #[arg(long, env = "CARGOMAN_EDGE_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

/// Usage or configuration is wrong.
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    // Before there are threads.
    let listeners = Listeners::from_parent();
    let arguments = Arguments::parse();
    cargoman_telemetry::start();
    let edge = match configured(&arguments).and_then(|config| start(config, listeners)) {
        Ok(edge) => edge,
        Err(error) => {
            eprintln!("cargoman-edge: {error:#}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match stop_on_signal() {
        Ok(stop) => {
            for address in edge.local_addresses() {
                tracing::info!(target: "cargoman::edge", %address, "listening");
            }
            match edge.run(stop) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("cargoman-edge: {error:#}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(error) => {
            eprintln!("cargoman-edge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn configured(arguments: &Arguments) -> anyhow::Result<EdgeConfig> {
    let path = &arguments.config;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    join_if_new(&text, std::env::vars())?;
    EdgeConfig::from_toml_and_variables(&text, std::env::vars()).with_context(|| path.display().to_string())
}

fn start(config: EdgeConfig, listeners: Result<Listeners, ListenersError>) -> anyhow::Result<Edge> {
    let mut listeners = listeners?;
    let handed_over = listeners.take_edge();
    listeners.finish()?;
    Ok(Edge::with_listeners(config, &plugin::registry(), handed_over)?)
}

/// Turns true at the first SIGTERM or SIGINT. Signals need a runtime, and the edge's own do not exist yet.
fn stop_on_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot watch for signals")?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        sender.send_replace(true);
    })?;
    Ok(receiver)
}
