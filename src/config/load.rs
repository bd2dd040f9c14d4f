//! Flags over variables over file over defaults, and every problem at once.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::environment::{Environment, VARIABLE_PREFIX};
use super::parse::Raw;
use super::problem::{ConfigProblem, ConfigProblems, Source, nearest};
use super::settings::{Config, FRAME_OVERHEAD_BYTES, Key, keys};

/// The file that is read when it is there and no other is named.
pub const DEFAULT_FILE: &str = "mapweave.toml";

/// Largest configuration file, in bytes: anything larger was named by mistake.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Variables that are no settings but stand for flags of the command line.
const OTHER_VARIABLES: [&str; 6] = [
    "MAPWEAVE_CONFIG",
    "MAPWEAVE_SERVER",
    "MAPWEAVE_TOKEN",
    "MAPWEAVE_CA",
    "MAPWEAVE_PIN",
    "MAPWEAVE_UPSTREAM_TOKEN",
];

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

/// What is unknown among our variables. Orchestrators set variables of their own by the name of a service, so that
/// an unknown one must not stop the server; but it may be a slip.
fn unknown_variables(environment: &dyn Environment) -> Vec<ConfigProblem> {
    let variables = Variables::of(environment, &mut Vec::new());
    let known: Vec<String> = keys().map(Key::variable).collect();
    let known = || known.iter().map(String::as_str).chain(OTHER_VARIABLES);
    let unknown = |name: &String| known().all(|known| known != name);
    let names = variables.0.into_keys().filter(unknown);
    names
        .map(|name| ConfigProblem {
            what: self::unknown("variable", nearest(&name, known())),
            source: Source::Variable(name.clone()),
            key: name,
        })
        .collect()
}

/// Our variables, by name.
struct Variables(BTreeMap<String, String>);

impl Variables {
    fn of(environment: &dyn Environment, problems: &mut Vec<ConfigProblem>) -> Self {
        let mut ours = BTreeMap::new();
        for (name, value) in environment.variables() {
            let Some(name) = name
                .to_str()
                .filter(|name| name.starts_with(VARIABLE_PREFIX))
            else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(ours.insert(name.to_owned(), value)),
                Err(_) => problems.push(ConfigProblem {
                    key: name.to_owned(),
                    source: Source::Variable(name.to_owned()),
                    what: "the value is not UTF-8".to_owned(),
                }),
            }
        }
        Self(ours)
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

    /// Defaults that follow from other values.
    fn derive(&mut self, purpose: Purpose) {
        if !self.sources.contains_key("limits.frame_bytes_max") {
            let limits = &mut self.config.limits;
            limits.frame_bytes_max = limits.update_bytes_max.saturating_add(FRAME_OVERHEAD_BYTES);
        }
        if purpose == Purpose::Command && !self.sources.contains_key("log.filter") {
            self.config.log.filter = "warn".to_owned();
        }
    }

    /// Bounds of one value by another.
    fn check_relations(&mut self) {
        let limits = self.config.limits.clone();
        let frame_bytes_min = limits.update_bytes_max.saturating_add(FRAME_OVERHEAD_BYTES);
        let frame = limits.frame_bytes_max as u64;
        self.at_least(
            "limits.frame_bytes_max",
            frame,
            "limits.update_bytes_max + 1 KiB",
            frame_bytes_min as u64,
        );
        self.at_least(
            "limits.bytes_burst",
            limits.bytes_burst,
            "limits.frame_bytes_max",
            frame,
        );
        self.at_least(
            "limits.unfinished_bytes_max",
            limits.unfinished_bytes_max,
            "limits.frame_bytes_max",
            frame,
        );
        self.at_least(
            "limits.state_bytes_max",
            limits.state_bytes_max,
            "limits.update_bytes_max",
            limits.update_bytes_max as u64,
        );
        let (held, held_by_one) = (
            limits.held_bytes_per_map_max as u64,
            limits.held_bytes_per_session_max as u64,
        );
        self.at_least(
            "limits.held_bytes_per_map_max",
            held,
            "limits.held_bytes_per_session_max",
            held_by_one,
        );
        let (all, in_one) = (
            limits.sessions_max as u64,
            limits.sessions_per_map_max as u64,
        );
        if self.sources.contains_key("limits.sessions_per_map_max") {
            self.at_least(
                "limits.sessions_max",
                all,
                "limits.sessions_per_map_max",
                in_one,
            );
        } else {
            let limits = &mut self.config.limits;
            limits.sessions_per_map_max = limits.sessions_per_map_max.min(limits.sessions_max);
        }
        let room = self.config.room.clone();
        self.at_least(
            "room.presence_expiry_s",
            room.presence_expiry_s,
            "room.keepalive_s",
            room.keepalive_s,
        );
    }

    fn at_least(&mut self, key: &'static str, value: u64, of: &str, min: u64) {
        if value < min {
            let what = format!("{value} is too small: it must be at least {of}, which is {min}");
            let source = self.sources.get(key).cloned().unwrap_or(Source::Default);
            self.problem(key, source, what);
        }
    }

