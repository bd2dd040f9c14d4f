//! Updates that hurt yrs, Yjs or the server's memory, each refused where it can be known.

mod commenting;
mod cutting;
mod nesting;
mod placing;
mod scanning;
mod waiting;

use super::build::update;
use super::replicas::scanned;
use crate::limits::UPDATE_BYTES_MAX;
use crate::update::{DoorError, Ledger, ScanError, Verdict, scan};
use bytes::Bytes;

pub(super) const NULL: (u8, &[u8]) = (8, &[1, 126]);

pub(super) const ARRAY: (u8, &[u8]) = (7, &[0]);

pub(super) const MAP: (u8, &[u8]) = (7, &[1]);

pub(super) fn refused(bytes: impl Into<Bytes>) -> ScanError {
    scan(bytes.into(), UPDATE_BYTES_MAX).unwrap_err()
}

pub(super) fn one(structs: Vec<Vec<u8>>) -> Bytes {
    update(&[(1, 0, structs)], &[])
}

pub(super) fn judge(ledger: &Ledger, bytes: Bytes) -> Result<Verdict, DoorError> {
    ledger.judge(&scanned(bytes))
}

pub(super) fn admitted(updates: &[Bytes]) -> Ledger {
    let mut ledger = Ledger::default();
    for update in updates {
        let update = scanned(update.clone());
        assert!(matches!(
            ledger.judge(&update),
            Ok(Verdict::Fresh | Verdict::Overlap)
        ));
        ledger.admit(&update);
    }
    ledger
}
