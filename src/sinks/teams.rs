//! Microsoft Teams over a Workflows webhook: the form of its card, and what its answers mean.

pub mod answer;
pub mod card;
