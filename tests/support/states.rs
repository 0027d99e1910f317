//! The actors as one more recovery computes them, held to the plain model.

use aftercall::{
    log::{EventLog, PartitionId, RawEvent},
    shard::{
        batch::{BATCH_EVENTS_MAX, route},
        engine::Engine,
        recovery::recover,
    },
};
use aftercall_actors::{actor::Actor, rules::RuleSet};

use crate::reference::Reference;

/// Takes every partition over and compares its actors with the model's after all `events`, which must have been
/// applied before; so replay must say nothing.
pub async fn states_equal_the_model(log: &dyn EventLog, events: &[RawEvent], genesis: &RuleSet) {
    let count = log.partition_count();
    for (place, partition) in PartitionId::all(count).enumerate() {
        let recovered = recover(log, partition, genesis.into()).await;
        let mut engine = Engine::new(recovered.expect("recovered").start);
        for events in events.chunks(BATCH_EVENTS_MAX) {
            engine.offer(route(events.to_vec(), count).swap_remove(place));
            engine.apply().expect("applied");
        }
        assert_eq!(engine.applied(), events.len() as u64);
        assert_eq!(engine.tally.divergences, 0, "{partition}");
        assert!(!engine.has_outputs(), "{partition} says something new");

        let model = Reference::of(partition, count, genesis, events);
        let encoded = |actor: &Actor| {
            let mut bytes = Vec::new();
            actor.encode(&mut bytes);
            bytes
        };
        let states = engine.states();
        for (key, actor) in &model.actors {
            let is_same = match states.get(key) {
                Some(state) => *state == encoded(actor),
                // One that was forgotten because nothing is to be remembered of it.
                None => model.stored(actor).is_none(),
            };
            assert!(is_same, "{partition}: {key} differs");
        }
        let responses = model.responses();
        for (name, state) in &responses {
            assert!(
                states.get(name) == Some(state),
                "{partition}: {name} differs"
            );
        }
        let is_known = |key: &str| model.actors.contains_key(key) || responses.contains_key(key);
        let stranger = states.keys().find(|key| !is_known(key));
        assert_eq!(stranger, None, "{partition}");
    }
}
