//! Who may do what over HTTP: the roles of tokens, and the one table of what each route asks for.
//!
//! 401 says that the service does not know who asks; 403 that it does, and which role is missing. The routes are built
//! from [`Route`], so none can be there without a line in the table, and a test holds `docs/http.md` to it.

use std::fmt;

use actix_web::http::Method;
use aftercall_actors::contract::{
    event::{Body, OutcomeKind},
    value::Id,
};

/// What the holder of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Hand in events and exports.
    Ingest,
    /// Ask what agents have.
    Read,
    /// Decide about rewards.
    Decide,
    /// Report, in the service's place, what went wrong: dead letters, and rows that an import left out.
    Operate,
    /// Answer requests of one kind that no destination takes.
    Answer(OutcomeKind),
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 9] = [
        Self::Ingest,
        Self::Read,
        Self::Decide,
        Self::Operate,
        Self::Answer(OutcomeKind::Reward),
        Self::Answer(OutcomeKind::Identity),
        Self::Answer(OutcomeKind::SurveyToken),
        Self::Answer(OutcomeKind::Alert),
        Self::Answer(OutcomeKind::Enrichment),
    ];

    /// The name in a token file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Decide => "decide",
            Self::Operate => "operate",
            Self::Answer(OutcomeKind::Reward) => "answer:reward",
            Self::Answer(OutcomeKind::Identity) => "answer:identity",
            Self::Answer(OutcomeKind::SurveyToken) => "answer:survey_token",
            Self::Answer(OutcomeKind::Alert) => "answer:alert",
            Self::Answer(OutcomeKind::Enrichment) => "answer:enrichment",
        }
    }

    /// The role that may hand in an event of this type; none where only the service itself writes it.
    #[must_use]
    pub const fn to_send(body: &Body) -> Option<Self> {
        match body {
            Body::InteractionStarted(_)
            | Body::InteractionWrapup(_)
            | Body::InteractionCompleted(_)
            | Body::InteractionUpdated(_)
            | Body::SurveyResponse(_)
            | Body::EnpsResponse(_)
            | Body::WfmMetric(_)
            | Body::PointsAdjusted(_)
            | Body::AlertAcknowledged(_) => Some(Self::Ingest),
            Body::RewardDecided(_) => Some(Self::Decide),
            Body::Outcome(kind, _) => Some(Self::Answer(*kind)),
            Body::DeadLettered(_) | Body::ImportQuarantined(_) => Some(Self::Operate),
            Body::Tick | Body::RulesActivated(_) => None,
        }
    }

    const fn bit(self) -> u16 {
        1 << match self {
            Self::Ingest => 0,
            Self::Read => 1,
            Self::Decide => 2,
            Self::Operate => 3,
            Self::Answer(OutcomeKind::Reward) => 4,
            Self::Answer(OutcomeKind::Identity) => 5,
            Self::Answer(OutcomeKind::SurveyToken) => 6,
            Self::Answer(OutcomeKind::Alert) => 7,
            Self::Answer(OutcomeKind::Enrichment) => 8,
        }
    }
}

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u16);

impl Roles {
    /// These.
    #[must_use]
    pub fn of(roles: &[Role]) -> Self {
        Self(roles.iter().fold(0, |set, role| set | role.bit()))
    }

    /// Whether this one is among them.
    #[must_use]
    pub const fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether any of these is among them.
    #[must_use]
    pub const fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Their names as alternatives.
    #[must_use]
    pub fn words(self) -> String {
        let names = Role::ALL.into_iter().filter(|role| self.has(*role));
        let names: Vec<String> = names.map(|role| format!("`{}`", role.name())).collect();
        names.join(" or ")
    }

    /// Adds one; whether it was not among them.
    pub const fn add(&mut self, role: Role) -> bool {
        let before = self.0;
        self.0 |= role.bit();
        self.0 != before
    }
}

/// Their names, as a token file lists them.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for role in Role::ALL.into_iter().filter(|role| self.has(*role)) {
            write!(f, "{separator}{}", role.name())?;
            separator = ", ";
        }
        Ok(())
    }
}

/// Whose request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The token's holder; none if the token's line names none: it never decides.
    pub holder: Option<Id>,
    /// What the holder may do.
    pub roles: Roles,
}

/// A route that asks for a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Events in.
    Events,
    /// Exports in.
    ImportsWfm,
    /// What an agent has.
    Points,
    /// Agents by points.
    Leaderboard,
    /// A reward is to be given.
    Approve,
    /// A reward is not to be given.
    Reject,
}

impl Route {
    /// Every route that asks for a role.
    pub const ALL: [Self; 6] = [
        Self::Events,
        Self::ImportsWfm,
        Self::Points,
        Self::Leaderboard,
        Self::Approve,
        Self::Reject,
    ];

    /// Its pattern: also its name in metrics.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Events => "/v1/events",
            Self::ImportsWfm => "/v1/imports/wfm",
            Self::Points => "/v1/agents/{id}/points",
            Self::Leaderboard => "/v1/leaderboard",
            Self::Approve => "/v1/rewards/{id}/approve",
            Self::Reject => "/v1/rewards/{id}/reject",
        }
    }

    /// Its method.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::Events | Self::ImportsWfm | Self::Approve | Self::Reject => Method::POST,
            Self::Points | Self::Leaderboard => Method::GET,
        }
    }

    /// The roles of which one is needed. For events it depends on their types, which [`Role::to_send`] tells: a
    /// token that may send none of them is refused before the body is read.
    #[must_use]
    pub fn roles(self) -> Roles {
        match self {
            Self::Events => {
                let mut any = Roles::of(&Role::ALL);
                any.0 &= !Role::Read.bit();
                any
            }
            Self::ImportsWfm => Roles::of(&[Role::Ingest]),
            Self::Points | Self::Leaderboard => Roles::of(&[Role::Read]),
            Self::Approve | Self::Reject => Roles::of(&[Role::Decide]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s2_02_the_docs_say_of_every_route_which_role_it_needs() {
        let page = include_str!("../../docs/http.md");
        for route in Route::ALL {
            let roles = match route {
                Route::Events => "by type, see below".to_owned(),
                other => format!("`{}`", other.roles()),
            };
            let line = format!("| `{} {}` | {roles} |", route.method(), route.path());
            assert!(page.contains(&line), "docs/http.md has no line `{line}`");
        }
        for role in Role::ALL {
            let name = role.name().split(':').next().unwrap_or_default();
            assert!(page.contains(&format!("`{name}")), "docs/http.md: {name}");
        }
    }

    #[test]
    fn roles_are_told_apart_and_each_is_its_own_bit() {
        for (place, role) in Role::ALL.into_iter().enumerate() {
            let one = Roles::of(&[role]);
            assert_eq!(one.0, 1 << place);
            assert_eq!(one.to_string(), role.name());
            for other in Role::ALL {
                assert_eq!(one.has(other), role == other);
            }
        }
    }

    #[test]
    fn what_tokens_without_a_holder_may_do_is_sending_and_reading() {
        let plain = Roles::of(&[Role::Ingest, Role::Read]);
        let allowed = Route::ALL.map(|route| plain.has_any(route.roles()));
        assert_eq!(allowed, [true, true, true, true, false, false]);
    }
}
