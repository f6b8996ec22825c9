//! What an instance does with the frames of one stream, and the clerk, who renews the leases of all streams together.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cargoman_edge_protocol::link::session::{Admission, Demand, Session};
use cargoman_edge_protocol::link::{Closing, FromControlPlane, Hello, Position};

use crate::fact::{Key, Value, token};
use crate::instance::{Instance, Joined};
use crate::network::Stream;
use crate::rules::Break;
use crate::world::{GRACE, LEASE};

/// How long a stream may be silent.
const SILENCE: u64 = 8_000;

impl Instance {
    /// Takes a new stream.
    pub(crate) fn accept(self: Rc<Self>, stream: Stream) {
        let scheduler = Rc::clone(&self.world.scheduler);
        scheduler.spawn(self.process, async move { self.serve(stream).await });
    }

    async fn serve(self: Rc<Self>, stream: Stream) {
        let joined = Rc::new(Joined {
            session: RefCell::new(Session::default()),
            incarnation: Cell::new(None),
            waiting: RefCell::default(),
            follows: Cell::new(false),
            over: Cell::new(false),
            stream,
        });
        self.sessions.borrow_mut().insert(joined.stream.number, Rc::clone(&joined));
        let scheduler = Rc::clone(&self.world.scheduler);
        while let Some(frame) = joined.stream.to_instance.receive(scheduler.now() + SILENCE).await {
            scheduler.gap().await;
            if joined.over.get() {
                return;
            }
            let demand = joined.session.borrow_mut().receive(&frame);
            match demand {
                Ok(Some(demand)) => self.meet(&joined, demand).await,
                Ok(None) => {}
                Err(closing) => self.close(&joined, closing),
            }
        }
        self.close(&joined, Closing::Other);
    }

    async fn meet(self: &Rc<Self>, joined: &Rc<Joined>, demand: Demand) {
        match demand {
            Demand::Admit(hello) => self.admit(joined, hello).await,
            Demand::Acked(_) => self.acked.raise(&self.world.scheduler),
            Demand::Renew(ask) => {
                self.asks.borrow_mut().push((Rc::clone(joined), ask));
                self.asked.raise(&self.world.scheduler);
            }
            Demand::Revoke(tokens, last) => {
                let (world, versions) = (Rc::clone(&self.world), Rc::clone(&self.world));
                let done = self.world.ask(move |database, _| {
                    for (_, digest) in tokens {
                        let Some(number) = token(&digest) else { continue };
                        let version = world.judge.next_version();
                        database.write(Key::Token(number), Value::Revoked, version, world.scheduler.uuid());
                    }
                });
                if done.await.is_none() {
                    return self.close(joined, Closing::Again);
                }
                if last {
                    joined.session.borrow_mut().handed_over();
                    versions.scheduler.note(|| format!("stream {} handed over", joined.stream.number));
                }
                self.kick.raise(&self.world.scheduler);
            }
            Demand::Leave => {
                let Some(incarnation) = joined.incarnation.get() else { return };
                let struck = self.world.ask(move |database, _| database.members.remove(&incarnation).is_some());
                if struck.await.is_some() {
                    joined.stream.to_edge.send(FromControlPlane::Left.write());
                }
            }
        }
    }

    async fn admit(self: &Rc<Self>, joined: &Rc<Joined>, hello: Hello) {
        let (world, stream, asked) = (Rc::clone(&self.world), joined.stream.number, hello.clone());
        let admit = move |database: &mut crate::database::Database, _| {
            world.judge.admitted(stream);
            database.admit(&asked, &world.rules)
        };
        let Some((admission, head)) = self.world.ask(admit).await else {
            return self.close(joined, Closing::Again);
        };
        self.welcome(joined, &hello, admission, head);
        self.world.scheduler.spawn(self.process, Rc::clone(self).catch_up(Rc::clone(joined)));
    }

    fn welcome(&self, joined: &Joined, hello: &Hello, admission: Admission, head: Position) {
        let (stream, name, at) = (joined.stream.number, &hello.name, hello.position);
        self.world.scheduler.note(|| format!("stream {stream}: {name} at {at:?} is taken in: {admission:?}, {head:?}"));
        joined.incarnation.set(Some(hello.incarnation));
        let welcome = joined.session.borrow_mut().admit(hello, admission, head);
        joined.stream.to_edge.send(FromControlPlane::Welcome(welcome).write());
    }

