//! What the book says of rewards, against a provider's own list of them.
//!
//! Only rewards that stand still are compared: one that is open is decided later, and one that has moved since before
//! the list was asked for may have moved there as well.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_actors::contract::event::Kept;

use super::{
    Check, Discrepancy, Listed, VerifyError,
    watch::{Reward, Standing},
};
use crate::{
    delivery::parcel::Parcel,
    log::Position,
    sinks::{
        courier::Courier,
        http::listing::{Named, Order},
        selector::Selector,
    },
};

/// A destination that says what it has.
pub(super) struct Provider {
    /// Its name.
    pub(super) name: String,
    selector: Selector,
    /// By the reward's id.
    orders: BTreeMap<Box<str>, Vec<Order>>,
    /// Those that only have ids of the provider's own.
    theirs: BTreeMap<Kept, Vec<Order>>,
    count: u64,
    /// Rewards that were requested of it.
    own: BTreeSet<Box<str>>,
}

impl Provider {
    /// Asks a destination for its list; `None` if it has none.
    ///
    /// # Errors
    /// If the list cannot be read to its end.
    pub(super) async fn ask(
        courier: &Courier,
        (from, to): &(String, String),
    ) -> Result<Option<Self>, VerifyError> {
        let mut orders: BTreeMap<Box<str>, Vec<Order>> = BTreeMap::new();
        let destination = courier.destination();
        let mut theirs: BTreeMap<Kept, Vec<Order>> = BTreeMap::new();
        let asked = courier.list(from, to, |order| {
            let known = match &order.of {
                Named::Ours(id) => orders.entry(id.as_str().into()).or_default(),
                Named::Theirs(kept) => theirs.entry(kept.clone()).or_default(),
            };
            // The same order on two pages.
            let again = order.order.is_some() && known.iter().any(|o| o.order == order.order);
            if !again {
                known.push(order);
            }
        });
        let counted = match asked.await {
            None => return Ok(None),
            Some(Ok(_)) => {
                let all = orders.values().chain(theirs.values());
                all.map(|orders| orders.len() as u64).sum()
            }
            Some(Err(error)) => {
                return Err(VerifyError::List {
                    destination: destination.name.clone(),
                    error,
                });
            }
        };
        Ok(Some(Self {
            name: destination.name.clone(),
            selector: destination.selector.clone(),
            orders,
            theirs,
            count: counted,
            own: BTreeSet::new(),
        }))
    }

    /// Takes note of an output: whether it was a request to this destination.
    pub(super) fn note(&mut self, parcel: &Parcel) {
        if parcel.event_type == "reward.requested" && self.selector.selects(parcel) {
            self.own.insert(parcel.id.as_str().into());
        }
    }

    /// Files orders that only have ids of the provider's own under the rewards that were given these; what is left is
    /// no reward of the book's.
    fn settle_names(&mut self, rewards: &BTreeMap<Box<str>, Reward>) -> Vec<(Kept, Vec<Order>)> {
        let mut by_kept: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        for (id, reward) in rewards.iter().filter(|(id, _)| self.own.contains(*id)) {
            let ids = reward.kept.iter().map(|(name, kept)| (&**name, &**kept));
            by_kept.extend(ids.map(|kept| (kept, &**id)));
        }
        let mut strangers = Vec::new();
        for (kept, orders) in std::mem::take(&mut self.theirs) {
            let mut ids = kept.iter().map(|(name, id)| (&**name, &**id));
            match ids.find_map(|kept| by_kept.get(&kept)) {
                Some(id) => self.orders.entry((*id).into()).or_default().extend(orders),
                None => strangers.push((kept, orders)),
            }
        }
        strangers
    }

    /// Compares its list with the book; nothing that moved after `settled` is.
    pub(super) fn compare(
        mut self,
        rewards: &BTreeMap<Box<str>, Reward>,
        settled: Position,
        report: &mut impl FnMut(Discrepancy),
    ) -> Listed {
        let mut listed = Listed {
            orders: self.count,
            ..Listed::default()
        };
        let strangers = self.settle_names(rewards);
        let tell = |id: &str, reward: Option<&Reward>, book: String, found: String| {
            let discrepancy = Discrepancy::new(Check::Provider, book, found);
            let discrepancy = discrepancy.of_reward(id).by(&self.name);
            match reward {
                Some(reward) => discrepancy.of_agent(&reward.agent).at(reward.position),
                None => discrepancy,
            }
        };
        for (kept, orders) in strangers {
            let ids: Vec<String> = kept
                .iter()
                .map(|(name, id)| format!("{name} {id}"))
                .collect();
            let book = format!("that no reward was given {}", ids.join(", "));
            for order in &orders {
                report(
                    Discrepancy::new(Check::Provider, book.clone(), shown(order)).by(&self.name),
                );
            }
        }
        for (id, orders) in &self.orders {
            let reward = rewards.get(id);
            if orders.len() > 1 {
                let names: Vec<&str> = orders
                    .iter()
                    .filter_map(|order| order.order.as_deref())
                    .collect();
                let found = format!("{} orders {}", orders.len(), names.join(", "));
                report(tell(id, reward, "one reward".to_owned(), found));
            }
            let Some(reward) = reward else {
                let found = orders.first().map_or_else(String::new, shown);
                report(tell(
                    id,
                    None,
                    "that there is no such reward".to_owned(),
                    found,
                ));
                continue;
            };
            if reward.position > settled {
                continue;
            }
            for order in orders {
                if let Some((book, found)) = differing(reward, order) {
                    report(tell(id, Some(reward), book, found));
                }
            }
        }
        for id in &self.own {
            let Some(reward) = rewards.get(id) else {
                continue;
            };
            if reward.position > settled || reward.standing.is_open() {
                listed.open += 1;
                continue;
            }
            listed.compared += 1;
            if reward.standing.is_issued() && !self.orders.contains_key(id) {
                let book = format!("issued for {} points", reward.points);
                report(tell(id, Some(reward), book, "no such order".to_owned()));
            }
        }
        listed
    }
}

fn shown(order: &Order) -> String {
    let points = order.points.map(|points| format!(" for {points} points"));
    format!("{}{}", order.status, points.unwrap_or_default())
}

/// What the book and an order say differently of a reward, if anything.
fn differing(reward: &Reward, order: &Order) -> Option<(String, String)> {
    let status = order.status.as_str();
    let is_gone = matches!(status, "reversed" | "rejected");
    let fits = match reward.standing {
        Standing::Issued => status == "issued",
        Standing::TakenBack | Standing::Refused | Standing::Claimed => is_gone,
        // Decided later.
        Standing::Asked | Standing::TakingBack | Standing::Doubted => true,
    };
    let points = order.points.filter(|points| *points != reward.points);
    if fits && (points.is_none() || is_gone) {
        return None;
    }
    let book = format!("{} for {} points", reward.standing.words(), reward.points);
    Some((book, shown(order)))
}

#[cfg(test)]
mod tests;