    /// A certificate comes with its key, from files or from us.
    fn check_tls(&mut self) {
        let tls = &self.config.tls;
        let (cert, key, own) = (tls.cert.is_some(), tls.key.is_some(), tls.self_signed);
        let unheard = tls.hsts_s > 0 && self.config.server.trusted_proxies.is_empty();
        let problem = match (cert, key) {
            (true, false) => (
                "tls.cert",
                "the file of its private key is missing: give tls.key (--tls-key)",
            ),
            (false, true) => (
                "tls.key",
                "the file of its certificate is missing: give tls.cert (--tls-cert)",
            ),
            (true, true) if own => (
                "tls.self_signed",
                "there is a certificate in tls.cert already: use one of the two",
            ),
            (false, false) if !own && unheard => (
                "tls.hsts_s",
                "browsers heed this over https only: give tls.cert and tls.key, or the proxy that speaks it in server.trusted_proxies",
            ),
            _ => return,
        };
        let (key, what) = problem;
        let source = self.sources.get(key).cloned().unwrap_or(Source::Default);
        self.problem(key, source, what.to_owned());
    }

    /// Without keys anybody who reaches the server owns it: on loopback those on this machine, elsewhere only if that is
    /// meant.
    fn check_exposure(&mut self) {
        let listen: SocketAddr = self.config.listen;
        let guarded = self.config.auth.is_set() || self.config.allow_anonymous;
        if !listen.ip().is_loopback() && !guarded {
            let source = self
                .sources
                .get("listen")
                .cloned()
                .unwrap_or(Source::Default);
            let what = format!(
                "other machines reach {listen}, and everybody who does could read, edit and delete every map. Make a key with `mapweave token keygen > keys.json` and name it as auth.keys_file (docs/auth.md), or listen on 127.0.0.1, or say that this is meant with --allow-anonymous (allow_anonymous = true)"
            );
            self.problem("listen", source, what);
        }
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::FixedEnvironment;

    fn folder_with(toml: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(DEFAULT_FILE), toml).unwrap();
        folder
    }

    fn flag(key: &str, value: &str) -> Given {
        let flags = vec![(key.to_owned(), value.to_owned(), format!("--{key}"))];
        Given {
            flags,
            ..Given::default()
        }
    }