    /// Sends what lies between where the edge goes on and where the feed is. Until then the stream does not follow the feed, and the
    /// two may be of different histories.
    async fn catch_up(self: Rc<Self>, joined: Rc<Joined>) {
        while !joined.over.get() {
            let Some(sent) = joined.session.borrow().sent() else { return };
            let Some(feed) = self.position() else { return self.close(&joined, Closing::Again) };
            if feed == sent {
                joined.follows.set(true);
                return self.grant(&joined);
            }
            if feed.epoch > sent.epoch || (feed.epoch == sent.epoch && feed.seq == sent.seq) {
                return self.close(&joined, Closing::Again);
            }
            if feed.epoch < sent.epoch || feed.seq < sent.seq {
                self.kick.raise(&self.world.scheduler);
                self.moved.wait(&self.world.scheduler, self.world.scheduler.now() + 200).await;
                continue;
            }
            let rows = self.world.ask(move |database, _| database.rows(sent.seq)).await;
            let Some((epoch, rows)) = rows else { return self.close(&joined, Closing::Again) };
            let continues = rows.first().is_some_and(|row| row.seq == sent.seq && row.event == sent.event);
            if epoch != sent.epoch || !(continues || sent.seq == 0) {
                return self.close(&joined, Closing::Again);
            }
            // Not beyond the feed: what it has not seen has not been compared with what it saw.
            let rows: Vec<_> = rows.into_iter().take_while(|row| row.seq <= feed.seq).collect();
            self.send_events(&joined, epoch, &rows);
        }
    }

    /// Renews leases: notes their ends, then reads the head, then grants.
    pub(crate) async fn clerk(self: Rc<Self>) {
        let scheduler = Rc::clone(&self.world.scheduler);
        loop {
            if self.asks.borrow().is_empty() {
                self.asked.wait(&scheduler, scheduler.now() + 1_000).await;
            }
            scheduler.gap().await;
            let _ = self.renew().await;
        }
    }

    async fn renew(self: &Rc<Self>) -> Option<()> {
        let batch = self.asks.take();
        if batch.is_empty() {
            return None;
        }
        let rules = self.world.rules;
        let before = self.position();
        let who: Vec<_> = batch.iter().filter_map(|(joined, _)| joined.incarnation.get()).collect();
        let note = move |database: &mut crate::database::Database, now| {
            database.strike_off(now);
            database.note_leases(&who, now + LEASE, now + LEASE + GRACE)
        };
        let number = |database: &mut crate::database::Database, _| database.number();
        let (noted, head) = if rules.is_broken(Break::MemberAfterHead) {
            let head = self.world.ask(number).await?;
            (self.world.ask(note).await?, head)
        } else if rules.is_broken(Break::LeaseBeforeHead) {
            (self.world.ask(note).await?, before?)
        } else {
            let noted = self.world.ask(note).await?;
            (noted, self.world.ask(number).await?)
        };
        if !self.verify(before, head).await {
            return None;
        }
        for (joined, ask) in batch {
            let there = joined.incarnation.get().is_some_and(|incarnation| noted.contains(&incarnation));
            if there || rules.is_broken(Break::LeaseWithoutMember) {
                joined.waiting.borrow_mut().push((ask, head));
            } else {
                self.close(&joined, Closing::Again);
            }
            if joined.follows.get() {
                self.grant(&joined);
            }
            self.world.scheduler.gap().await;
        }
        if self.position().is_none_or(|position| position.seq < head.seq) {
            self.kick.raise(&self.world.scheduler);
        }
        Some(())
    }

    /// Writes acks where the other instances see them, many at once.
    pub(crate) async fn flush_acks(self: Rc<Self>) {
        let scheduler = Rc::clone(&self.world.scheduler);
        loop {
            self.acked.wait(&scheduler, scheduler.now() + 1_000).await;
            scheduler.sleep(5).await;
            let acks: Vec<_> = self.sessions.borrow().values().filter_map(|joined| acks(joined)).collect();
            let rules = self.world.rules;
            let flush = move |database: &mut crate::database::Database, _| {
                acks.iter().all(|(who, acked, sent)| database.note_ack(*who, *acked, *sent, &rules))
            };
            if self.world.ask(flush).await == Some(false) {
                self.kick.raise(&scheduler);
            }
        }
    }
}

fn acks(joined: &Joined) -> Option<(uuid::Uuid, i64, Position)> {
    let session = joined.session.borrow();
    Some((joined.incarnation.get()?, session.acked(), session.sent()?))
}
