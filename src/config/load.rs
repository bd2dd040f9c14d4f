//! Flags over variables over file over defaults, and every problem at once.

mod relations;
mod variables;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::parse::Raw;
use super::problem::{ConfigProblem, ConfigProblems, Source, nearest};
use super::settings::{Config, Key, keys};
use variables::{Variables, unknown_variables};

/// The file that is read when it is there and no other is named.
pub const DEFAULT_FILE: &str = "mapweave.toml";

/// Largest configuration file, in bytes: anything larger was named by mistake.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// What the command line gave.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// `--config`: the file to read, which then has to be there.
    pub file: Option<PathBuf>,
    /// Key, value and the flag that gave them; of two for one key the last counts.
    pub flags: Vec<(String, String, String)>,
    /// What the configuration is for.
    pub purpose: Purpose,
}

/// What a configuration is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To serve, so that the address matters.
    #[default]
    Serve,
    /// For a command that does its work and ends.
    Command,
}

impl Config {
    /// The configuration from all its sources.
    ///
    /// # Errors
    /// Everything that is wrong in any of them, unknown keys of file and flags included.
    pub fn load(given: &Given, environment: &dyn Environment) -> Result<Self, ConfigProblems> {
        let mut loading = Loading::default();
        let variables = Variables::of(environment, &mut loading.problems);
        loading.take_file(given, &variables, environment.folder());
        loading.take_variables(&variables);
        loading.take_flags(&given.flags);
        loading.derive(given.purpose);
        loading.check_relations();
        loading.check_tls();
        if given.purpose == Purpose::Serve {
            loading.check_exposure();
        }
        let Loading {
            mut config,
            problems,
            ..
        } = loading;
        let folder = environment.folder();
        config.data = folder.join(config.data);
        let Config { tls, auth, .. } = &mut config;
        for file in [&mut tls.cert, &mut tls.key, &mut auth.keys_file] {
            *file = file.take().map(|file| folder.join(file));
        }
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigProblems(problems))
        }
    }

    /// What may be a slip and stops nothing: variables that look like ours and are none. Say it once messages can be
    /// seen.
    pub fn warnings(environment: &dyn Environment) -> Vec<ConfigProblem> {
        unknown_variables(environment)
    }
}

#[derive(Default)]
struct Loading {
    config: Config,
    /// Keys that have another value than the default, and whence.
    sources: BTreeMap<&'static str, Source>,
    problems: Vec<ConfigProblem>,
}

impl Loading {
    fn take_file(&mut self, given: &Given, variables: &Variables, folder: &Path) {
        let from_variable = variables.0.get("MAPWEAVE_CONFIG").map(PathBuf::from);
        let (named, source) = match (&given.file, from_variable) {
            (Some(file), _) => (Some(file.clone()), Source::Flag("--config".to_owned())),
            (None, Some(file)) => (Some(file), Source::Variable("MAPWEAVE_CONFIG".to_owned())),
            (None, None) => (None, Source::Default),
        };
        let path = folder.join(named.as_deref().unwrap_or(Path::new(DEFAULT_FILE)));
        match read_bounded(&path) {
            Ok(text) => self.take_toml(&path, &text),
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.problem(
                "config",
                source,
                format!("cannot read {}: {error}", path.display()),
            ),
        }
    }

    fn take_toml(&mut self, path: &Path, text: &str) {
        let place = |start: usize| Source::File {
            path: path.to_owned(),
            line: line_of(text, start),
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let start = error.span().map_or(0, |span| span.start);
            self.problem("TOML", place(start), error.message().to_owned());
        }
        for (name, value) in table.get_ref() {
            let start = name.span().start;
            match value.get_ref() {
                DeValue::Table(section) if is_section(name.get_ref()) => {
                    for (field, value) in section {
                        let key = format!("{}.{}", name.get_ref(), field.get_ref());
                        self.take(
                            &key,
                            &Raw::from_toml(value.get_ref()),
                            place(field.span().start),
                        );
                    }
                }
                DeValue::Table(_) => self.unknown_section(name.get_ref(), place(start)),
                value if is_section(name.get_ref()) => {
                    let what = format!(
                        "this is a section: write [{}] on a line of its own (found {})",
                        name.get_ref(),
                        value.type_str()
                    );
                    self.problem(name.get_ref(), place(start), what);
                }
                value => self.take(name.get_ref(), &Raw::from_toml(value), place(start)),
            }
        }
    }

    fn take_variables(&mut self, variables: &Variables) {
        for (name, value) in &variables.0 {
            let source = Source::Variable(name.clone());
            // Others are no errors: see `Config::warnings`.
            if let Some(key) = keys().find(|key| key.variable() == *name) {
                self.set(key, &Raw::Text(value.clone()), source);
            }
        }
    }

    fn take_flags(&mut self, flags: &[(String, String, String)]) {
        for (key, value, flag) in flags {
            self.take(key, &Raw::Text(value.clone()), Source::Flag(flag.clone()));
        }
    }

    fn take(&mut self, name: &str, raw: &Raw, source: Source) {
        match keys().find(|key| key.name == name) {
            Some(key) => self.set(key, raw, source),
            None => {
                // The section may be forgotten, or one too many.
                let last = name.rsplit('.').next().unwrap_or(name);
                let moved = || {
                    keys()
                        .map(|key| key.name)
                        .find(|known| known.rsplit('.').next() == Some(last))
                };
                let suggestion = nearest(name, keys().map(|key| key.name)).or_else(moved);
                self.problem(name, source, unknown("key", suggestion));
            }
        }
    }

    fn set(&mut self, key: &'static Key, raw: &Raw, source: Source) {
        match (key.set)(&mut self.config, raw, key.rule) {
            Ok(()) => drop(self.sources.insert(key.name, source)),
            Err(what) => self.problem(key.name, source, what),
        }
    }

    fn unknown_section(&mut self, name: &str, source: Source) {
        let sections: HashSet<&str> = keys()
            .filter_map(|key| Some(key.name.split_once('.')?.0))
            .collect();
        let what = match nearest(name, sections) {
            Some(section) => format!("unknown section; did you mean [{section}]?"),
            None => "unknown section; docs/configuration.md lists them all".to_owned(),
        };
        self.problem(&format!("[{name}]"), source, what);
    }

    fn problem(&mut self, key: &str, source: Source, what: String) {
        self.problems.push(ConfigProblem {
            key: key.to_owned(),
            source,
            what,
        });
    }
}

fn unknown(noun: &str, suggestion: Option<&str>) -> String {
    match suggestion {
        Some(known) => format!("unknown {noun}; did you mean {known}?"),
        None => format!("unknown {noun}; docs/configuration.md lists them all"),
    }
}

fn is_section(name: &str) -> bool {
    keys().any(|key| {
        key.name
            .split_once('.')
            .is_some_and(|(section, _)| section == name)
    })
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(CONFIG_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        let what = format!("it is larger than {CONFIG_BYTES_MAX} bytes, so it is no configuration");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
