//! Which outputs a destination takes.

use aftercall_actors::contract::output::{Kind, Output};

use super::{expression::Condition, scope::Scope};
use crate::delivery::parcel::Parcel;

/// Which outputs a destination takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    on: Vec<Listen>,
    when: Option<Condition>,
}

/// What a destination listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// All types of a kind.
    Kind(Kind),
    /// One type.
    Type(&'static str),
}

impl Selector {
    /// Takes outputs that any of `on` names and `when` holds for.
    #[must_use]
    pub const fn new(on: Vec<Listen>, when: Option<Condition>) -> Self {
        Self { on, when }
    }

    /// Whether the destination takes this output.
    ///
    /// Where the condition has no value, it does: an output too many is seen and can be explained, one lost is not.
    /// Reading the configuration has tried the condition on each type it is for, with and without optional fields.
    #[must_use]
    pub fn selects(&self, parcel: &Parcel) -> bool {
        let listens = self.on.iter().any(|listen| match listen {
            Listen::Kind(kind) => *kind == parcel.kind,
            Listen::Type(name) => *name == parcel.event_type,
        });
        listens
            && self.when.as_ref().is_none_or(|when| {
                // Nothing leaves the process here, so no field policy applies.
                let scope = Scope::default().with_output(parcel, parcel.data.clone());
                when.holds(&scope).unwrap_or(true)
            })
    }

    /// The condition, if there is one.
    #[must_use]
    pub const fn when(&self) -> Option<&Condition> {
        self.when.as_ref()
    }

    /// The types it listens to, in the order of the contract.
    pub fn types(&self) -> impl Iterator<Item = &'static str> + '_ {
        Output::TYPES.into_iter().filter(|name| {
            self.on.iter().any(|listen| match listen {
                Listen::Kind(kind) => Kind::of(name) == Some(*kind),
                Listen::Type(listened) => listened == name,
            })
        })
    }
}
