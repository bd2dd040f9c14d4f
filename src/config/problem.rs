//! What is wrong with a configuration, and where each value came from.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody gave one.
    Default,
    /// A line of the file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line, with its dashes.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key as in the file (`limits.sessions_max`), or what stands in its place.
    pub key: String,
    /// Where it came from.
    pub source: Source,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, source, what } = self;
        write!(f, "{key} ({source}): {what}")
    }
}

/// Everything that is wrong, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<ConfigProblem>);

impl std::error::Error for ConfigProblems {}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} problem", self.0.len())?;
        f.write_str(if self.0.len() == 1 { ":" } else { "s:" })?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// The one of `known` that `word` was most likely meant to be, if any is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long words are no slips of the finger, and the comparison costs the product of both lengths.
    const WORD_BYTES_MAX: usize = 256;
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let slips_max = (word.chars().count() / 3).max(2);
    let scored = known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(word, k), k));
    scored
        .filter(|(slips, _)| *slips <= slips_max)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_what_was_meant_and_rubbish_finds_nothing() {
        let known = ["listen", "limits.sessions_max", "data"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(
            nearest("limits.session_max", known),
            Some("limits.sessions_max")
        );
        assert_eq!(nearest("colour_scheme", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }

    #[test]
    fn problems_read_as_a_list() {
        let problem = |key: &str, source| ConfigProblem {
            key: key.into(),
            source,
            what: "no".into(),
        };
        let file = Source::File {
            path: "m.toml".into(),
            line: 3,
        };
        let list = ConfigProblems(vec![
            problem("a", file),
            problem("b", Source::Variable("MAPWEAVE_B".into())),
        ]);
        let text = "the configuration has 2 problems:\n  a (m.toml line 3): no\n  b (environment variable MAPWEAVE_B): no";
        assert_eq!(list.to_string(), text);
    }
}
