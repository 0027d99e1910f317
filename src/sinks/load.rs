//! From the two files to couriers: destinations and what may leave for them are checked together.
//!
//! One way for all who need it: the service, `check`, `send` and the demo, so that what one of them calls good the
//! others do not refuse.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    courier::{Courier, CourierError, couriers},
    destination::Destinations,
    fields::FieldPolicy,
    file::{self, Checked},
    rehearsal, surroundings,
};
use crate::{config::document::ConfigErrors, delivery::transport::Transport};

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

/// Everything that keeps both files from being used, that of the field policy first; a line each.
#[derive(Debug)]
pub struct LoadErrors(pub Vec<LoadError>);

impl std::error::Error for LoadErrors {}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl<E: Into<LoadError>> From<E> for LoadErrors {
    fn from(error: E) -> Self {
        Self(vec![error.into()])
    }
}

/// Destinations and their field policy, checked against each other.
#[derive(Debug)]
pub struct Loaded {
    /// The destinations, with the warnings about them.
    pub checked: Checked,
    /// What may leave for them.
    pub fields: FieldPolicy,
}

/// Reads and checks both files. Without a field policy nothing may leave, which is a mistake of every destination.
///
/// # Errors
/// If one cannot be read, and the mistakes of both. Templates are tried over what the policy leaves only if neither
/// holds any.
pub fn load(destinations: &Path, fields: Option<&Path>) -> Result<Loaded, LoadErrors> {
    let origin = destinations.display().to_string();
    let checked = read(destinations).and_then(|text| Ok(file::parse(&text, &origin)?));
    together(
        checked,
        fields.map_or_else(|| Ok(FieldPolicy::default()), policy),
    )
}

/// Reads and checks a field policy alone.
///
/// # Errors
/// If it cannot be read, and all its mistakes.
pub fn policy(path: &Path) -> Result<FieldPolicy, LoadError> {
    let text = read(path)?;
    Ok(FieldPolicy::parse(&text, &path.display().to_string())?)
}

/// Checks both documents, each a text and what messages call it.
///
/// # Errors
/// As [`load`].
pub fn parse(
    (destinations, origin): (&str, &str),
    fields: Option<(&str, &str)>,
) -> Result<Loaded, LoadErrors> {
    let policy = match fields {
        None => Ok(FieldPolicy::default()),
        Some((text, origin)) => FieldPolicy::parse(text, origin),
    };
    together(
        file::parse(destinations, origin).map_err(LoadError::from),
        policy.map_err(LoadError::from),
    )
}

fn read(path: &Path) -> Result<String, LoadError> {
    fs::read_to_string(path).map_err(|why| LoadError::Unreadable {
        path: path.to_owned(),
        why,
    })
}

fn together(
    checked: Result<Checked, LoadError>,
    fields: Result<FieldPolicy, LoadError>,
) -> Result<Loaded, LoadErrors> {
    match (checked, fields) {
        (Ok(mut checked), Ok(fields)) => {
            checked.rehearse(&rehearsal::by_policy(&fields))?;
            Ok(Loaded { checked, fields })
        }
        (checked, fields) => {
            let both = [fields.err(), checked.err()];
            Err(LoadErrors(both.into_iter().flatten().collect()))
        }
    }
}

impl Loaded {
    /// The destinations.
    #[must_use]
    pub const fn destinations(&self) -> &Destinations {
        &self.checked.destinations
    }

    /// Looks at the certificates and secrets that are pointed at, as they are here and now. Adds to the warnings.
    ///
    /// # Errors
    /// If a certificate or key is not there or is none.
    pub fn look_around(&mut self) -> Result<(), ConfigErrors> {
        let found = surroundings::look(&self.checked.destinations);
        self.checked.note(found)
    }

    /// The same couriers, as drivers take them.
    ///
    /// # Errors
    /// As [`Loaded::couriers`].
    pub fn transports(self) -> Result<Vec<Arc<dyn Transport>>, CourierError> {
        let couriers = self.couriers()?.into_iter();
        Ok(couriers
            .map(|courier| Arc::new(courier) as Arc<dyn Transport>)
            .collect())
    }

    /// A courier for each destination, in their order.
    ///
    /// # Errors
    /// If a certificate or key of one cannot be read.
    pub fn couriers(self) -> Result<Vec<Courier>, CourierError> {
        couriers(self.checked.destinations, &Arc::new(self.fields))
    }
}
