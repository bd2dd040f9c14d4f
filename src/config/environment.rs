//! What a process finds around it, behind a trait so that tests bring their own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Variables that start so are ours, and each of them must mean something.
pub const VARIABLE_PREFIX: &str = "MAPWEAVE_";

/// Environment variables and the folder that relative paths start from.
pub trait Environment {
    /// All variables.
    fn variables(&self) -> Vec<(OsString, OsString)>;

    /// Where relative paths start; empty for the folder of the process.
    fn folder(&self) -> &Path;
}

/// The process's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }

    fn folder(&self) -> &Path {
        Path::new("")
    }
}

/// A fixed one, for tests and for embedding.
#[derive(Debug, Clone, Default)]
pub struct FixedEnvironment {
    /// Name and value.
    pub variables: Vec<(String, String)>,
    /// Where relative paths start.
    pub folder: PathBuf,
}

impl FixedEnvironment {
    /// No variables, and `folder` to start from.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            variables: Vec::new(),
            folder: folder.into(),
        }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Environment for FixedEnvironment {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn folder(&self) -> &Path {
        &self.folder
    }
}
