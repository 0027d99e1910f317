//! Which files are taken, and when: look by look, without waiting for the next one.

use std::fs::File;

use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::{
    config::WfmColumns,
    log::{
        Log,
        memory::{Faults, World},
    },
    planted::plant_panic_here,
};

const MINUTE: Duration = Duration::from_secs(60);

struct Folder {
    dir: tempfile::TempDir,
    world: World,
    watch: Watch,
    // Appends run here, beside the test's own thread.
    _runtime: Runtime,
}

impl Folder {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(4, Faults::default());
        let log: Log = Arc::new(world.client());
        let columns = WfmColumns::default();
        let importer = Importer::new(&log, "memory".into(), columns, runtime.handle().clone());
        let watch = Watch::new(importer, dir.path().join("in"));
        fs::create_dir(dir.path().join("in")).unwrap();
        Self {
            dir,
            world,
            watch,
            _runtime: runtime,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("in").join(name)
    }

    /// A file that was last written `age` ago.
    fn put(&self, name: &str, age: Duration, text: &str) {
        fs::write(self.path(name), text).unwrap();
        let file = File::options().write(true).open(self.path(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    /// The events stored so far: type, and the file or version they name.
    fn stored(&self) -> Vec<String> {
        let events = self.world.events();
        let shown = events.iter().map(|event| {
            let event: Value = serde_json::from_slice(&event.payload).unwrap();
            let data = &event["data"];
            let of = data["export_version"].as_str().or(data["file"].as_str());
            format!("{} {}", event["type"].as_str().unwrap(), of.unwrap_or("-"))
        });
        shown.collect()
    }

    fn is_there(&self, name: &str) -> bool {
        self.path(name).exists()
    }
}

fn export(value: &str) -> String {
    format!("agentId,date,points\na,2026-01-02,{value}\n")
}

const METRIC: &str = "wfm.metric.recorded";

#[test]
fn s3_01_a_file_is_taken_once_two_looks_in_a_row_find_it_the_same() {
    let mut folder = Folder::new();
    folder.put("a.csv", MINUTE, "agentId,date,points\na,2026-");
    folder.watch.look();
    assert_eq!(folder.stored(), [""; 0], "it may be growing");
    folder.put("a.csv", MINUTE, &export("1"));
    folder.watch.look();
    assert_eq!(folder.stored(), [""; 0], "another size");
    folder.put("a.csv", MINUTE * 2, &export("1"));
    folder.watch.look();
    assert_eq!(folder.stored(), [""; 0], "another time");
    folder.watch.look();
    assert_eq!(folder.stored(), [format!("{METRIC} a.csv")]);
    assert!(folder.is_there("a.csv.imported"));
    folder.watch.look();
    folder.watch.look();
    assert_eq!(folder.stored().len(), 1, "once");
    folder.put("a.csv", MINUTE, &export("2"));
    folder.watch.look();
    folder.watch.look();
    assert_eq!(folder.stored().len(), 2, "a changed file is another one");
}

#[test]
fn s3_01_the_oldest_file_is_first_then_the_name_and_what_is_no_export_is_left_alone() {
    let mut folder = Folder::new();
    let old = SystemTime::now() - MINUTE * 9;
    for name in ["c.csv", "b.csv", "a.csv"] {
        folder.put(name, MINUTE, &export("1"));
        if name != "c.csv" {
            let file = File::options().write(true).open(folder.path(name)).unwrap();
            file.set_modified(old).unwrap();
        }
    }
    for name in [
        ".d.csv",
        "d.csv.part",
        "d.csv.tmp",
        "d.csv.refused",
        "d.imported",
    ] {
        folder.put(name, MINUTE * 20, &export("1"));
    }
    fs::create_dir(folder.path("more")).unwrap();
    fs::write(folder.path("more").join("e.csv"), export("1")).unwrap();
    folder.watch.look();
    folder.watch.look();
    let taken = ["a.csv", "b.csv", "c.csv"].map(|name| format!("{METRIC} {name}"));
    assert_eq!(folder.stored(), taken);
}

#[test]
fn s3_02_a_file_of_the_wrong_form_is_refused_and_told_once_until_it_changes() {
    let mut folder = Folder::new();
    folder.put("a.csv", MINUTE, "agent,date,points\na,2026-01-02,1\n");
    for _ in 0..5 {
        folder.watch.look();
    }
    let reason = fs::read_to_string(folder.path("a.csv.refused")).unwrap();
    assert!(
        reason.starts_with("line 1: header: no column `agentId` (agent in [import.wfm])"),
        "{reason}"
    );
    assert_eq!(folder.stored(), ["import.quarantined a.csv"]);
    let told: Value = serde_json::from_slice(&folder.world.events()[0].payload).unwrap();
    assert_eq!(told["data"]["unread"], reason.trim_end());
    assert_eq!(
        (
            &told["data"]["rows"],
            &told["data"]["bad"],
            &told["data"]["source"]
        ),
        (&0.into(), &0.into(), &"wfm/export".into())
    );
    assert!(!folder.is_there("a.csv.imported"));

    folder.put("a.csv", MINUTE, &export("1"));
    folder.watch.look();
    folder.watch.look();
    assert_eq!(folder.stored().len(), 2);
    assert!(folder.is_there("a.csv.imported"));
    assert!(!folder.is_there("a.csv.refused"), "it is imported now");
}

#[test]
fn s3_02_a_file_that_is_cut_off_keeps_what_it_has_and_says_from_where_it_was_not_read() {
    let mut folder = Folder::new();
    let row = |agent: &str| format!(r#"{{"agentId":"{agent}","date":"2026-01-02","points":1}}"#);
    let cut_off = format!("[{},\n{},\n", row("a"), row("b"));
    folder.put("a.json", MINUTE, &cut_off);
    for _ in 0..4 {
        folder.watch.look();
    }
    let reason = fs::read_to_string(folder.path("a.json.refused")).unwrap();
    assert!(reason.starts_with("cannot be read from line "), "{reason}");
    let metric = format!("{METRIC} a.json");
    assert_eq!(
        folder.stored(),
        [&*metric, &*metric, "import.quarantined a.json"]
    );
    folder.put("a.json", MINUTE, &format!("{cut_off}{}]", row("c")));
    folder.watch.look();
    folder.watch.look();
    assert!(!folder.is_there("a.json.refused"));
    assert!(folder.is_there("a.json.imported"));
}

/// Before, the thread was gone with the first panic, and the folder was watched no more.
#[test]
fn a_file_whose_import_panics_is_refused_and_told_and_the_others_are_taken() {
    let mut folder = Folder::new();
    folder.put("a.csv", MINUTE * 2, &export("1"));
    folder.put("b.csv", MINUTE, &export("1"));
    plant_panic_here(PanicIn::Import);
    for _ in 0..4 {
        folder.watch.look();
    }
    let reason = fs::read_to_string(folder.path("a.csv.refused")).unwrap();
    assert_eq!(
        reason,
        "importing it panicked: planted in Import: a mistake of the program\n"
    );
    let told = "import.quarantined a.csv".to_owned();
    assert_eq!(folder.stored(), [told, format!("{METRIC} b.csv")]);
    folder.put("a.csv", MINUTE, &export("2"));
    folder.watch.look();
    folder.watch.look();
    assert!(folder.is_there("a.csv.imported"), "it has changed");
    assert!(!folder.is_there("a.csv.refused"));
}

#[test]
fn a_folder_that_vanishes_is_looked_for_again() {
    let mut folder = Folder::new();
    folder.put("a.csv", MINUTE, &export("1"));
    folder.watch.look();
    fs::rename(folder.dir.path().join("in"), folder.dir.path().join("away")).unwrap();
    folder.watch.look();
    assert!(folder.watch.is_gone);
    folder.watch.look();
    fs::rename(folder.dir.path().join("away"), folder.dir.path().join("in")).unwrap();
    folder.watch.look();
    assert!(!folder.watch.is_gone);
    folder.watch.look();
    assert_eq!(folder.stored().len(), 1);
}

#[test]
fn a_folder_that_is_not_there_cannot_be_watched() {
    let dir = tempfile::tempdir().unwrap();
    assert!(check(dir.path()).is_ok());
    let missing = dir.path().join("missing");
    let why = check(&missing).unwrap_err().to_string();
    assert!(
        why.starts_with(&format!("import.wfm.watch: {}: ", missing.display())),
        "{why}"
    );
}

#[test]
fn s3_01_after_a_stop_nothing_more_is_taken() {
    let mut folder = Folder::new();
    folder.put("a.csv", MINUTE, &export("1"));
    folder.watch.look();
    folder.watch.importer.stop();
    folder.watch.look();
    assert_eq!(folder.stored(), [""; 0]);
}

#[test]
fn s3_02_gzip_that_is_damaged_is_refused_once_and_a_file_that_claims_a_terabyte_holds_up_no_other()
{
    let mut folder = Folder::new();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, export("1").as_bytes()).unwrap();
    let mut packed = packed.finish().unwrap();
    packed.truncate(packed.len() - 2);
    fs::write(folder.path("cut.csv.gz"), &packed).unwrap();
    let huge = File::create(folder.path("huge.csv")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let sparse = File::create(folder.path("sparse.csv")).unwrap();
    sparse.set_len(3 << 30).unwrap();
    drop((huge, sparse));
    folder.put("good.csv", MINUTE, &export("2"));
    let began = std::time::Instant::now();
    folder.watch.look();
    folder.watch.look();
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let stored = folder.stored();
    assert!(stored.contains(&format!("{METRIC} good.csv")), "{stored:?}");
    let reason = |name: &str| fs::read_to_string(folder.path(name)).unwrap();
    for (name, why) in [
        ("cut.csv.gz.refused", "was it cut off?"),
        (
            "huge.csv.refused",
            "1099511627776 bytes; at most 4294967296 are read",
        ),
        (
            "sparse.csv.refused",
            "the first line is longer than any header is",
        ),
    ] {
        assert!(reason(name).contains(why), "{name}: {}", reason(name));
    }
    for _ in 0..3 {
        folder.watch.look();
    }
    assert_eq!(folder.stored(), stored, "none is tried again");
}
