//! The `mapweave` program: see [`mapweave::cli`].

use std::process::ExitCode;

use mapweave::cli::{self, Console};
use mapweave::config::SystemEnvironment;

fn main() -> ExitCode {
    let mut console = Console::standard();
    cli::run(std::env::args_os(), &SystemEnvironment, &mut console).into()
}
