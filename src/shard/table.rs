//! The actors of one partition: live ones as values, quiet ones as bytes.
//!
//! An actor is activated by its next event and passivated when others need the room: at most
//! [`LIVE_MAX`] are kept as values, found by a clock hand over the order of activation. Everything that could
//! show outside (which actor wakes first, for example) is ordered by time and key, never by place in the table.

use std::{
    borrow::Cow,
    collections::{BTreeSet, VecDeque},
    io,
    path::Path,
};

use aftercall_actors::{
    actor::{Actor, StateError},
    contract::{
        key::{Key, Side},
        time::LogTime,
    },
    rules::Settings,
    stored::changes::Mark,
};
use foldhash::fast::FixedState;
use indexmap::IndexMap;

use crate::{
    log::Position,
    planted::{Bug, is_planted},
    shard::shelf::{Place, Shelf},
};

/// Most actors a partition keeps as live values.
pub const LIVE_MAX: usize = 4_096;

/// What a slot costs besides key and state, in bytes: entry, hash, index and two allocations.
const SLOT_BYTES: u64 = 152;

/// Stands for an actor of which the log holds no state that changes could be folded over.
const NEVER: Position = Position::MAX;

/// A live actor takes about this many times its stored form.
const LIVE_FACTOR: u64 = 4;

/// Number of an actor in its table; stable until [`Table::drop_blank`].
pub type Index = usize;

/// The actors of one partition.
#[derive(Debug)]
pub struct Table {
    side: Side,
    slots: IndexMap<Box<str>, Slot, FixedState>,
    deadlines: BTreeSet<(LogTime, Index)>,
    /// Live actors in order of activation, each once.
    activated: VecDeque<Index>,
    bytes: u64,
    /// How often numbers have changed.
    renumbered: u64,
    scratch: String,
    buffer: Vec<u8>,
    /// Made when memory is short for the first time.
    shelf: Option<Shelf>,
}

#[derive(Debug)]
struct Slot {
    form: Form,
    /// Last position this state has seen; events up to it are skipped.
    as_of: Position,
    deadline: Option<LogTime>,
    /// Changed since it was last packed into a snapshot.
    dirty: bool,
    /// Used since the clock hand last passed.
    used: bool,
    /// Length of its stored form when it was last encoded.
    stored_bytes: u32,
    /// Position of the state in the log since which it lists its changes, or [`NEVER`].
    stored: Position,
    /// Whether it has changed since then.
    touched: bool,
    /// What it was like then, unless a snapshot was made of it since.
    mark: Option<Box<Mark>>,
}

/// What a record holds of an actor.
#[derive(Debug)]
pub enum Written {
    /// Its whole state.
    Whole(Vec<u8>),
    /// What has changed since the state at that position.
    Changes {
        /// Position of the state.
        since: Position,
        /// The changes.
        bytes: Vec<u8>,
    },
}

impl Written {
    /// How long it is.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Whole(bytes) | Self::Changes { bytes, .. } => bytes.len(),
        }
    }

    /// Whether there is nothing: no actor writes that.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Debug)]
enum Form {
    Live(Box<Actor>),
    Quiet(Box<[u8]>),
    /// On the disk.
    Shelved(Place),
}

impl Slot {
    fn bytes(&self) -> u64 {
        match &self.form {
            Form::Live(_) => SLOT_BYTES + LIVE_FACTOR * u64::from(self.stored_bytes.max(64)),
            Form::Quiet(state) => SLOT_BYTES + state.len() as u64,
            Form::Shelved(_) => SLOT_BYTES,
        }
    }
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(side: Side) -> Self {
        Self {
            side,
            slots: IndexMap::with_hasher(FixedState::with_seed(0x0000_0af7_e6ca_1100)),
            deadlines: BTreeSet::new(),
            activated: VecDeque::new(),
            bytes: 0,
            renumbered: 0,
            scratch: String::new(),
            buffer: Vec::new(),
            shelf: None,
        }
    }

