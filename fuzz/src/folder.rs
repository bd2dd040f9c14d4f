//! Where seeds and regressions lie.

use std::fs;
use std::path::{Path, PathBuf};

/// Folder `kind` of a law.
pub fn folder(kind: &str, law: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(law)
}

/// The seeds of a law, by file name.
///
/// # Panics
/// Where a file cannot be read.
pub fn corpus(law: &str) -> Vec<(String, Vec<u8>)> {
    files(&folder("corpus", law))
}

/// Inputs that once broke a law, by file name.
///
/// # Panics
/// Where a file cannot be read.
pub fn regressions(law: &str) -> Vec<(String, Vec<u8>)> {
    files(&folder("regressions", law))
}

#[allow(clippy::expect_used)]
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("a readable folder");
            let bytes = fs::read(entry.path()).expect("a readable file");
            (entry.file_name().to_string_lossy().into_owned(), bytes)
        })
        .collect();
    files.sort_unstable();
    files
}
