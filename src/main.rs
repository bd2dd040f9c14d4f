//! The `mapweave` program.
fn main() {}
