//! What tells versions of a response apart: a hash of all that its events say, the revision aside.
//!
//! The id and source of the event have no part in it: the same answer fetched twice may come under two. So have fields
//! that the contract does not know. Another order of the answers is no other content; they are sorted when they are read.

use xxhash_rust::xxh3::xxh3_64;

use crate::contract::{
    event::{Channel, CustomerRef, EnpsResponse, SurveyResponse},
    value::Id,
};

/// The field of an event as bytes, told apart from its neighbours by its length, and from nothing.
struct Content(Vec<u8>);

impl Content {
    fn new() -> Self {
        Self(Vec::with_capacity(512))
    }

    fn bytes(&mut self, field: Option<&[u8]>) -> &mut Self {
        match field {
            Some(bytes) => {
                self.0
                    .extend_from_slice(&(bytes.len() as u64 + 1).to_le_bytes());
                self.0.extend_from_slice(bytes);
            }
            None => self.0.extend_from_slice(&0u64.to_le_bytes()),
        }
        self
    }

    fn text(&mut self, field: Option<&str>) -> &mut Self {
        self.bytes(field.map(str::as_bytes))
    }

    fn id(&mut self, field: Option<&Id>) -> &mut Self {
        self.text(field.map(|id| &**id))
    }

    fn number(&mut self, field: Option<i64>) -> &mut Self {
        self.bytes(
            field
                .map(i64::to_le_bytes)
                .as_ref()
                .map(<[u8; 8]>::as_slice),
        )
    }

    fn hash(&self) -> u32 {
        xxh3_64(&self.0) as u32
    }
}

pub(super) fn of_survey(event: &SurveyResponse) -> u32 {
    let SurveyResponse {
        response_id: _,
        revision: _,
        survey_id,
        interaction_id,
        channel,
        submitted_at,
        csat,
        comment,
        answers,
        routing,
        customer,
    } = event;
    let mut content = Content::new();
    content
        .id(survey_id.as_ref())
        .id(Some(interaction_id))
        .text(channel.map(Channel::name))
        .number(Some(submitted_at.0))
        .number(csat.map(|csat| i64::from(csat.0)))
        .text(comment.as_deref())
        .id(routing.queue_id.as_ref())
        .id(routing.agent_id.as_ref())
        .text(routing.agent_name.as_deref())
        .id(routing.bot_id.as_ref());
    if let Some(customer) = customer {
        let CustomerRef {
            customer_id,
            phone,
            email,
            cdp_user_id,
        } = customer;
        content
            .id(customer_id.as_ref())
            .text(phone.as_deref())
            .text(email.as_deref())
            .id(cdp_user_id.as_ref());
    }
    for (question, answer) in answers {
        content.text(Some(question)).text(Some(&answer.to_string()));
    }
    content.hash()
}

pub(super) fn of_enps(event: &EnpsResponse) -> u32 {
    let EnpsResponse {
        response_id: _,
        agent_id,
        score,
        comment,
        submitted_at,
        interaction_id,
        queue_id,
        wrap_up_code,
    } = event;
    Content::new()
        .id(Some(agent_id))
        .number(Some(i64::from(score.0)))
        .text(comment.as_deref())
        .number(Some(submitted_at.0))
        .id(interaction_id.as_ref())
        .id(queue_id.as_ref())
        .text(wrap_up_code.as_deref())
        .hash()
}
