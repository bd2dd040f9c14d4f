//! The `mapweave` program: see [`mapweave::cli`].

use std::process::ExitCode;

use mapweave::cli::{self, Console};
use mapweave::config::SystemEnvironment;

/// Documents come and go in many small pieces; this allocator gives their memory back, and is faster at it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut console = Console::standard();
    cli::run(std::env::args_os(), &SystemEnvironment, &mut console).into()
}
