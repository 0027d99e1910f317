//! What goes wrong in a simulated log, and the dice that decide when.
//!
//! Everything is drawn from one seeded sequence, so that a seed is a run.

/// How often what goes wrong. All zero: nothing does, and no operation takes any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Start of the sequence of draws.
    pub seed: u64,
    /// Longest wait before and after the effect of an operation; each is drawn from 0 to this.
    pub delay_ms_max: u64,
    /// A write is stored, and its answer is lost.
    pub lose_answer_per_mille: u32,
    /// A write is lost on its way, and so is the answer.
    pub drop_request_per_mille: u32,
    /// The answer is lost, and the write is stored later, if its fence still holds then.
    pub late_store_per_mille: u32,
    /// A read finds no connection.
    pub reader_disconnect_per_mille: u32,
    /// An appended event is stored a second time a little later, as a retry after the dedupe window would.
    pub duplicate_append_per_mille: u32,
}

/// What is of no use for a while, and what clients of the log see of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// A part takes nothing more, and says so.
    Full(Part),
    /// Readers of events wait, and nothing comes, though it stands there.
    ReaderStill,
    /// Nothing is answered at all.
    Unreachable,
}

/// What a log keeps apart, each with its own bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Events.
    Events,
    /// Journal records.
    Journal,
    /// Snapshots.
    Snapshots,
    /// Outputs proper.
    Outputs,
    /// Quarantined input and dead letters.
    Dead,
    /// Delivery records.
    Deliveries,
}

impl Outage {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Full(Part::Events),
        Self::Full(Part::Journal),
        Self::Full(Part::Snapshots),
        Self::Full(Part::Outputs),
        Self::Full(Part::Dead),
        Self::Full(Part::Deliveries),
        Self::ReaderStill,
        Self::Unreachable,
    ];
}

impl Faults {
    /// Whether anything can go wrong at all.
    pub(super) const fn any(&self) -> bool {
        self.lose_answer_per_mille
            + self.drop_request_per_mille
            + self.late_store_per_mille
            + self.reader_disconnect_per_mille
            + self.duplicate_append_per_mille
            > 0
    }
}

/// What becomes of a write and of the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Stored and answered.
    Answered,
    /// Stored, not answered.
    AnswerLost,
    /// Not stored, not answered.
    RequestLost,
    /// Not answered, and stored after this time.
    Late { after_ms: u64 },
}

/// A seeded sequence of draws (SplitMix64: a counter and a mixer, which is all this needs).
#[derive(Clone, Debug)]
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `last`.
    pub(super) const fn up_to(&mut self, last: u64) -> u64 {
        match last.checked_add(1) {
            Some(sides) => self.next() % sides,
            None => self.next(),
        }
    }

    /// True `chances` times in a thousand.
    pub(super) const fn per_mille(&mut self, chances: u32) -> bool {
        self.up_to(999) < chances as u64
    }

    /// The fate of one write.
    pub(super) const fn fate(&mut self, faults: &Faults) -> Fate {
        if self.per_mille(faults.lose_answer_per_mille) {
            Fate::AnswerLost
        } else if self.per_mille(faults.drop_request_per_mille) {
            Fate::RequestLost
        } else if self.per_mille(faults.late_store_per_mille) {
            let after_ms = 1 + self.up_to(faults.delay_ms_max.saturating_mul(20));
            Fate::Late { after_ms }
        } else {
            Fate::Answered
        }
    }
}
