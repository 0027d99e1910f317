//! From the two files to couriers: destinations and what may leave for them are checked together.
//!
//! One way for all who need it: the service, `check`, `send` and the demo, so that what one of them calls good the
//! others do not refuse.

use std::{fs, io, path::Path, path::PathBuf, sync::Arc};

use super::{
    courier::{Courier, CourierError, couriers},
    destination::Destinations,
    fields::FieldPolicy,
    file::{self, Checked},
    rehearsal,
};
use crate::config::document::ConfigErrors;

/// Why there are no couriers.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why. Part of the message, so no source: a chain would say it twice.
        why: io::Error,
    },
    /// One of the files holds mistakes; all of them.
    #[error(transparent)]
    Mistakes(#[from] ConfigErrors),
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Courier(#[from] CourierError),
}

/// Destinations and their field policy, checked against each other.
pub struct Loaded {
    /// The destinations, with the warnings about them.
    pub checked: Checked,
    /// What may leave for them.
    pub fields: FieldPolicy,
}

/// Reads and checks both files. Without a field policy nothing may leave, which is a mistake of every destination.
///
/// # Errors
/// If one cannot be read, and all mistakes of the first that holds any.
pub fn load(destinations: &Path, fields: Option<&Path>) -> Result<Loaded, LoadError> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|why| LoadError::Unreadable {
            path: path.to_owned(),
            why,
        })
    };
    let fields = match fields {
        None => None,
        Some(path) => Some((read(path)?, path.display().to_string())),
    };
    let destinations = (read(destinations)?, destinations.display().to_string());
    parse(
        (&destinations.0, &destinations.1),
        fields.as_ref().map(|(text, origin)| (&**text, &**origin)),
    )
}

/// Checks both documents, each a text and what messages call it.
///
/// # Errors
/// As [`load`].
pub fn parse(
    (destinations, origin): (&str, &str),
    fields: Option<(&str, &str)>,
) -> Result<Loaded, LoadError> {
    let fields = match fields {
        None => FieldPolicy::default(),
        Some((text, origin)) => FieldPolicy::parse(text, origin)?,
    };
    let mut checked = file::parse(destinations, origin)?;
    checked.rehearse(&rehearsal::by_policy(&fields))?;
    Ok(Loaded { checked, fields })
}

impl Loaded {
    /// The destinations.
    #[must_use]
    pub const fn destinations(&self) -> &Destinations {
        &self.checked.destinations
    }

    /// A courier for each destination, in their order.
    ///
    /// # Errors
    /// If a certificate or key of one cannot be read.
    pub fn couriers(self) -> Result<Vec<Courier>, CourierError> {
        couriers(self.checked.destinations, &Arc::new(self.fields))
    }
}
