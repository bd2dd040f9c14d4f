//! What is wrong is answered with what is wrong and counted; it harms nobody but its sender.

mod poison;
mod requests;
mod sockets;
