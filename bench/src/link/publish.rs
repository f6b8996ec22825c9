//! How long it takes from the call that publishes a version until every edge shows it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cargoman_testkit::cargoman::ADMIN_TOKEN;
use cargoman_testkit::git::{self, Repository};
use cargoman_testkit::raw_http::{self, Connection};
use cargoman_tests::scale_out::{Link, Token, request};
use serde_json::{Value, json};

use super::figures::Times;

const NAME: &str = "acme/parcel";
const P2: &str = "/p2/acme/parcel.json";
/// Between two looks at an edge.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Uploads so many versions, one after another, while a reader of each edge waits for each.
pub(super) fn measure(link: &Link, versions: usize) -> Result<Value> {
    link.write("POST", "/packages", &json!({"type": "artifact", "name": NAME}));
    link.write("POST", &format!("/customers/{}/packages", link.customer), &json!({"package": NAME}));
    let (token, _) = link.token(0);
    let over = AtomicBool::new(false);
    let (mut answered, mut visible) = (Times::default(), Times::default());
    std::thread::scope(|scope| {
        let (seen, sights) = channel();
        let mut wanted = Vec::new();
        for edge in &link.world.edges {
            let (version, versions) = channel();
            wanted.push(version);
            let (seen, token, over) = (seen.clone(), &token, &over);
            scope.spawn(move || watch(edge.address(), token, &versions, &seen, over));
        }
        let done = (0..versions).try_for_each(|number| {
            let version = format!("1.0.{number}");
            let zip = release(&version)?;
            let began = Instant::now();
            for edge in &wanted {
                edge.send(version.clone())?;
            }
            upload(link, number % 2, &version, &zip)?;
            answered.note(began.elapsed());
            for _ in &wanted {
                let sight: Instant = sights.recv_timeout(Duration::from_secs(30)).context("never seen")?;
                visible.note(sight.duration_since(began));
            }
            Ok(())
        });
        over.store(true, Ordering::Relaxed);
        done
    })
    .map(|()| json!({"upload_to_answer": answered.figures(), "upload_to_visible_on_an_edge": visible.figures()}))
}

/// Says when this edge first showed each version that is waited for.
fn watch(address: &str, token: &Token, versions: &Receiver<String>, seen: &Sender<Instant>, over: &AtomicBool) {
    let mut connection = Connection::open(address);
    for version in versions {
        let mark = format!("\"version\":\"{version}\"");
        while !over.load(Ordering::Relaxed) {
            let answer = connection.send(request(token, P2)).response();
            if answer.status == 200 && answer.text().contains(&mark) {
                // Its end is noticed by the next version that is waited for.
                seen.send(Instant::now()).ok();
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn release(version: &str) -> Result<Vec<u8>> {
    let repository = Repository::bare();
    repository
        .write("composer.json", json!({"name": NAME, "description": "A parcel"}).to_string())
        .write("src/Version.php", format!("<?php // {version}\n"));
    repository.commit("All");
    let zip = git::command(repository.path()).args(["archive", "--format=zip", "main^{tree}"]).output()?;
    ensure!(zip.status.success(), "git archive: {zip:?}");
    Ok(zip.stdout)
}

fn upload(link: &Link, control_plane: usize, version: &str, zip: &[u8]) -> Result<()> {
    let url = format!(
        "http://{}/api/v1/packages/{NAME}/versions/{version}",
        link.world.control_planes[control_plane].address()
    );
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let answer =
        raw_http::request("PUT", &url, &[("Authorization", &bearer), ("Content-Type", "application/zip")], zip);
    ensure!(answer.status == 201, "{}: {}", answer.status, answer.text());
    Ok(())
}
