//! The edge's stream to the control plane: connects, listens, asks for leases, and connects again. What a message means stands in
//! `cargoman_edge_protocol::link::edge`; what is done about it in [`super::effects`].

use std::time::Duration;

use cargoman_edge_protocol::link::edge::EdgeLink;
use cargoman_edge_protocol::link::{Closing, FromEdge};
use futures::{SinkExt, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::effects::{Effects, Outcome};
use super::lease::boot_time;
use super::socket::{ConnectError, Connector, Socket};

/// How often a lease is asked for.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// A stream on which nothing came for so long is given up: pongs come every second.
const SILENCE: Duration = Duration::from_secs(4);
/// The same once a request waits for a lease that the stream gave before.
const SILENCE_WHILE_WAITED_FOR: Duration = Duration::from_millis(400);
/// How long a new stream may take to give a lease: from, up to. Longer after each that did not: the network may be slow.
const FIRST_LEASE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(16));
/// How long a stream may go without a lease that it gave before.
const DRY: Duration = Duration::from_secs(5);
/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Between two attempts to connect: from, up to.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// A fenced edge asks only now and then whether it is still fenced.
const FENCED: Duration = Duration::from_secs(10);

/// Why a stream ended.
enum End {
    /// Connect again; whether it had given a lease.
    Again { useful: bool },
    /// The edge is fenced.
    Fenced,
    /// The edge stops.
    Stopped,
}

/// Keeps a stream until `leave` says that the edge stops: true: it says farewell first.
pub(crate) async fn run(
    mut machine: EdgeLink,
    mut effects: Effects,
    connector: Connector,
    mut leave: watch::Receiver<Option<bool>>,
) {
    let (mut backoff, mut first_lease) = (BACKOFF.0, FIRST_LEASE.0);
    loop {
        let connected = tokio::select! {
            connected = connector.connect() => connected,
            _ = leave.wait_for(Option::is_some) => return,
        };
        let end = match connected {
            Ok(socket) => {
                let began = Instant::now();
                let end = attend(&mut machine, &mut effects, socket, first_lease, &mut leave).await;
                if began.elapsed() >= first_lease {
                    first_lease = (first_lease * 2).min(FIRST_LEASE.1);
                }
                end
            }
            Err(ConnectError::Fenced(_)) => End::Fenced,
            Err(error) => {
                effects.log_failure(&error);
                End::Again { useful: false }
            }
        };
        let wait = match end {
            End::Stopped => return,
            End::Fenced => {
                effects.fenced();
                FENCED
            }
            End::Again { useful: true } => {
                (backoff, first_lease) = (BACKOFF.0, FIRST_LEASE.0);
                continue;
            }
            End::Again { useful: false } => {
                effects.lease.failed();
                backoff = (backoff * 2).min(BACKOFF.1);
                // Many edges that lost the same control plane must not come back in step.
                backoff.mul_f64(0.5 + effects.chance())
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            _ = leave.wait_for(Option::is_some) => return,
        }
    }
}

/// One stream, from hello to its end.
async fn attend(
    machine: &mut EdgeLink,
    effects: &mut Effects,
    mut socket: Socket,
    first_lease: Duration,
    leave: &mut watch::Receiver<Option<bool>>,
) -> End {
    effects.stamps.new_stream();
    if !say(&mut socket, &machine.open(effects.revoked.epoch())).await {
        return End::Again { useful: false };
    }
    let began = Instant::now();
    let mut heard = Instant::now();
    let mut patience = SILENCE;
    let mut useful = false;
    let mut leased = Instant::now();
    let mut leaving = false;
    let mut renew = interval(RENEW_EVERY);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            frame = socket.next() => {
                heard = Instant::now();
                let text = match frame {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    // Another kind of frame is none of ours, and an error or the end is an end.
                    _ => return End::Again { useful },
                };
                match effects.carry_out(machine, &mut socket, &text).await {
                    Outcome::Welcomed => {
                        ask(machine, &mut socket).await;
                    }
                    Outcome::Leased => {
                        useful = true;
                        leased = Instant::now();
                        patience = SILENCE;
                    }
                    Outcome::Done => {}
                    Outcome::Left => return End::Stopped,
                    Outcome::Close(Some(Closing::Fenced)) => return End::Fenced,
                    Outcome::Close(_) => return End::Again { useful },
                }
            }
            _ = renew.tick() => {
                let asked = ask(machine, &mut socket).await;
                // An instance that hears us and gives no lease may have lost its database; another one may not.
                let dry = if useful { leased.elapsed() > DRY } else { began.elapsed() > first_lease };
                let silent = heard.elapsed() > patience || dry;
                if silent || !asked || socket.send(Message::Ping(bytes::Bytes::new())).await.is_err() {
                    return End::Again { useful };
                }
                effects.tend(machine);
            }
            () = effects.lease.wanted(), if useful && patience == SILENCE => {
                if effects.lease.is_held() {
                    continue;
                }
                // It lapsed: this machine slept, or the other side does.
                if heard.elapsed() > patience || !ask(machine, &mut socket).await {
                    return End::Again { useful: true };
                }
                patience = SILENCE_WHILE_WAITED_FOR;
                renew.reset_after(SILENCE_WHILE_WAITED_FOR + Duration::from_millis(50));
            }
            stopping = leave.wait_for(Option::is_some), if !leaving => {
                let wanted = stopping.is_ok_and(|farewell| *farewell == Some(true));
                let Some(farewell) = machine.leave().filter(|_| wanted) else { return End::Stopped };
                if !say(&mut socket, &farewell).await {
                    return End::Stopped;
                }
                leaving = true;
                renew.reset_after(FAREWELL);
            }
        }
        if leaving && heard.elapsed() > FAREWELL {
            return End::Stopped;
        }
    }
}

async fn ask(machine: &mut EdgeLink, socket: &mut Socket) -> bool {
    match machine.ask(boot_time()) {
        Some(renew) => say(socket, &renew).await,
        None => true,
    }
}

/// Says something; a peer that takes nothing for a second is as good as gone.
pub(super) async fn say(socket: &mut Socket, message: &FromEdge) -> bool {
    let sent = timeout(Duration::from_secs(1), socket.send(Message::Text(message.write().into()))).await;
    matches!(sent, Ok(Ok(())))
}
