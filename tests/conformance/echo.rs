//! The sockets of the server, sending back what they hear, for the conformance tests beside this file.
//!
//! `cargo run --example echo` prints `listening on ADDRESS` and serves until it is killed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

#[tokio::main]
#[allow(
    clippy::print_stdout,
    reason = "whoever runs it reads the address there"
)]
async fn main() -> io::Result<()> {
    let listener = mapweave::server::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    println!("listening on {}", listener.local_addr()?);
    mapweave::server::serve_echo(listener).await
}
