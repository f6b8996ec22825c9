//! `./dev bench`: figures, side by side with a peer in the same run, written with machine and commit to `bench/results`.

mod link;
mod machine;
mod serving;
mod syncs;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};

#[derive(Debug, Parser)]
#[command(about = "Measures, and writes what it measured to a folder")]
struct Arguments {
    /// What is measured; everything unless one is named.
    #[arg(value_enum)]
    what: Option<What>,
    /// One short round: to see that it works, not to measure.
    #[arg(long)]
    quick: bool,
    /// Of the requests only those with this in their names: "HTTP/2", "p2 2 KB".
    #[arg(long, default_value = "")]
    only: String,
    /// Where results go.
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// One request after the other, the edge against nginx.
    Serving,
    /// A thousand packages, half a million tokens: memory, cold documents, many tokens, a whole `composer update`.
    World,
    /// Reading git repositories, against Composer's own reading.
    Syncs,
    /// How fast a change is effective on every edge.
    Link,
}

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(serving::FLOOR) {
        return serving::serve_floor();
    }
    let Arguments { what, quick, only, results } = Arguments::parse();
    std::fs::create_dir_all(&results)?;
    let wanted = |this| what.is_none_or(|what| what == this);
    if wanted(What::Link) {
        link::measure(&results, quick)?;
    }
    if wanted(What::Syncs) {
        syncs::measure(&results, quick)?;
    }
    if wanted(What::Serving) {
        serving::measure(&results, quick, &only)?;
    }
    if wanted(What::World) {
        serving::measure_world(&results, quick)?;
    }
    Ok(())
}
