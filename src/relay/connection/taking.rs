//! Takes in what arrived whole: unpacked beside the connection, judged by the rights of its authors.

use bytes::Bytes;
use mapweave_proto::Access;

use super::super::batch::{UNPACKED_BYTES_MAX, decompress, unpack};
use super::super::intake::Interrupted;
use super::super::link::Into;
use super::super::message::{Content, Outcome};
use super::super::{Relay, Revoked};
use crate::room::Foreign;

/// Takes in a batch.
pub(super) async fn take(
    relay: &Relay,
    content: Content,
    into: Into,
    packed: Bytes,
    hash: [u8; 16],
    via: String,
) -> Result<Outcome, Interrupted> {
    let update_bytes_max = relay.update_bytes_max;
    let from = via.clone();
    let unpacked = tokio::task::spawn_blocking(move || {
        let mut found = [0; 16];
        blake3::Hasher::new()
            .update(&packed)
            .finalize_xof()
            .fill(&mut found);
        if found != hash {
            return Err("its bytes are not those that were named".to_owned());
        }
        match content {
            Content::Records => unpack(&packed, &from, update_bytes_max)
                .map(|records| (records, Bytes::new()))
                .map_err(|error| error.to_string()),
            Content::State => decompress(&packed, UNPACKED_BYTES_MAX)
                .map(|update| (Vec::new(), update))
                .map_err(|error| error.to_string()),
        }
    });
    let unpacked = unpacked.await.map_err(|error| Interrupted {
        why: error.to_string(),
    })?;
    match (content, unpacked) {
        (_, Err(why)) => Ok(Outcome::Refused(why)),
        (Content::Records, Ok((records, _))) => {
            metrics::counter!("mapweave_relay_received_records_total")
                .increment(records.len() as u64);
            let records = records.into_iter();
            let records = records.map(|record| by_rights(record, &relay.revoked));
            relay.intake.take(&into, records.collect()).await
        }
        (Content::State, Ok((_, update))) => {
            // It does not say whose it is: where rights were taken back, an owner has to look at it.
            let access = if (relay.revoked)(None, 0) {
                Access::Quarantine
            } else {
                Access::ReadWrite
            };
            relay.intake.repair(&into, update, access, &via).await?;
            Ok(Outcome::Taken)
        }
    }
}

/// What was written by somebody who may not edit any more is to be looked at by an owner.
fn by_rights(record: Foreign, revoked: &Revoked) -> Foreign {
    let at_ms = record.origin.relayed.as_ref().map_or(0, |r| r.at_ms);
    let user = &record.origin.user;
    let access = if !user.is_empty() && revoked(Some(user), at_ms / 1_000) {
        Access::Quarantine
    } else {
        Access::ReadWrite
    };
    Foreign { access, ..record }
}
