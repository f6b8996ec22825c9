//! How long a revocation takes from its call to its answer, and that no edge serves a token after `effective`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use cargoman_tests::scale_out::{Link, Token};
use cargoman_tests::witness::Witness;
use serde_json::{Value, json};

use super::figures::Times;

/// Readers of each edge.
const READERS: usize = 2;
/// So many tokens are shown before the oldest of them is revoked.
const SHOWN_FIRST: usize = 4;

/// How much the edges are asked meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// Each reader pauses so long between two requests.
    Paced(Duration),
    /// Each reader asks again as soon as it has its answer: the machine has no time left.
    Full,
}

/// Revokes until there were so many revocations and so many requests.
pub(super) fn measure(link: &Link, load: Load, revocations: usize, requests: u64) -> Result<Value> {
    let witness = match load {
        Load::Paced(pace) => Witness::paced(pace),
        Load::Full => Witness::default(),
    };
    let (mut revoked, mut made) = (Times::default(), Times::default());
    let mut not_effective = 0_u64;
    let began = Instant::now();
    witness.over(link, READERS, || -> Result<()> {
        let mut shown: VecDeque<Token> = VecDeque::new();
        let mut number = 0;
        while number < revocations || witness.asked() < requests {
            number += 1;
            let call = Instant::now();
            let (token, said) = link.token(number % 2);
            made.note(call.elapsed());
            not_effective += u64::from(said["effective"] != true);
            witness.show(&token);
            shown.push_back(token);
            if shown.len() > SHOWN_FIRST
                && let Some(token) = shown.pop_front()
            {
                let call = Instant::now();
                let (status, said) = link.revoke((number + 1) % 2, &token);
                revoked.note(call.elapsed());
                if said["effective"] == true {
                    ensure!(status == 200, "{status}: {said:#}");
                    witness.ended(&token);
                } else {
                    not_effective += 1;
                }
            }
        }
        Ok(())
    })?;
    let took = began.elapsed();
    // It panics at the first lie.
    let (asked, failed) = witness.judge("revocations", 20);
    Ok(json!({
        "load": match load { Load::Paced(_) => "paced", Load::Full => "as much as the machine gives" },
        "requests_per_second": (asked as f64 / took.as_secs_f64()).round(),
        "requests": asked,
        "requests_without_an_answer_or_503": failed,
        "answers_that_it_is_not_effective_yet": not_effective,
        "served_after_effective": 0,
        "revoke": revoked.figures(),
        "make_a_token_good_everywhere": made.figures(),
    }))
}
