//! A message on its way to Slack: into each place it is for.

use std::time::SystemTime;

use super::{
    call::{Call, Place, error, is_uneditable},
    draft::{Draft, Target},
};
use crate::{
    delivery::attempt::{Answer, Fault, Verdict},
    sinks::{
        credentials::exchange::Exchange,
        judge::judge,
        progress::{Progress, Refused, worse},
        sending::{Delivery, Sending, Several},
        spec::Judgement,
    },
};

/// A message that is to be told.
pub(super) struct Post<'a> {
    pub(super) draft: &'a Draft,
    pub(super) exchange: &'a Exchange,
    pub(super) judgement: &'a Judgement,
}

impl Post<'_> {
    /// Tells each target for itself: one that cannot be told keeps it from no other, and one that was told is not told
    /// again.
    pub(super) async fn tell(&self, out: Sending<'_>) -> Delivery {
        let (draft, view) = (self.draft, out.view);
        let before = out.before.progress.cloned().unwrap_or_default();
        let mut progress = Progress {
            left: Some(Vec::new()),
            ..before
        };
        let mut places = draft.places.clone();
        let mut lanes = Vec::new();
        // The last success, and the worst of what was none.
        let mut good: Option<Answer> = None;
        let mut bad: Option<(Result<Answer, Fault>, Verdict)> = None;
        for target in &draft.targets {
            let result = self.say(out, target).await;
            let now = SystemTime::now();
            let verdict = judge(self.judgement, &view.scope, &result, now).verdict;
            match (&verdict, &result) {
                (Verdict::Delivered, Ok(answer)) => {
                    progress.done = true;
                    if target.place.is_none() {
                        places.extend(Place::of_answer(answer));
                    }
                    good = Some(answer.clone());
                    continue;
                }
                (Verdict::Delivered, Err(_)) => continue,
                (Verdict::Rejected { why } | Verdict::Unclear { why, .. }, _) => {
                    progress.refused.push(Refused {
                        to: target.channel.clone(),
                        why: why.clone(),
                    })
                }
                (Verdict::Again { .. } | Verdict::Misconfigured { .. }, result) => {
                    if result.as_ref().is_ok_and(|answer| answer.status == 429) {
                        lanes.push(draft.lane(target));
                    }
                    progress.left.get_or_insert_default().push(target.json());
                }
            }
            let is_worse = match &bad {
                Some((_, Verdict::Misconfigured { .. })) => false,
                Some((_, Verdict::Again { .. })) => {
                    matches!(verdict, Verdict::Misconfigured { .. })
                }
                Some(_) => {
                    matches!(
                        verdict,
                        Verdict::Again { .. } | Verdict::Misconfigured { .. }
                    )
                }
                None => true,
            };
            bad = Some(match bad {
                Some((first, before)) if !is_worse => (first, worse(Some(before), verdict)),
                Some((_, before)) => (result, worse(Some(before), verdict)),
                None => (result, verdict),
            });
        }
        let (result, verdict) = match (good, bad) {
            (_, Some((result, verdict))) => (result, Some(verdict)),
            (Some(answer), None) => (Ok(answer), None),
            (None, None) => (
                Err(Fault::NotReady("it is for no channel".to_owned())),
                None,
            ),
        };
        Delivery {
            // Whatever comes later still belongs to the first messages.
            handle: Place::handle_of_all(&places),
            verdict,
            several: Some(Several { progress, lanes }),
            ..Delivery::of(result)
        }
    }

    /// Edits the first message of the thread, or says it anew where there is none or it cannot be edited.
    async fn say(&self, out: Sending<'_>, target: &Target) -> Result<Answer, Fault> {
        let draft = self.draft;
        let answer = self.call(out, &draft.first(target)).await?;
        match &target.place {
            Some(place) if draft.edits(target) && error(&answer).is_some_and(is_uneditable) => {
                let call = draft.content.follow_up(place);
                self.call(out, &call).await
            }
            Some(_) | None => Ok(answer),
        }
    }

    async fn call(&self, out: Sending<'_>, call: &Call) -> Result<Answer, Fault> {
        let request = self.draft.request(call)?;
        out.sendable(&request)?;
        self.exchange
            .send(request, &self.draft.content.output_id)
            .await
    }
}
