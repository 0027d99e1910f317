//! Clients whose certificates are read again when their files change: a rotation needs no restart (S1.10).

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{Client, ClientError, Settings};
use crate::{
    delivery::attempt::Fault,
    sinks::{
        secret::LOOK_EVERY,
        spec::{TlsIdentity, TlsSpec},
    },
};

/// Makes the client of one destination, and makes it anew when a certificate has changed.
#[derive(Debug)]
pub struct Connector {
    spec: TlsSpec,
    settings: Settings,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    looked_at: Instant,
    stamps: Vec<Stamp>,
    client: Client,
}

/// What tells one content of a file from another.
type Stamp = Option<(SystemTime, u64)>;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What is in the files does not do.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Connector {
    /// Reads the files and makes a client. `settings` without certificates.
    ///
    /// # Errors
    /// If a file cannot be read, or holds no certificate or key.
    pub fn new(spec: TlsSpec, settings: Settings) -> Result<Self, TlsError> {
        let stamps = stamps(&spec);
        let client = client(&spec, &settings)?;
        Ok(Self {
            spec,
            settings,
            seen: Mutex::new(Seen {
                looked_at: Instant::now(),
                stamps,
                client,
            }),
        })
    }

    /// The client for the next attempt. It shares its connections with the last, unless a file has changed.
    ///
    /// # Errors
    /// [`Fault::Misconfigured`] if a file has changed into something that does not do: nothing is sent under a certificate
    /// that was taken away.
    pub fn client(&self) -> Result<Client, Fault> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let has_files = self.spec.ca_file.is_some() || self.spec.identity.is_some();
        if has_files && seen.looked_at.elapsed() >= LOOK_EVERY {
            let now = stamps(&self.spec);
            if now != seen.stamps {
                seen.client = client(&self.spec, &self.settings)
                    .map_err(|error| Fault::Misconfigured(error.to_string()))?;
                seen.stamps = now;
            }
            seen.looked_at = Instant::now();
        }
        Ok(seen.client.clone())
    }
}

/// Certificates to trust besides the system's, in PEM.
///
/// # Errors
/// If the file cannot be read.
pub fn roots(spec: &TlsSpec) -> Result<Option<Vec<u8>>, TlsError> {
    spec.ca_file.as_ref().map(read).transpose()
}

/// What of the files would keep a client from being made, by key; all of it.
#[must_use]
pub fn problems(spec: &TlsSpec) -> Vec<(&'static str, TlsError)> {
    // Any will do: nothing is connected to.
    let settings = Settings {
        connect_timeout: Duration::from_secs(1),
        total_timeout: Duration::from_secs(1),
        answer_bytes_max: 0,
        roots_pem: None,
        identity_pem: None,
    };
    let try_with = |ca_file: Option<PathBuf>, identity: Option<TlsIdentity>| {
        client(&TlsSpec { ca_file, identity }, &settings).err()
    };
    let mut found = Vec::new();
    if spec.ca_file.is_some()
        && let Some(error) = try_with(spec.ca_file.clone(), None)
    {
        found.push(("ca_file", error));
    }
    let Some(identity) = &spec.identity else {
        return found;
    };
    let unreadable = |file: &PathBuf| read(file).err();
    let cert = unreadable(&identity.cert_file).map(|error| ("cert_file", error));
    let key = unreadable(&identity.key_file).map(|error| ("key_file", error));
    if cert.is_none()
        && key.is_none()
        && let Some(error) = try_with(None, Some(identity.clone()))
    {
        found.push(("cert_file", error));
    }
    found.extend(cert.into_iter().chain(key));
    found
}

fn client(spec: &TlsSpec, settings: &Settings) -> Result<Client, TlsError> {
    let mut settings = settings.clone();
    settings.roots_pem = roots(spec)?;
    if let Some(identity) = &spec.identity {
        let mut pem = read(&identity.cert_file)?;
        pem.push(b'\n');
        pem.extend(read(&identity.key_file)?);
        settings.identity_pem = Some(pem);
    }
    Ok(Client::new(&settings)?)
}

fn read(file: &PathBuf) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|source| TlsError::Unreadable {
        file: file.clone(),
        source,
    })
}

fn stamps(spec: &TlsSpec) -> Vec<Stamp> {
    let identity = spec.identity.iter();
    spec.ca_file
        .iter()
        .chain(identity.clone().map(|identity| &identity.cert_file))
        .chain(identity.map(|identity| &identity.key_file))
        .map(|file| {
            let meta = fs::metadata(file).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        })
        .collect()
}
