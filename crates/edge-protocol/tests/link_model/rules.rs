//! The rules around the pure ones, each of which can be broken, to see that the model finds it.

/// A rule that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// A lease is granted at the head that the instance remembers, not one read after the asking.
    LeaseBeforeHead,
    /// The head is read first, then the lease's end is noted.
    MemberAfterHead,
    /// A lease is granted though the member's row is gone.
    LeaseWithoutMember,
    /// An edge that must drop all it knows counts as having done so when it is taken in.
    AckedAtAdmission,
    /// A new run of an edge does not inherit how long the old one may serve.
    NothingInherited,
    /// Acks are noted though the database was restored since.
    AcksOfAnotherHistory,
    /// A waiter looks at the number alone, not at whether its event still has it.
    LostIsEffective,
    /// A waiter takes the leases for all that edges may serve from.
    GraceIgnored,
    /// A waiter goes by the tenant's present mode, though an edge may not have heard of it.
    ModeOfNow,
    /// The edge acks first and applies then.
    AckBeforeApply,
    /// The edge takes a lease whatever head it stands on.
    HeadIgnored,
    /// What was fetched is kept and used whatever happened meanwhile.
    FillUnchecked,
    /// A read takes what another read is fetching, without looking at its stamp.
    FlightUnchecked,
    /// Facts are stamped with how far the instance is when it answers, not with what the database says beside them.
    StampFromMemory,
    /// After everything was dropped, facts from before the new start may be kept.
    NoFloorAtStart,
    /// The journal is written after the ack.
    JournalAfterAck,
    /// Stamps may lie ahead of what the edge has applied.
    StampAhead,
    /// What was fetched is kept though the stream is another one by now.
    FillOfAnotherStream,
    /// A detached edge goes on because of what it fetched while it was detached.
    ModeFetchedDetached,
    /// An edge that leaves keeps a saved state that may be served from.
    LeftButSaved,
    /// An edge takes leave on a stream that has not welcomed it.
    LeavingUnwelcomed,
    /// The saved state takes the link's position, which runs ahead of what was applied.
    SavedAhead,
}

impl Break {
    /// Some schedule of thousands shows that each of these matters.
    pub(crate) const FOUND: [Self; 16] = [
        Self::LeaseBeforeHead,
        Self::LeaseWithoutMember,
        Self::AckedAtAdmission,
        Self::NothingInherited,
        Self::LostIsEffective,
        Self::GraceIgnored,
        Self::ModeOfNow,
        Self::AckBeforeApply,
        Self::HeadIgnored,
        Self::FillUnchecked,
        Self::FlightUnchecked,
        Self::StampFromMemory,
        Self::NoFloorAtStart,
        Self::JournalAfterAck,
        Self::StampAhead,
        Self::LeftButSaved,
    ];

    /// Several faults at once in the right order would show that these matter, which chance does not bring about in 30,000 schedules
    /// (`ModeFetchedDetached` came up after 78,764): the model says nothing about them. They are argued for where they are kept.
    pub(crate) const SELDOM: [Self; 6] = [
        Self::MemberAfterHead,
        Self::AcksOfAnotherHistory,
        Self::FillOfAnotherStream,
        Self::ModeFetchedDetached,
        Self::LeavingUnwelcomed,
        Self::SavedAhead,
    ];
}

/// Which rules hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    pub(crate) broken: Option<Break>,
}

impl Rules {
    pub(crate) fn is_broken(&self, rule: Break) -> bool {
        self.broken == Some(rule)
    }
}
