//! Secrets that were not accepted, watched until they are others.

use std::time::Duration;

use tokio::time::Instant;

use super::Driver;

/// Secrets that were refused are looked at this often: whoever exchanges one need not wait for the next attempt's minute.
const SECRETS_EVERY: Duration = Duration::from_secs(1);

impl Driver {
    /// Where credentials are not accepted, others are tried as soon as they are there.
    pub(super) fn watch_secrets(&mut self) {
        if self.machine.state().misconfigured().is_none() {
            self.refused = None;
            return;
        }
        let cursor = self.refused.map(|(_, at)| at);
        if cursor.is_some_and(|at| at.elapsed() < SECRETS_EVERY) {
            return;
        }
        let now = self.transport.credentials();
        if self.refused.is_some_and(|(refused, _)| refused != now) {
            self.machine.try_credentials();
        }
        self.refused = Some((now, Instant::now()));
    }
}