    /// Actors held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// About how many bytes they take.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The earliest moment any of them wants to be woken.
    #[must_use]
    pub fn next_deadline(&self) -> Option<LogTime> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The actors due at `now`, earliest first, by key where the moment is the same. One whose state already
    /// covers `position` is left for later.
    #[must_use]
    pub fn due(&self, now: LogTime, position: Position) -> Vec<Index> {
        if self.next_deadline().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut due: Vec<(LogTime, Index)> = self
            .deadlines
            .range(..=(now, Index::MAX))
            .filter(|(_, index)| self.slots[*index].as_of < position)
            .copied()
            .collect();
        due.sort_by(|(at, index), (other_at, other)| {
            at.cmp(other_at)
                .then_with(|| self.key_text(*index).cmp(self.key_text(*other)))
        });
        due.into_iter().map(|(_, index)| index).collect()
    }

    /// The number of the actor with this key, which is made if there is none.
    pub fn find_or_make(&mut self, key: Key<'_>) -> Index {
        use std::fmt::Write as _;
        self.scratch.clear();
        // Writing into a string cannot fail.
        let _ = write!(self.scratch, "{key}");
        if let Some(index) = self.slots.get_index_of(self.scratch.as_str()) {
            return index;
        }
        let slot = Slot {
            form: Form::Live(Box::new(Actor::new(self.side))),
            as_of: 0,
            deadline: None,
            dirty: false,
            used: true,
            stored_bytes: 0,
            stored: NEVER,
            touched: false,
            mark: None,
        };
        let index = self.insert(self.scratch.as_str().into(), slot);
        self.activated.push_back(index);
        index
    }

    /// The number of the actor with this key, if there is one.
    #[must_use]
    pub fn find(&self, key: Key<'_>) -> Option<Index> {
        self.slots.get_index_of(key.to_string().as_str())
    }

    /// Shows the actor as it is. Looking changes nothing: it is neither activated nor counts as used or changed.
    ///
    /// # Errors
    /// If its stored state cannot be read.
    pub fn look<T>(&self, index: Index, look: impl FnOnce(&Actor) -> T) -> Result<T, StateError> {
        match &self.slots[index].form {
            Form::Live(actor) => Ok(look(actor)),
            Form::Quiet(_) | Form::Shelved(_) => {
                let state = self.quiet_state(index)?;
                let actor = Actor::decode(self.side, self.key_text(index), &state)?;
                Ok(look(&actor))
            }
        }
    }

