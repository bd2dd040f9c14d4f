//! Variables of the environment that begin with our prefix.

use std::collections::BTreeMap;

use super::super::environment::{Environment, VARIABLE_PREFIX};
use super::super::problem::{ConfigProblem, Source, nearest};
use super::super::settings::{Key, keys};

/// Variables that are no settings but stand for flags of the command line.
const OTHER_VARIABLES: [&str; 6] = [
    "MAPWEAVE_CONFIG",
    "MAPWEAVE_SERVER",
    "MAPWEAVE_TOKEN",
    "MAPWEAVE_CA",
    "MAPWEAVE_PIN",
    "MAPWEAVE_UPSTREAM_TOKEN",
];

/// What is unknown among our variables. Orchestrators set variables of their own by the name of a service, so that
/// an unknown one must not stop the server; but it may be a slip.
pub(super) fn unknown_variables(environment: &dyn Environment) -> Vec<ConfigProblem> {
    let variables = Variables::of(environment, &mut Vec::new());
    let known: Vec<String> = keys().map(Key::variable).collect();
    let known = || known.iter().map(String::as_str).chain(OTHER_VARIABLES);
    let unknown = |name: &String| known().all(|known| known != name);
    let names = variables.0.into_keys().filter(unknown);
    names
        .map(|name| ConfigProblem {
            what: super::unknown("variable", nearest(&name, known())),
            source: Source::Variable(name.clone()),
            key: name,
        })
        .collect()
}

/// Our variables, by name.
pub(super) struct Variables(pub(super) BTreeMap<String, String>);

impl Variables {
    pub(super) fn of(environment: &dyn Environment, problems: &mut Vec<ConfigProblem>) -> Self {
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
