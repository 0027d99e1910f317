//! Packages of Python that tests need, fetched once into `target/cache`.
//!
//! Nothing but the standard library, so that anything can include this file.

#![allow(dead_code, reason = "each test uses its part of this")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of a package and of what it needs, for `PYTHONPATH`; fetched under another name first, so that half a
/// library is never taken for one.
pub fn package(name_and_version: &str) -> PathBuf {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cache");
    let library = cache.join(name_and_version.replace("==", "-"));
    if library.is_dir() {
        return library;
    }
    let part = cache.join(format!(
        "{name_and_version}.part-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let status = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--target"])
        .arg(&part)
        .arg(name_and_version)
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "pip cannot fetch {name_and_version}, which this test needs"
    );
    if fs::rename(&part, &library).is_err() {
        // Another run was faster.
        let _ = fs::remove_dir_all(&part);
    }
    assert!(library.is_dir(), "{} is not there", library.display());
    library
}
