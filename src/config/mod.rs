//! Every setting in one checked value: flags over `MAPWEAVE_*` variables over a TOML file over defaults.
//!
//! [`Config`] is what the rest of the program reads; below it nobody checks again. It is made by [`Config::load`],
//! which reports everything that is wrong at once, each with its key and where it came from. Each setting is
//! declared once, in [`settings`]: field, meaning, default and bounds. `docs/configuration.md` is written from it.

mod address;
mod environment;
mod load;
mod parse;
mod problem;
mod reference;
mod settings;

pub use address::UpstreamUrl;
pub use environment::{Environment, FixedEnvironment, SystemEnvironment, VARIABLE_PREFIX};
pub use load::{CONFIG_BYTES_MAX, DEFAULT_FILE, Given, Purpose};
pub use parse::Rule;
pub use problem::{ConfigProblem, ConfigProblems, Source, nearest};
pub use reference::{help, reference};
pub use settings::{
    Auth, Config, FRAME_OVERHEAD_BYTES, Key, Limits, Log, LogFormat, ProxyHeader, Room, Server,
    Storage, Tls, Upstream, Webhooks, keys,
};