    /// The stored form of an actor that is not live.
    fn quiet_state(&self, index: Index) -> Result<Cow<'_, [u8]>, StateError> {
        match &self.slots[index].form {
            Form::Quiet(state) => Ok(Cow::Borrowed(state)),
            Form::Live(_) => Ok(Cow::Borrowed(&[])),
            Form::Shelved(place) => {
                let state = self.shelf.as_ref().map(|shelf| shelf.get(*place));
                let why = match state {
                    Some(Ok(state)) => return Ok(Cow::Owned(state)),
                    Some(Err(error)) => format!("the file for quiet actors: {error}"),
                    None => "there is no file for quiet actors".to_owned(),
                };
                let key = self.key_text(index).to_owned();
                Err(StateError { key, why })
            }
        }
    }

    /// Puts the states of quiet actors on the disk, but for `kept`, in a file in `folder`.
    ///
    /// # Errors
    /// If the disk does not take them: they stay in memory.
    pub fn shelve(&mut self, folder: &Path, kept: &BTreeSet<Index>) -> io::Result<()> {
        /// Shorter ones would save little.
        const STATE_BYTES_MIN: usize = 64;
        let shelf = match &mut self.shelf {
            Some(shelf) => shelf,
            None => self.shelf.insert(Shelf::make(folder)?),
        };
        for (index, slot) in self.slots.values_mut().enumerate() {
            if let Form::Quiet(state) = &slot.form
                && state.len() >= STATE_BYTES_MIN
                && !kept.contains(&index)
            {
                let place = shelf.put(state)?;
                let before = slot.bytes();
                slot.form = Form::Shelved(place);
                self.bytes = self.bytes + slot.bytes() - before;
            }
        }
        Ok(())
    }

    /// How often numbers have changed: an [`Index`] is good for as long as this stays the same.
    #[must_use]
    pub const fn renumbered(&self) -> u64 {
        self.renumbered
    }

    fn insert(&mut self, key: Box<str>, slot: Slot) -> Index {
        self.bytes += slot.bytes() + key.len() as u64;
        let (index, replaced) = self.slots.insert_full(key, slot);
        if let Some(replaced) = replaced {
            free(&mut self.shelf, &replaced.form);
            self.bytes -= replaced.bytes() + self.key_text(index).len() as u64;
            if let Some(at) = replaced.deadline {
                self.deadlines.remove(&(at, index));
            }
        }
        index
    }

    /// Takes in a stored state, unless a newer one is held. It stays quiet until its next event; it is decoded
    /// once to learn its deadline.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn restore(
        &mut self,
        key: &str,
        state: &[u8],
        as_of: Position,
        deadline: RestoredDeadline,
        dirty: bool,
    ) -> Result<(), StateError> {
        if self.slots.get(key).is_some_and(|held| held.as_of > as_of) {
            return Ok(());
        }
        let deadline = match deadline {
            RestoredDeadline::Known(at) => at,
            RestoredDeadline::AskState => Actor::decode(self.side, key, state)?.deadline(),
        };
        let slot = Slot {
            form: Form::Quiet(state.into()),
            as_of,
            deadline,
            dirty,
            used: false,
            stored_bytes: u32::try_from(state.len()).unwrap_or(u32::MAX),
            stored: as_of,
            touched: false,
            mark: None,
        };
        let index = self.insert(key.into(), slot);
        if let Some(at) = deadline {
            self.deadlines.insert((at, index));
        }
        Ok(())
    }

    /// Brings every actor back to `position` as far as the log goes: what it knows stays, and what stands in the log behind
    /// `position` now is new to it.
    pub fn rewind(&mut self, position: Position) {
        for slot in self.slots.values_mut() {
            slot.as_of = slot.as_of.min(position);
            if slot.stored != NEVER {
                slot.stored = slot.stored.min(position);
            }
        }
    }

    /// Takes in what has changed in an actor between two positions. False if no state is held that the changes fit to:
    /// replay has to come to it.
    ///
    /// # Errors
    /// If the state or the changes cannot be read.
    pub fn fold(
        &mut self,
        key: &str,
        changes: &[u8],
        (since, as_of): (Position, Position),
    ) -> Result<bool, StateError> {
        let Some(index) = self.slots.get_index_of(key) else {
            return Ok(false);
        };
        let held = self.slots[index].as_of;
        if held > as_of {
            return Ok(true);
        }
        if held < since && !is_planted(Bug::LeftOutMarked) {
            return Ok(false);
        }
        self.activate(index)?;
        if let Form::Live(actor) = &mut self.slots[index].form {
            actor.fold(key, changes)?;
        }
        self.note_deadline(index);
        let slot = &mut self.slots[index];
        (slot.as_of, slot.stored, slot.dirty) = (as_of, as_of, true);
        (slot.touched, slot.mark) = (false, None);
        Ok(true)
    }

    /// What a record is to hold of an actor that has spoken: one whose stored form is longer than `whole_max` by what has
    /// changed in it, if that is known.
    ///
    /// # Errors
    /// If it is on the disk and cannot be read.
    pub fn written(&mut self, index: Index, whole_max: usize) -> Result<Written, StateError> {
        let slot = &self.slots[index];
        if let Form::Live(actor) = &slot.form
            && slot.stored != NEVER
            && slot.stored_bytes as usize > whole_max
        {
            let mut bytes = Vec::new();
            if actor.encode_changes(slot.mark.as_deref(), &mut bytes) {
                let since = slot.stored;
                return Ok(Written::Changes { since, bytes });
            }
        }
        self.encode(index).map(|state| Written::Whole(state.into()))
    }

    /// Notes that a record holds what [`Self::written`] gave: from here on changes are listed anew.
    pub fn note_written(&mut self, index: Index) {
        let slot = &mut self.slots[index];
        if let Form::Live(actor) = &mut slot.form {
            let mark = actor.mark();
            match &mut slot.mark {
                Some(held) => **held = mark,
                None => slot.mark = Some(Box::new(mark)),
            }
        }
        slot.stored = slot.as_of;
        slot.touched = false;
    }

    /// About how many bytes of an actor the next record holds.
    #[must_use]
    pub fn written_bytes(&self, index: Index, whole_max: usize) -> usize {
        /// One event changes about as much.
        const CHANGES_BYTES: usize = 1_024;
        let slot = &self.slots[index];
        let whole = slot.stored_bytes as usize;
        match slot.stored != NEVER && whole > whole_max {
            true => CHANGES_BYTES,
            false => whole,
        }
    }

    /// Last position this actor has seen.
    #[must_use]
    pub fn as_of(&self, index: Index) -> Position {
        self.slots[index].as_of
    }

    /// The actor's key as text.
    #[must_use]
    pub fn key_text(&self, index: Index) -> &str {
        // An index is only ever made by this table and dropped before the slot is.
        self.slots.get_index(index).map_or("", |(key, _)| key)
    }

    /// Length of the actor's stored form when it was last encoded.
    #[must_use]
    pub fn stored_bytes(&self, index: Index) -> usize {
        self.slots[index].stored_bytes as usize
    }

    /// Lets the actor act at `position`, activating it first.
    ///
    /// # Errors
    /// If its stored state cannot be read.
    pub fn act(
        &mut self,
        index: Index,
        position: Position,
        act: impl FnOnce(&mut Actor),
    ) -> Result<(), StateError> {
        self.activate(index)?;
        let slot = &mut self.slots[index];
        if let Form::Live(actor) = &mut slot.form {
            act(actor);
        }
        slot.as_of = position;
        slot.dirty = true;
        slot.used = true;
        slot.touched = true;
        self.note_deadline(index);
        Ok(())
    }

    /// Notes when a live actor wants to be woken now.
    fn note_deadline(&mut self, index: Index) {
        let slot = &mut self.slots[index];
        let Form::Live(actor) = &slot.form else {
            return;
        };
        let deadline = actor.deadline();
        if deadline != slot.deadline {
            if let Some(at) = slot.deadline {
                self.deadlines.remove(&(at, index));
            }
            if let Some(at) = deadline {
                self.deadlines.insert((at, index));
            }
            slot.deadline = deadline;
        }
    }

    fn activate(&mut self, index: Index) -> Result<(), StateError> {
        if !matches!(self.slots[index].form, Form::Live(_)) {
            let state = self.quiet_state(index)?;
            let actor = Actor::decode(self.side, self.key_text(index), &state)?;
            self.set_form(index, Form::Live(Box::new(actor)));
            self.activated.push_back(index);
        }
        Ok(())
    }

    fn set_form(&mut self, index: Index, form: Form) {
        let slot = &mut self.slots[index];
        let before = slot.bytes();
        let old = std::mem::replace(&mut slot.form, form);
        free(&mut self.shelf, &old);
        self.bytes = self.bytes + slot.bytes() - before;
    }

    /// Passivates live actors until at most `keep` are left, those not used lately first.
    pub fn passivate(&mut self, keep: usize) {
        self.passivate_but(keep, &BTreeSet::new());
    }

    /// The same, but for `kept`.
    pub fn passivate_but(&mut self, keep: usize, kept: &BTreeSet<Index>) {
        let mut passed = Vec::new();
        while self.activated.len() > keep {
            let Some(index) = self.activated.pop_front() else {
                break;
            };
            if !matches!(self.slots[index].form, Form::Live(_)) {
                continue;
            }
            if kept.contains(&index) {
                passed.push(index);
                continue;
            }
            if std::mem::take(&mut self.slots[index].used) && keep > 0 {
                self.activated.push_back(index);
                continue;
            }
            // Of a live one nothing has to be read.
            if let Ok(state) = self.encode(index) {
                self.set_form(index, Form::Quiet(state));
            }
            let slot = &mut self.slots[index];
            slot.mark = None;
            // Its list of changes is gone with the live form.
            if slot.touched && !is_planted(Bug::PassivatedKeepsChanges) {
                slot.stored = NEVER;
            }
        }
        self.activated.extend(passed);
    }

    /// The actor's stored form.
    ///
    /// # Errors
    /// If it is on the disk and cannot be read.
    pub fn encode(&mut self, index: Index) -> Result<Box<[u8]>, StateError> {
        if !matches!(self.slots[index].form, Form::Live(_)) {
            return self
                .quiet_state(index)
                .map(|state| state.into_owned().into());
        }
        let slot = &mut self.slots[index];
        Ok(match &slot.form {
            Form::Quiet(_) | Form::Shelved(_) => Box::default(),
            Form::Live(actor) => {
                self.buffer.clear();
                actor.encode(&mut self.buffer);
                let before = slot.bytes();
                slot.stored_bytes = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
                self.bytes = self.bytes + slot.bytes() - before;
                self.buffer.as_slice().into()
            }
        })
    }

    /// When this actor wants to be woken.
    #[must_use]
    pub fn deadline(&self, index: Index) -> Option<LogTime> {
        self.slots[index].deadline
    }

    /// Whether the actor changed since it was last packed; from now on it counts as packed.
    pub fn take_dirty(&mut self, index: Index) -> bool {
        let slot = &mut self.slots[index];
        // Changes are folded over the packed state as well, of which the mark says nothing.
        slot.mark = None;
        std::mem::take(&mut slot.dirty)
    }

    /// Forgets actors that are no different from ones that never were. Numbers change.
    pub fn drop_blank(&mut self, now: LogTime, settings: &Settings) {
        let (side, shelf) = (self.side, &mut self.shelf);
        self.renumbered += 1;
        self.slots.retain(|key, slot| {
            // A state that cannot be read is kept: it must be reported when it is needed, not lost.
            let stays = |state: &[u8]| {
                Actor::decode(side, key, state).map_or(true, |actor| !actor.is_blank(now, settings))
            };
            let stays = match &slot.form {
                Form::Live(actor) => !actor.is_blank(now, settings),
                Form::Quiet(state) => stays(state),
                Form::Shelved(place) => {
                    let state = shelf.as_ref().map(|shelf| shelf.get(*place));
                    state.is_none_or(|state| state.map_or(true, |state| stays(&state)))
                }
            };
            if !stays {
                free(shelf, &slot.form);
            }
            stays
        });
        self.bytes = self
            .slots
            .iter()
            .map(|(key, slot)| slot.bytes() + key.len() as u64)
            .sum();
        let numbered = || self.slots.values().enumerate();
        self.deadlines = numbered()
            .filter_map(|(index, slot)| Some((slot.deadline?, index)))
            .collect();
        self.activated = numbered()
            .filter(|(_, slot)| matches!(slot.form, Form::Live(_)))
            .map(|(index, _)| index)
            .collect();
    }
}

/// Gives the place of a state on the shelf to others.
fn free(shelf: &mut Option<Shelf>, form: &Form) {
    if let (Some(shelf), Form::Shelved(place)) = (shelf, form) {
        shelf.free(*place);
    }
}

/// What is known of a stored actor's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoredDeadline {
    /// It was stored beside the state.
    Known(Option<LogTime>),
    /// The state has to be read for it.
    AskState,
}
