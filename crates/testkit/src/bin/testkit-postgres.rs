//! Starts, names and stops the PostgreSQL that all tests of this machine share. `./dev test` ends with `stop`.

use cargoman_testkit::postgres;

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref() {
        // The URL is the answer to both: `start` is the word for scripts that only want the effect.
        Some("start" | "url") => println!("{}", postgres::shared_url()?),
        Some("stop") => println!("{}", if postgres::stop_shared()? { "stopped" } else { "was not running" }),
        _ => anyhow::bail!("usage: testkit-postgres start|url|stop"),
    }
    Ok(())
}
