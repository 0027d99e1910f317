//! What of an output may leave for a destination, and in what form (S3.11, S5.09).
//!
//! An allow list: `fields.toml` declares, per destination, each field that may leave as `plain`, `hash`, `encrypt`,
//! `mask` or `omit`. What is not declared never leaves, whatever a template asks for, because templates are given
//! what is left here and nothing else. One policy also strikes from vendors' answers, dead letters and log lines what
//! has no place there.
//!
//! Pure but for reading keys, and the same input gives the same output each time: an attempt that is repeated has to
//! have the body of the first, or a vendor that knows the idempotency key takes it for a different order.
//!
//! | file | idea |
//! |---|---|
//! | `file` | `fields.toml`, all mistakes at once |
//! | `tree` | declared paths, and which of them speaks for a field |
//! | `walk` | what a policy makes of one output's data |
//! | `keys` | hashes and sealed fields |
//! | `shapes` | card and SSN shapes in text of any script |
//! | `scrub` | what is struck from what others wrote |

use std::collections::BTreeMap;

use serde_json::{Map, Value};

mod digits;
mod file;
mod keys;
mod scrub;
mod shapes;
mod tree;
mod walk;

pub use keys::SEALED_VERSION;
pub use scrub::LISTED;

use super::{secret::SecretError, secret_ref::SecretRef};
use crate::{
    config::document::ConfigErrors,
    delivery::{attempt::Fault, parcel::Parcel},
};
use keys::{Keys, Sealer};
use scrub::Scrub;
use tree::Tree;
use walk::Walk;

/// The policy that ships with the program: for the destinations of `config/destinations.toml`.
pub const SHIPPED: &str = include_str!("../../config/fields.toml");

/// The name under which a policy declares the CloudEvents `subject`, which is no part of the data.
const SUBJECT: &str = "subject";

/// What happens to a declared field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It leaves as it is; card and SSN shapes in its text are masked, unless its name says that it is an identifier.
    Plain,
    /// HMAC-SHA256 of it in hex: the same value gives the same hash, so that the destination can count and join.
    Hash,
    /// AES-256-GCM under the current key: only holders of the key read it.
    Encrypt,
    /// All but the last four characters become `*`.
    Mask,
    /// It stays. The same as not declaring it, but said.
    Omit,
}

impl Action {
    /// Every action by the name it has in the file.
    const NAMES: [(&str, Self); 5] = [
        ("plain", Self::Plain),
        ("hash", Self::Hash),
        ("encrypt", Self::Encrypt),
        ("mask", Self::Mask),
        ("omit", Self::Omit),
    ];
}

/// The policy of every destination.
#[derive(Debug, Default)]
pub struct FieldPolicy {
    destinations: BTreeMap<String, Declared>,
    keys: Keys,
    scrub: Scrub,
}

/// What one destination may be told.
#[derive(Debug, Default)]
struct Declared {
    /// For output types without a section of their own; `None` if each has to have one.
    others: Option<Tree>,
    /// By output type. Such a section stands alone: nothing is inherited.
    types: BTreeMap<String, Tree>,
}

/// What may leave of an output.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    /// The CloudEvents `subject`, if the policy declares `subject`, in the form it declares.
    pub subject: Option<Value>,
    /// The data: an object with the fields that may leave.
    pub data: Value,
    /// Fields that were there and stay, by path; list items as `*`, each path once.
    pub dropped: Vec<Dropped>,
}

/// A field that does not leave.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dropped {
    /// Path, as a policy would declare it.
    pub path: String,
    /// Why.
    pub cause: DropCause,
}

/// Why a field does not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropCause {
    /// Nobody declared it.
    Undeclared,
    /// Declared as `omit`.
    Omitted,
    /// Declared as one value, but it is an object or a list, whose own fields nobody declared.
    NotOneValue,
}

impl DropCause {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Undeclared => "not declared",
            Self::Omitted => "declared as omit",
            Self::NotOneValue => "an object or a list: declare what is in it",
        }
    }
}

