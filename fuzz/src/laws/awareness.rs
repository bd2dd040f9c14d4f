use bytes::Bytes;
use mapweave::room::{Presence, Shown, Whom};
use mapweave_proto::{AwarenessUpdate, ClientId, SessionId};

use super::Script;
use crate::saw;

/// What is read can be written and read again; a table shows only JSON, nobody removes another's state, and
/// who has left is gone.
///
/// # Panics
/// Where that is not so.
pub fn awareness(data: &[u8]) {
    let mut script = Script(data);
    let mut table = Presence::default();
    let sessions = [SessionId(1), SessionId(2)];
    sessions.iter().for_each(|session| table.join(*session));
    let mut now_ms = 0;
    while let (Some(choice), Some(piece)) = (script.byte(), script.piece()) {
        now_ms += u64::from(choice) * 100;
        let update = match AwarenessUpdate::decode(Bytes::copy_from_slice(piece)) {
            Ok(update) => update,
            Err(error) => {
                saw(std::mem::discriminant(&error));
                continue;
            }
        };
        assert_eq!(
            AwarenessUpdate::decode(update.encode()).as_ref(),
            Ok(&update)
        );
        let session = sessions[usize::from(choice % 2)];
        let before = table.present();
        table.receive(session, Shown::all_of(&update), now_ms);
        saw((before, table.present()));
        if choice > 200 {
            table.expire(now_ms, 30_000);
        }
        check(&mut table);
    }
    for (left, session) in sessions.iter().enumerate().rev() {
        table.leave(*session, now_ms);
        check(&mut table);
        assert!(left > 0 || table.present() == 0, "somebody stays for ever");
    }
}

fn check(table: &mut Presence) {
    let mut everyone = Vec::new();
    let mut next = Some(ClientId(0));
    while let Some(from) = next {
        let (pieces, further) = table.part(from, Whom::Here);
        everyone.extend(pieces.into_iter().flat_map(|u| u.entries));
        next = further;
    }
    assert_eq!(everyone.len(), table.present());
    let changes = table
        .take_changes(u64::MAX)
        .into_iter()
        .flat_map(|u| u.entries)
        .collect::<Vec<_>>();
    for entry in everyone.iter().chain(&changes) {
        let json = serde_json::from_slice::<serde_json::Value>(&entry.state);
        assert!(json.is_ok(), "a state that is no JSON is told on");
    }
    assert!(everyone.iter().all(|entry| !entry.is_gone()));
    assert_eq!(table.due_ms(), None, "changes are told twice");
}