    fn problems(given: &Given, environment: &FixedEnvironment) -> Vec<String> {
        let problems = Config::load(given, environment).unwrap_err();
        problems.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_defaults_are_valid_and_what_an_empty_environment_gives() {
        let folder = tempfile::tempdir().unwrap();
        let loaded = Config::load(
            &Given::default(),
            &FixedEnvironment::in_folder(folder.path()),
        )
        .unwrap();
        assert_eq!(
            loaded,
            Config {
                data: folder.path().join("./data"),
                ..Config::default()
            }
        );
    }

    #[test]
    fn every_default_is_within_its_own_bounds() {
        for key in keys() {
            let shown = key.show(&Config::default());
            let written = shown
                .trim_end_matches(" s")
                .trim_end_matches(" B")
                .replace("none", "");
            let mut config = Config::default();
            (key.set)(&mut config, &Raw::Text(written), key.rule)
                .unwrap_or_else(|e| panic!("{}: {e}", key.name));
            assert_eq!(config, Config::default(), "{}", key.name);
        }
    }

    #[test]
    fn flags_win_over_variables_over_the_file() {
        let folder = folder_with(
            "listen = \"127.0.0.1:1\"\ndata = \"file\"\n[limits]\nsessions_max = 7\n[log]\nfilter = \"debug\"",
        );
        let file_only = FixedEnvironment::in_folder(folder.path());
        let with_variables = file_only
            .clone()
            .with("MAPWEAVE_LISTEN", "127.0.0.1:2")
            .with("MAPWEAVE_LIMITS_SESSIONS_MAX", "8");
        let port = |given: &Given, env| Config::load(given, env).unwrap().listen.port();
        assert_eq!(port(&Given::default(), &file_only), 1);
        assert_eq!(port(&Given::default(), &with_variables), 2);
        assert_eq!(port(&flag("listen", "127.0.0.1:3"), &with_variables), 3);
        let config = Config::load(&Given::default(), &with_variables).unwrap();
        assert_eq!(
            (
                config.limits.sessions_max,
                config.limits.sessions_per_map_max
            ),
            (8, 8)
        );
        assert_eq!(
            (config.data, config.log.filter.as_str()),
            (folder.path().join("file"), "debug")
        );
    }

    #[test]
    fn all_problems_are_told_at_once_each_with_its_place() {
        let toml = "lisen = \"x\"\n[limits]\nsessions_max = 0\nsession_queue_byte_max = 1\n[rooms]\nkeepalive_s = 1\n[room]\nkeepalive_s = 16\nidle_unload_s = 1.5";
        let folder = folder_with(toml);
        let environment = FixedEnvironment::in_folder(folder.path())
            .with("MAPWEAVE_LISTEN", "nonsense")
            .with("OTHER", "ignored");
        let found = problems(&flag("limits.sesions_max", "5"), &environment);
        let file = folder.path().join(DEFAULT_FILE).display().to_string();
        let expected = [
            format!("lisen ({file} line 1): unknown key; did you mean listen?"),
            format!("limits.sessions_max ({file} line 3): 0 is out of bounds: give a number from 1 to 1000000"),
            format!("limits.session_queue_byte_max ({file} line 4): unknown key; did you mean limits.session_queue_bytes_max?"),
            format!("[rooms] ({file} line 5): unknown section; did you mean [room]?"),
            format!("room.keepalive_s ({file} line 8): 16 is out of bounds: give whole seconds from 1 s to 15 s"),
            format!("room.idle_unload_s ({file} line 9): a number with a fraction is given where whole seconds from 1 s to 86400 s is wanted"),
            "listen (environment variable MAPWEAVE_LISTEN): \"nonsense\" is no address with a port: write 127.0.0.1:8080 or [::1]:8080".to_owned(),
            "limits.sesions_max (flag --limits.sesions_max): unknown key; did you mean limits.sessions_max?".to_owned(),
        ];
        for line in &expected {
            assert!(found.contains(line), "missing: {line}\nfound: {found:#?}");
        }
        assert_eq!(found.len(), expected.len(), "{found:#?}");
    }

    #[test]
    fn variables_that_are_none_of_ours_stop_nothing_and_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let environment = FixedEnvironment::in_folder(folder.path())
            .with("MAPWEAVE_DATTA", "x")
            .with("MAPWEAVE_PORT_8080_TCP_ADDR", "10.0.0.1")
            .with("MAPWEAVE_CONFIGG", "x")
            .with("MAPWEAVE_SERVER", "http://127.0.0.1:1")
            .with("MAPWEAVE_LIMITS_SESSIONS_MAX", "8")
            .with("OTHER", "ignored");
        assert!(Config::load(&Given::default(), &environment).is_ok());
        let warnings = Config::warnings(&environment);
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "MAPWEAVE_CONFIGG (environment variable MAPWEAVE_CONFIGG): unknown variable; did you mean MAPWEAVE_CONFIG?",
                "MAPWEAVE_DATTA (environment variable MAPWEAVE_DATTA): unknown variable; did you mean MAPWEAVE_DATA?",
                "MAPWEAVE_PORT_8080_TCP_ADDR (environment variable MAPWEAVE_PORT_8080_TCP_ADDR): unknown variable; docs/configuration.md lists them all",
            ]
        );
    }

    #[test]
    fn an_address_that_others_reach_needs_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let environment = FixedEnvironment::in_folder(folder.path());
        let refused = problems(&flag("listen", "0.0.0.0:8080"), &environment);
        assert!(
            matches!(&refused[..], [one] if one.contains("--allow-anonymous")),
            "{refused:?}"
        );
        let mut meant = flag("listen", "0.0.0.0:8080");
        meant.flags.push((
            "allow_anonymous".into(),
            "true".into(),
            "--allow-anonymous".into(),
        ));
        assert!(Config::load(&meant, &environment).unwrap().allow_anonymous);
        let command = Given {
            purpose: Purpose::Command,
            ..flag("listen", "0.0.0.0:8080")
        };
        assert_eq!(
            Config::load(&command, &environment).unwrap().log.filter,
            "warn"
        );
    }

    #[test]
    fn the_largest_message_follows_the_largest_update() {
        let folder = tempfile::tempdir().unwrap();
        let environment = FixedEnvironment::in_folder(folder.path());
        let config = Config::load(&flag("limits.update_bytes_max", "1 MiB"), &environment).unwrap();
        assert_eq!(
            config.limits.frame_bytes_max,
            (1 << 20) + FRAME_OVERHEAD_BYTES
        );
        let small = problems(&flag("limits.frame_bytes_max", "1 MiB"), &environment);
        assert!(
            matches!(&small[..], [one] if one.contains("limits.update_bytes_max")),
            "{small:?}"
        );
    }

    #[test]
    fn a_file_that_was_named_has_to_be_there_and_be_toml() {
        let folder = folder_with("listen = ");
        let environment = FixedEnvironment::in_folder(folder.path());
        let broken = problems(&Given::default(), &environment);
        assert!(broken[0].contains("line 1"), "{broken:?}");
        let missing = Given {
            file: Some("gone.toml".into()),
            ..Given::default()
        };
        assert!(problems(&missing, &environment)[0].contains("gone.toml"));
        let by_variable = environment.with("MAPWEAVE_CONFIG", "gone.toml");
        assert!(problems(&Given::default(), &by_variable)[0].contains("MAPWEAVE_CONFIG"));
    }

    #[test]
    fn a_huge_or_binary_file_is_refused() {
        let folder = folder_with(&"#".repeat(2 << 20));
        let environment = FixedEnvironment::in_folder(folder.path());
        assert!(problems(&Given::default(), &environment)[0].contains("larger than"));
        std::fs::write(folder.path().join(DEFAULT_FILE), [0xff, 0xfe, 0]).unwrap();
        assert!(problems(&Given::default(), &environment)[0].contains("UTF-8"));
    }
}