/// Why nothing of an output may leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The policy does not know the destination.
    #[error(
        "the field policy has no section [destination.{destination}], so nothing may leave for it"
    )]
    UnknownDestination {
        /// The destination.
        destination: String,
    },
    /// The destination has sections for other types, and none for this.
    #[error(
        "the field policy has no section [destination.{destination}.\"{event_type}\"], so nothing of it may leave"
    )]
    UnknownType {
        /// The destination.
        destination: String,
        /// CloudEvents type.
        event_type: String,
    },
    /// A key cannot be had. Its error is part of the message, so no source: a chain would say it twice.
    #[error("the field policy needs a key: {0}")]
    Key(SecretError),
    /// A key is none.
    #[error("the field policy needs a key: secret {reference}: {why}")]
    BadKey {
        /// Where it is.
        reference: SecretRef,
        /// What a key looks like.
        why: &'static str,
    },
    /// The file names no key for what it declares. A file that was parsed has one, so this is a policy made otherwise.
    #[error("the field policy names no key for `{0}`")]
    NoKey(&'static str),
    /// A value that is too long to be sealed, or was not sealed by these keys for this place.
    #[error("a field cannot be {0}")]
    Sealing(&'static str),
}

impl From<SecretError> for FieldError {
    fn from(error: SecretError) -> Self {
        Self::Key(error)
    }
}

impl FieldError {
    /// What it means for an attempt: a key may yet come, a declaration does not come by itself.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Key(_) | Self::BadKey { .. } => Fault::Misconfigured(self.to_string()),
            Self::UnknownDestination { .. }
            | Self::UnknownType { .. }
            | Self::NoKey(_)
            | Self::Sealing(_) => Fault::Unsendable(self.to_string()),
        }
    }
}

impl FieldPolicy {
    /// Reads `fields.toml`; `origin` names it in errors.
    ///
    /// # Errors
    /// All mistakes of the file, each with its line.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigErrors> {
        file::parse(text, origin)
    }

    /// What of `parcel` may leave for `destination`. Two calls for one parcel give the same, unless a key changed in
    /// between.
    ///
    /// # Errors
    /// If the destination or the output's type is not declared, or a key that is needed cannot be had.
    pub fn allow(&self, destination: &str, parcel: &Parcel) -> Result<Allowed, FieldError> {
        self.allow_data(
            destination,
            &parcel.event_type,
            &parcel.id,
            &parcel.subject,
            &parcel.data,
        )
    }

    /// The same for an output that is not in the log.
    ///
    /// # Errors
    /// As [`FieldPolicy::allow`].
    pub fn allow_data(
        &self,
        destination: &str,
        event_type: &str,
        id: &str,
        subject: &str,
        data: &Value,
    ) -> Result<Allowed, FieldError> {
        let tree = self.tree(destination, event_type)?;
        let mut walk = Walk::new(Sealer::new(&self.keys, destination, id));
        let subject = match tree.action_of(SUBJECT) {
            Some(action) => walk.subject(action, subject)?,
            None => None,
        };
        let data = walk
            .data(tree, data)?
            .unwrap_or_else(|| Value::Object(Map::new()));
        Ok(Allowed {
            subject,
            data,
            dropped: walk.into_dropped(),
        })
    }

    /// Reads a field that was sealed for `destination` at `path`, with whichever of the keys sealed it. List items
    /// are `*` in the path.
    ///
    /// # Errors
    /// If its key is not in the file any more, or it was sealed for another place, or changed since.
    pub fn open(&self, destination: &str, path: &str, sealed: &str) -> Result<Value, FieldError> {
        self.keys.open(destination, path, sealed)
    }

    /// Destinations that the file declares, in order of their names.
    pub fn destinations(&self) -> impl Iterator<Item = &str> {
        self.destinations.keys().map(String::as_str)
    }

    /// Whether outputs of a type may leave for a destination at all: for checking a configuration before it runs.
    ///
    /// # Errors
    /// Which section is missing.
    pub fn declares(&self, destination: &str, event_type: &str) -> Result<(), FieldError> {
        self.tree(destination, event_type).map(|_| ())
    }

    /// A vendor's answer without the listed fields, and with card and SSN shapes masked.
    #[must_use]
    pub fn scrub(&self, value: &Value) -> Value {
        self.scrub.value(value)
    }

    /// Text of others for a log line, an error or a dead letter, likewise.
    #[must_use]
    pub fn scrub_text(&self, text: &str) -> String {
        self.scrub.text(text)
    }

    fn tree(&self, destination: &str, event_type: &str) -> Result<&Tree, FieldError> {
        let declared =
            self.destinations
                .get(destination)
                .ok_or_else(|| FieldError::UnknownDestination {
                    destination: destination.to_owned(),
                })?;
        declared
            .types
            .get(event_type)
            .or(declared.others.as_ref())
            .ok_or_else(|| FieldError::UnknownType {
                destination: destination.to_owned(),
                event_type: event_type.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests;
