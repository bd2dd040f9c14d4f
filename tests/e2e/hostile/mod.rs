//! Hostile and broken clients: whatever one does, memory stays bounded, others are served, nothing is poisoned, and
//! the server stops in time.
//!
//! Every test lets honest people work beside an attack, in the same map and in another, and waits for what they do,
//! never for time. Bounds of memory are of the whole process, and generous: an attack that were not bounded would go
//! far beyond them. Start at [`Crew`].

mod bodies;
mod connections;
mod crew;
mod frames;
mod gaps;
mod listeners;
mod maps;
mod presence;
mod questions;
mod readers;

use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use yrs::{Doc, Map, Transact};

use crate::harness::Raw;

/// One MiB.
const MIB: u64 = 1 << 20;

/// The map under attack.
const MAP: &str = "m";

/// An attack in the background; it ends when dropped.
struct Attack(JoinHandle<()>);

impl Attack {
    fn begin(attack: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(attack))
    }

    /// Sends the same bytes on a socket for ever and reads all that comes; goes on no more where the server closes.
    fn flood(socket: Raw, bytes: Vec<u8>) -> Self {
        Self::begin(async move {
            let (mut reading, mut writing) = socket.into_split();
            let sending = async { while writing.write_all(&bytes).await.is_ok() {} };
            let mut nowhere = tokio::io::sink();
            // An end is an end, whatever its reason.
            let _ = tokio::join!(sending, tokio::io::copy(&mut reading, &mut nowhere));
        })
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A text under `key` as an update of a client of its own.
fn text_of(client: u64, key: &str, bytes: usize) -> Vec<u8> {
    let doc = Doc::with_client_id(client);
    let feat = doc.get_or_insert_map("feat");
    let mut txn = doc.transact_mut();
    feat.insert(&mut txn, key, "x".repeat(bytes));
    txn.encode_update_v1()
}
