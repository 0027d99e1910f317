//! An export of a million rows into the embedded log, by the program as users run it: time and memory of the first
//! import, of the same file again, and of the same file again when the note beside it is lost.
//!
//! `cargo bench --bench import [-- FOLDER] [--rows N] [--metrics N]`; the folder should be on the disk that will hold
//! the data.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

const ROWS: usize = 1_000_000;
const METRICS: usize = 1;

/// Agents of the export; each has a row a workday.
const AGENTS: usize = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: usize| {
        let place = arguments.iter().position(|arg| arg == name);
        let text = place.and_then(|place| arguments.get(place + 1));
        text.map_or(default, |text| text.parse().expect("a number"))
    };
    let (rows, metrics) = (number("--rows", ROWS), number("--metrics", METRICS));
    // Cargo passes `--bench`; a folder is whatever is a path.
    let folder = arguments.iter().find(|arg| arg.contains('/'));
    let folder = folder.map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    write_export(&folder.path().join("export.csv"), rows, metrics);

    run("first import", folder.path(), &[], rows * metrics);
    run("the same file again", folder.path(), &[], 0);
    fs::remove_file(folder.path().join("export.csv.imported")).expect("the note");
    run(
        "again, without its note",
        folder.path(),
        &[],
        rows * metrics,
    );
    run("dry run", folder.path(), &["--dry-run"], rows * metrics);
}

/// A row an agent and workday, the newest last, with values that differ.
fn write_export(path: &Path, rows: usize, metrics: usize) {
    let file = File::create(path).expect("a file");
    let mut file = BufWriter::new(file);
    let mut line = "agentId,date".to_owned();
    for metric in 0..metrics {
        let _ = write!(line, ",metric_{metric}");
    }
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let days = i64::try_from(rows.div_ceil(AGENTS)).expect("few days");
    writeln!(file, "{line}").expect("room");
    for row in 0..rows {
        let age = days - i64::try_from(row / AGENTS).expect("few days");
        let day = today.checked_sub(age.days()).expect("a date");
        line.clear();
        let _ = write!(line, "agent-{},{day}", row % AGENTS);
        for metric in 0..metrics {
            // A fixed scatter of shares with three decimals.
            let share = (row * 7_919 + metric * 104_729) % 1_000;
            let _ = write!(line, ",0.{share:03}");
        }
        writeln!(file, "{line}").expect("room");
    }
    file.flush().expect("room");
}

fn run(what: &str, folder: &Path, arguments: &[&str], values: usize) {
    let started = Instant::now();
    let mut process = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args(["import", "wfm", "--dir", "data", "export.csv"])
        .args(arguments)
        .current_dir(folder)
        .env_remove("AFTERCALL_NATS")
        .env_remove("AFTERCALL_CONFIG")
        .stdout(Stdio::null())
        .spawn()
        .expect("the built program");
    let mut peak_mib = 0.0_f64;
    let status = loop {
        peak_mib = peak_mib.max(resident_peak_mib(process.id()));
        if let Some(status) = process.try_wait().expect("its state") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{what}: {status}");
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{what:<24} {seconds:>7.2} s  {:>9.0} values/s  {peak_mib:>6.0} MiB at most",
        values as f64 / seconds
    );
}

/// The most that a process has had in memory, 0 where nothing tells.
fn resident_peak_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1_024.0
}
