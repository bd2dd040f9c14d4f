//! What somebody sends who means ill, or whose program is broken.

use bytes::Bytes;
use mapweave_proto::{AwarenessEntry, AwarenessUpdate, ClientId, Message, Writer, yws};

use crate::rng::Rng;
use crate::ws::masked;

/// A root of its own: some clients show what has a gap before it, others wait, and both are right.
const ROOT: &str = "hostile";

/// Bytes for the wire: something of everything. `own` is an id that only the attacker writes under.
pub(crate) fn attack(own: u64, others: &[ClientId], rng: &mut Rng) -> Vec<u8> {
    let update = |bytes: Bytes| yws::encode(&Message::Update(bytes)).to_vec();
    let payload = match rng.below(11) {
        0 => garbage(rng),
        1 => return garbage(rng),
        2 => {
            let mut whole = update(text_at(own, 0));
            whole.truncate(rng.below(whole.len()));
            whole
        }
        3 => update(nested(own, 65 + rng.below(4000))),
        // Waits for ever for what never comes.
        4 => update(text_at(own, 5)),
        5 => yws::encode(&removal(others)).to_vec(),
        6 => {
            let entry = AwarenessEntry {
                client: ClientId(own),
                clock: rng.bits() >> 40,
                state: Bytes::from_static(b"{\"open\":"),
            };
            let entries = vec![entry];
            yws::encode(&Message::Awareness(AwarenessUpdate { entries }.encode())).to_vec()
        }
        7 => yws::encode(&Message::SyncStep1(Bytes::from_static(&[0]))).repeat(rng.between(1, 80)),
        8 => update(child_of_text(own)),
        9 => return vec![0x81, 0x81, 0, 0, 0, 0, b'x'],
        _ => update(text_at(own, 0)),
    };
    let mask = (rng.bits() as u32).to_le_bytes();
    masked(&payload, mask, None)
}

fn garbage(rng: &mut Rng) -> Vec<u8> {
    (0..rng.between(1, 200)).map(|_| rng.bits() as u8).collect()
}

/// Takes everybody else's presence away.
fn removal(others: &[ClientId]) -> Message {
    let entries = others.iter().map(|client| AwarenessEntry {
        client: *client,
        clock: 1 << 31,
        state: Bytes::from_static(b"null"),
    });
    let entries = entries.collect();
    Message::Awareness(AwarenessUpdate { entries }.encode())
}

/// One character in the root text, at `clock`.
fn text_at(client: u64, clock: u64) -> Bytes {
    let mut w = begin(client, 1, clock);
    in_root(&mut w, 0x04);
    w.string("x");
    w.var_uint(0);
    w.finish()
}

/// A value of `depth` arrays in each other.
fn nested(client: u64, depth: usize) -> Bytes {
    let mut w = begin(client, 1, 0);
    in_root(&mut w, 0x08);
    w.var_uint(1);
    for _ in 0..depth {
        w.raw(&[117, 1]);
    }
    w.raw(&[126, 0]);
    w.finish()
}

/// A value that lies in a character.
fn child_of_text(client: u64) -> Bytes {
    let mut w = begin(client, 2, 0);
    in_root(&mut w, 0x04);
    w.string("x");
    w.raw(&[0x08, 0]);
    w.var_uint(client);
    w.raw(&[0, 1, 126, 0]);
    w.finish()
}

fn begin(client: u64, structs: u64, clock: u64) -> Writer {
    let mut w = Writer::with_capacity(64);
    w.var_uint(1);
    w.var_uint(structs);
    w.var_uint(client);
    w.var_uint(clock);
    w
}

fn in_root(w: &mut Writer, info: u8) {
    w.raw(&[info, 1]);
    w.string(ROOT);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mapweave_proto::{DoorError, Ledger, ScanError, Verdict, scan};

    use super::*;

    #[test]
    fn attacks_are_what_they_say() {
        let ledger = Ledger::default();
        let judge = |bytes| ledger.judge(&scan(bytes, usize::MAX).unwrap());
        assert_eq!(judge(text_at(7, 0)), Ok(Verdict::Fresh));
        assert!(matches!(judge(text_at(7, 5)), Ok(Verdict::Gap { .. })));
        assert!(matches!(
            judge(child_of_text(7)),
            Err(DoorError::ParentNotAType { .. })
        ));
        assert!(matches!(
            scan(nested(7, 65), usize::MAX),
            Err(ScanError::NestedTooDeep { .. })
        ));
    }
}
