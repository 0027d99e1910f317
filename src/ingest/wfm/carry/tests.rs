//! An import that ends on the way goes on where it was, and tells operators once it has come to the end.

use std::{cell::Cell, collections::BTreeSet, path::Path};

use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::{
    ingest::wfm::job::Said,
    log::memory::{Faults, World},
};

/// Lets a number of batches pass.
struct Patient(Cell<u32>);

impl Onlooker for Patient {
    fn row(&self, _: u64) {
        self.0.set(self.0.get().saturating_sub(1));
    }
    fn bad_row(&self, _: u64, _: &BadRow) {}
    fn complain(&self, text: &str) {
        panic!("{text}");
    }
    fn stops(&self) -> bool {
        self.0.get() == 0
    }
}

struct Place {
    world: World,
    target: Target,
    _runtime: Runtime,
}

impl Place {
    fn new() -> Self {
        let world = World::new(4, Faults::default());
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            target: Target {
                log: Arc::new(world.client()),
                name: "memory".into(),
                runtime: runtime.handle().clone(),
            },
            world,
            _runtime: runtime,
        }
    }

    fn carry(&self, path: &Path, batches: u32) -> (Report, Result<(), CarryError>) {
        let columns = WfmColumns::default();
        let job = Job::of_file(path, Said::default(), &columns).unwrap();
        let purpose = Purpose::Store {
            target: &self.target,
            noted: true,
            again: false,
        };
        carry(&job, &columns, purpose, &Patient(Cell::new(batches)))
    }

    /// Ids of events of a type.
    fn ids(&self, event_type: &str) -> Vec<String> {
        let events = self.world.events();
        let events = events
            .iter()
            .map(|event| serde_json::from_slice::<Value>(&event.payload).unwrap())
            .filter(|event| event["type"] == event_type);
        events
            .map(|event| event["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn s3_01_s3_02_a_stop_between_batches_loses_nothing_and_tells_operators_at_the_end_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let rows = BATCH * 3 + 1;
    let mut text = "agentId,date,points\na,2026-01-02,x\n".to_owned();
    for row in 0..rows {
        text += &format!("agent-{row},2026-01-02,1\n");
    }
    fs::write(&path, text).unwrap();
    let place = Place::new();

    let (report, result) = place.carry(&path, 1);
    assert!(matches!(result, Err(CarryError::Stopped)), "{result:?}");
    assert!(!report.done);
    let first = place.ids("wfm.metric.recorded").len();
    assert!((BATCH..rows).contains(&first), "{first}");
    assert_eq!(
        place.ids("import.quarantined"),
        [""; 0],
        "not at the end yet"
    );

    let (report, result) = place.carry(&path, u32::MAX);
    assert!(result.is_ok(), "{result:?}");
    // The bad row is read again, and stored no more.
    assert_eq!(
        (report.stored, report.found.bad, report.done),
        ((rows + 1 - first) as u64, 1, true)
    );
    let ids = place.ids("wfm.metric.recorded");
    // One is the bad row's, which has the type of what it was to be.
    assert_eq!(ids.len(), rows + 1);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), rows + 1);
    assert_eq!(place.ids("import.quarantined").len(), 1);

    let (report, result) = place.carry(&path, u32::MAX);
    assert!(result.is_ok() && report.imported_before);
    assert_eq!(place.ids("import.quarantined").len(), 1);
}

#[test]
fn s3_02_what_operators_are_told_names_the_import_its_rows_and_the_first_bad_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let text = "agentId,date,points\na,2026-01-02,1\nb,2026-01-02,x\n,2026-01-02,1\n";
    fs::write(&path, text).unwrap();
    let place = Place::new();
    let (report, _) = place.carry(&path, u32::MAX);
    let events = place.world.events();
    let told: Value = serde_json::from_slice(&events.last().unwrap().payload).unwrap();
    let data = &told["data"];
    assert_eq!(told["type"], "import.quarantined");
    assert_eq!(data["import_id"].as_str(), report.import_id.as_deref());
    assert_eq!(
        (&data["rows"], &data["bad"], &data["file"], &data["source"]),
        (&3.into(), &2.into(), &"a.csv".into(), &"wfm/export".into())
    );
    let first = data["first"].as_str().unwrap();
    assert!(
        first.starts_with("line 3, column points: bad_value: found `x`"),
        "{first}"
    );

    let clean = dir.path().join("b.csv");
    fs::write(&clean, "agentId,date,points\na,2026-01-02,1\n").unwrap();
    let (report, _) = place.carry(&clean, u32::MAX);
    assert_eq!(report.import_id, None);
    assert_eq!(place.ids("import.quarantined").len(), 1, "nothing to tell");
}

#[test]
fn s3_01_a_value_that_stands_in_the_file_again_is_neither_stored_nor_counted_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let row = "a,2026-01-02,1\n";
    fs::write(&path, format!("agentId,date,points\n{row}{row}{row}")).unwrap();
    let place = Place::new();
    let (report, _) = place.carry(&path, u32::MAX);
    assert_eq!(
        (report.stored, report.duplicates, report.found.repeated),
        (1, 0, 2)
    );
    assert_eq!(place.ids("wfm.metric.recorded").len(), 1);
}

#[test]
fn a_file_that_changes_meanwhile_is_not_done() {
    struct Meddling<'a>(&'a Path);
    impl Onlooker for Meddling<'_> {
        fn row(&self, _: u64) {
            fs::write(self.0, "agentId,date,points\na,2026-01-02,2\n").unwrap();
        }
        fn bad_row(&self, _: u64, _: &BadRow) {}
        fn complain(&self, _: &str) {}
        fn stops(&self) -> bool {
            false
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "agentId,date,points\na,2026-01-02,1\n").unwrap();
    let place = Place::new();
    let columns = WfmColumns::default();
    let job = Job::of_file(&path, Said::default(), &columns).unwrap();
    let purpose = Purpose::Store {
        target: &place.target,
        noted: true,
        again: false,
    };
    let (report, result) = carry(&job, &columns, purpose, &Meddling(&path));
    assert!(matches!(result, Err(CarryError::Changed)), "{result:?}");
    assert!(!report.done);
    let (report, _) = place.carry(&path, u32::MAX);
    assert!(!report.imported_before && report.done);
}
