//! What each destination's driver last said of itself: read by `/readyz`, the metrics and the demo.

use std::fmt;

use crate::{log::Seq, telemetry::status::StatusBoard};

/// Where a destination's driver stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DriverState {
    /// Reads its journal.
    Starting,
    /// Delivers.
    Running,
    /// Delivers nothing because our credentials are missing or not accepted; tries once a minute (S3.16).
    Misconfigured,
    /// Another process delivers in its place.
    Fenced,
    /// A fault it must not pass over: an operator has to look.
    Stopped,
}

impl DriverState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Starting,
        Self::Running,
        Self::Misconfigured,
        Self::Fenced,
        Self::Stopped,
    ];

    /// The label in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Misconfigured => "misconfigured",
            Self::Fenced => "fenced",
            Self::Stopped => "stopped",
        }
    }
}

/// A destination's own account.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DestinationStatus {
    /// Its name.
    pub destination: String,
    /// Where its driver stands.
    pub state: DriverState,
    /// Why it is misconfigured, stopped, fenced or being started again.
    pub reason: Option<String>,
    /// Times it changed hands.
    pub epoch: u64,
    /// Outputs up to this sequence were looked at.
    pub looked: Seq,
    /// Outputs taken and not finished.
    pub unfinished: usize,
    /// Attempts that are out.
    pub in_flight: usize,
    /// `closed`, `open` or `half_open`.
    pub breaker: &'static str,
    /// Age of the oldest output that has no verdict, in milliseconds of log time.
    pub lag_ms: i64,
    /// Delivered since this process started.
    pub delivered: u64,
    /// Refused for good since this process started.
    pub rejected: u64,
    /// Given up since this process started.
    pub failed: u64,
    /// Made needless by newer ones since this process started.
    pub merged: u64,
    /// What the last attempt that was no success came to.
    pub last_trouble: Option<String>,
}

/// The accounts of all destinations of this process.
#[derive(Debug)]
pub struct DestinationBoard {
    destinations: StatusBoard<String, DestinationStatus>,
}

impl DestinationBoard {
    /// A board on which every destination is starting.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let blank = |name: &str| DestinationStatus {
            destination: name.to_owned(),
            state: DriverState::Starting,
            reason: None,
            epoch: 0,
            looked: 0,
            unfinished: 0,
            in_flight: 0,
            breaker: "closed",
            lag_ms: 0,
            delivered: 0,
            rejected: 0,
            failed: 0,
            merged: 0,
            last_trouble: None,
        };
        Self {
            destinations: StatusBoard::new(
                names.into_iter().map(|name| (name.to_owned(), blank(name))),
            ),
        }
    }

    /// Changes one destination's account.
    pub fn update(&self, destination: &str, change: impl FnOnce(&mut DestinationStatus)) {
        self.destinations.update(destination, change);
    }

    /// Notes that a driver is not running, and why.
    pub fn end(&self, destination: &str, state: DriverState, reason: &impl fmt::Display) {
        self.update(destination, |status| {
            status.state = state;
            status.reason = Some(reason.to_string());
            status.in_flight = 0;
        });
    }

    /// All accounts, in the order of the configuration.
    #[must_use]
    pub fn destinations(&self) -> Vec<DestinationStatus> {
        self.destinations.all()
    }

    /// Why deliveries are not as they should be on this side; an unwell destination is no complaint.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let complaint = |status: DestinationStatus| {
            let DestinationStatus { destination, .. } = &status;
            let reason = status.reason.as_deref().unwrap_or("no reason given");
            match status.state {
                DriverState::Stopped => {
                    Some(format!("destination {destination} is stopped: {reason}"))
                }
                DriverState::Fenced => Some(format!(
                    "destination {destination} has another owner: {reason}"
                )),
                DriverState::Starting => Some(format!("destination {destination} is starting")),
                DriverState::Running | DriverState::Misconfigured => None,
            }
        };
        self.destinations()
            .into_iter()
            .filter_map(complaint)
            .collect()
    }

    /// What somebody has to mend although this process does all it can: credentials that are missing or not accepted.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let note = |status: DestinationStatus| {
            let DestinationStatus { destination, .. } = &status;
            let reason = status.reason.as_deref().unwrap_or("no reason given");
            (status.state == DriverState::Misconfigured).then(|| {
                format!(
                    "destination {destination} is misconfigured, its outputs wait and it is tried once a minute: {reason}"
                )
            })
        };
        self.destinations().into_iter().filter_map(note).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrong_on_this_side_is_a_complaint() {
        let board = DestinationBoard::new(["crm", "rewards"]);
        assert_eq!(board.complaints().len(), 2, "both are starting");
        for name in ["crm", "rewards"] {
            board.update(name, |status| {
                status.state = DriverState::Running;
                status.breaker = "open";
            });
        }
        assert_eq!(board.complaints(), Vec::<String>::new());
        board.update("crm", |status| {
            status.state = DriverState::Misconfigured;
            status.reason = Some("answered 401".to_owned());
        });
        assert_eq!(board.complaints(), Vec::<String>::new());
        assert_eq!(
            board.notes(),
            [
                "destination crm is misconfigured, its outputs wait and it is tried once a minute: answered 401"
            ]
        );
        board.end("crm", DriverState::Stopped, &"line is damaged");
        assert_eq!(board.notes(), Vec::<String>::new());
        assert_eq!(
            board.complaints(),
            ["destination crm is stopped: line is damaged"]
        );
        board.end("rewards", DriverState::Fenced, &"record 7 is not ours");
        let complaints = board.complaints();
        assert_eq!(
            complaints[1],
            "destination rewards has another owner: record 7 is not ours"
        );
    }
}
