//! The network between edges and instances: streams of frames, and calls. Everything on it can go wrong.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::scheduler::{Millis, Scheduler, Signal};

/// What happens to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mangle {
    Drop,
    Double,
    /// It comes after the next one.
    Swap,
    Truncate,
    /// Something else comes before it.
    Unknown,
    /// It comes much later, and all behind it.
    Delay(Millis),
}

/// The way between one edge and the control plane in one direction, over all streams.
#[derive(Default)]
pub(crate) struct Way {
    /// Nothing comes through before then.
    pub(crate) cut_until: Cell<Millis>,
    /// Whether what is sent while it is cut is lost, or comes later.
    pub(crate) loses: Cell<bool>,
    /// What happens to the next frames.
    mangles: RefCell<VecDeque<Option<Mangle>>>,
}

impl Way {
    /// Something happens to the frame after the next `after`.
    pub(crate) fn later(&self, after: usize, mangle: Mangle) {
        let mut mangles = self.mangles.borrow_mut();
        while mangles.len() <= after {
            mangles.push_back(None);
        }
        mangles[after] = Some(mangle);
    }

    pub(crate) fn heal(&self) {
        self.cut_until.set(0);
        self.mangles.borrow_mut().clear();
    }
}

/// One direction of a stream.
pub(crate) struct Pipe {
    scheduler: Rc<Scheduler>,
    way: Rc<Way>,
    frames: RefCell<VecDeque<(Millis, String)>>,
    last: Cell<Millis>,
    held: RefCell<Option<String>>,
    /// The end that reads has learnt that nothing more comes.
    broken: Cell<bool>,
    news: Signal,
}

impl Pipe {
    fn new(scheduler: &Rc<Scheduler>, way: &Rc<Way>) -> Rc<Self> {
        Rc::new(Self {
            scheduler: Rc::clone(scheduler),
            way: Rc::clone(way),
            frames: RefCell::default(),
            last: Cell::new(0),
            held: RefCell::default(),
            broken: Cell::new(false),
            news: Signal::default(),
        })
    }

    pub(crate) fn send(&self, mut frame: String) {
        let mangle = self.way.mangles.borrow_mut().pop_front().flatten();
        match mangle {
            Some(Mangle::Drop) => return,
            Some(Mangle::Double) => self.carry(frame.clone(), 0),
            Some(Mangle::Swap) => {
                if let Some(other) = self.held.borrow_mut().replace(frame) {
                    self.carry(other, 0);
                }
                return;
            }
            Some(Mangle::Truncate) => {
                let at = self.scheduler.below(frame.len() as u64);
                frame.truncate(usize::try_from(at).expect("small"));
            }
            Some(Mangle::Unknown) => self.carry(r#"{"kind":"weather","optional":true}"#.to_owned(), 0),
            Some(Mangle::Delay(time)) => return self.carry(frame, time),
            None => {}
        }
        self.carry(frame, 0);
        if let Some(held) = self.held.borrow_mut().take() {
            self.carry(held, 0);
        }
    }

    fn carry(&self, frame: String, delay: Millis) {
        let now = self.scheduler.now();
        let cut = self.way.cut_until.get();
        if cut > now && self.way.loses.get() {
            return;
        }
        let at = (now.max(cut) + delay + 1 + self.scheduler.below(4)).max(self.last.get());
        self.last.set(at);
        self.frames.borrow_mut().push_back((at, frame));
        self.news.raise(&self.scheduler);
    }

    /// The next frame; none when the stream is broken or nothing came until `until`.
    pub(crate) async fn receive(&self, until: Millis) -> Option<String> {
        loop {
            let now = self.scheduler.now();
            if self.broken.get() {
                return None;
            }
            let first = self.frames.borrow().front().map(|(at, _)| *at);
            match first {
                Some(at) if at <= now => return self.frames.borrow_mut().pop_front().map(|(_, frame)| frame),
                _ if now >= until => return None,
                Some(at) => self.news.wait(&self.scheduler, at.min(until)).await,
                None => self.news.wait(&self.scheduler, until).await,
            }
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The reading end learns that it is over; what is still on the way is lost.
    pub(crate) fn break_off(&self) {
        self.broken.set(true);
        self.news.raise(&self.scheduler);
    }
}

/// A stream.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) number: u64,
    pub(crate) to_edge: Rc<Pipe>,
    pub(crate) to_instance: Rc<Pipe>,
}

impl Stream {
    pub(crate) fn new(scheduler: &Rc<Scheduler>, number: u64, down: &Rc<Way>, up: &Rc<Way>) -> Self {
        Self { number, to_edge: Pipe::new(scheduler, down), to_instance: Pipe::new(scheduler, up) }
    }
}

/// Both ways of one edge.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) down: Rc<Way>,
    pub(crate) up: Rc<Way>,
    /// No connection is made before then.
    pub(crate) refuses_until: Cell<Millis>,
}
