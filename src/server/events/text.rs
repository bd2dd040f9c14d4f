//! Events as text (WHATWG HTML §9.2, server-sent events), and the places that their ids name.

use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mapweave_proto::{AwarenessEntry, CloseReason, DocId, Seq};
use mapweave_storage::Identity;
use serde_json::{Value, json};

use super::sessions::Key;

/// Presence is told in events of about so many bytes.
const PRESENCE_EVENT_BYTES: usize = 32 << 10;

/// In which log a place lies: the life of the store, and the end of the map's own id, since a map made anew under the
/// name of a deleted one counts from 1 again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    store: u64,
    map: [u8; 4],
}

/// A place of a map's log, as the id of an event: `epoch-seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which log.
    pub epoch: Epoch,
    /// Everything up to this record was told.
    pub seq: Seq,
}

/// The text is no id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPlace;

impl Epoch {
    /// Of the log of `doc` in this life of the store.
    pub fn of(identity: Identity, doc: DocId) -> Self {
        let [.., a, b, c, d] = doc.to_bytes();
        Self {
            store: identity.epoch,
            map: [a, b, c, d],
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let map = u32::from_be_bytes(self.map);
        write!(f, "{}.{map:08x}", self.store)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let parts = text
            .split_once('-')
            .and_then(|(epoch, seq)| Some((epoch.split_once('.')?, seq)));
        let ((store, map), seq) = parts.ok_or(NoPlace)?;
        Ok(Self {
            epoch: Epoch {
                store: store.parse().map_err(|_| NoPlace)?,
                map: u32::from_str_radix(map, 16)
                    .map_err(|_| NoPlace)?
                    .to_be_bytes(),
            },
            seq: Seq(seq.parse().map_err(|_| NoPlace)?),
        })
    }
}

/// Events that go out together.
#[derive(Debug, Default)]
pub struct Events(String);

impl Events {
    /// How soon a client that has lost its connection comes back.
    pub fn retry(&mut self, after: Duration) {
        self.line("retry", &after.as_millis());
        self.end();
    }

    /// Where the log stands: a client that comes back names it, whether or not anything was told since.
    pub fn place(&mut self, place: Place) {
        self.line("id", &place);
        self.end();
    }

    /// An update of the log.
    pub fn update(&mut self, place: Place, update: &[u8]) {
        // Base64 needs no escapes.
        self.line("event", &"update");
        self.line("id", &place);
        let data = STANDARD.encode(update);
        self.line(
            "data",
            &format_args!(r#"{{"seq":{},"update":"{data}"}}"#, place.seq),
        );
        self.end();
    }

    /// An update that waits for others; it has no place of its own.
    pub fn waiting(&mut self, seq: Seq, update: &[u8]) {
        let update = STANDARD.encode(update);
        self.event(
            "update",
            &json!({ "seq": seq.0, "update": update, "waiting": true }),
        );
    }

    /// The client cannot be told all that it missed.
    pub fn reset(&mut self, place: Place, why: &str) {
        self.line("id", &place);
        self.event("reset", &json!({ "seq": place.seq.0, "why": why }));
    }

    /// The newest state of everybody named.
    pub fn presence<'a>(&mut self, entries: impl IntoIterator<Item = &'a AwarenessEntry>) {
        let mut data = String::new();
        for entry in entries {
            data.push(if data.is_empty() { '[' } else { ',' });
            let state = one_line(&entry.state);
            // Writing to a string does not fail, here and below.
            let _ = write!(
                data,
                r#"{{"client":{},"clock":{},"state":{state}}}"#,
                entry.client.0, entry.clock
            );
            if data.len() >= PRESENCE_EVENT_BYTES {
                self.presence_data(std::mem::take(&mut data));
            }
        }
        if !data.is_empty() {
            self.presence_data(data);
        }
    }

    fn presence_data(&mut self, mut data: String) {
        data.push(']');
        self.line("event", &"presence");
        self.line("data", &data);
        self.end();
    }

    /// The stream ends, and why.
    pub fn closing(&mut self, reason: &CloseReason) {
        self.ends(reason.code(), &reason.text(), reason.is_terminal());
    }

    /// The stream ends before it begins, for a reason that will pass.
    pub fn unavailable(&mut self, why: &str) {
        self.ends(CloseReason::Unavailable("").code(), why, false);
    }

    fn ends(&mut self, code: u16, reason: &str, last: bool) {
        let told = json!({ "kind": "closing", "code": code, "reason": reason, "final": last });
        self.event("notice", &told);
    }

    /// The key by which requests name this stream.
    pub fn session(&mut self, key: Key) {
        self.event("session", &json!({ "session": key.to_string() }));
    }

    /// What the server tells, in JSON of its own making.
    pub fn notice(&mut self, json: &str) {
        self.line("event", &"notice");
        self.line("data", &one_line(json.as_bytes()));
        self.end();
    }

    /// A sign of life that clients pass over.
    pub fn heartbeat(&mut self) {
        self.0.push_str(":\n\n");
    }

    /// An event by its name. JSON has no line breaks but those that are asked for.
    pub fn event(&mut self, name: &str, data: &Value) {
        self.line("event", &name);
        self.line("data", data);
        self.end();
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Takes what there is, if there is anything.
    pub fn take(&mut self) -> Option<Bytes> {
        let text = std::mem::take(&mut self.0);
        (!text.is_empty()).then(|| text.into())
    }

    fn line(&mut self, field: &str, value: &dyn fmt::Display) {
        let _ = writeln!(self.0, "{field}: {value}");
    }

    fn end(&mut self) {
        self.0.push('\n');
    }
}

/// JSON text without line breaks: outside of strings they are white space, and inside there are none (RFC 8259 §7).
fn one_line(json: &[u8]) -> String {
    String::from_utf8_lossy(json).replace(['\n', '\r'], " ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mapweave_proto::ClientId;

    use super::*;

    fn place(seq: u64) -> Place {
        let identity = Identity {
            store: [1; 16],
            epoch: 3,
        };
        Place {
            epoch: Epoch::of(identity, DocId::from_bytes([0xa7; 16])),
            seq: Seq(seq),
        }
    }

    fn text(mut events: Events) -> String {
        String::from_utf8(events.take().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_place_is_read_back_and_nothing_else_is_one() {
        assert_eq!(place(57).to_string(), "3.a7a7a7a7-57");
        assert_eq!("3.a7a7a7a7-57".parse(), Ok(place(57)));
        for foreign in ["", "57", "3-57", "3.a7-", "3.zz-5", "3.a7a7a7a7-57-1", "-"] {
            assert_eq!(foreign.parse::<Place>(), Err(NoPlace), "{foreign}");
        }
    }

    #[test]
    fn an_update_carries_its_place() {
        let mut events = Events::default();
        events.update(place(5), &[0, 255]);
        let wanted = "event: update\nid: 3.a7a7a7a7-5\ndata: {\"seq\":5,\"update\":\"AP8=\"}\n\n";
        assert_eq!(text(events), wanted);
    }

    #[test]
    fn presence_stays_on_its_line_and_large_crowds_come_in_pieces() {
        let entry = |client, state: &str| AwarenessEntry {
            client: ClientId(client),
            clock: 2,
            state: state.as_bytes().to_vec().into(),
        };
        let mut events = Events::default();
        events.presence(&[entry(7, "{\n\"a\":\r\n\"b\\n\"}"), entry(8, "null")]);
        let wanted = "event: presence\ndata: [{\"client\":7,\"clock\":2,\"state\":{ \"a\":  \"b\\n\"}},\
                      {\"client\":8,\"clock\":2,\"state\":null}]\n\n";
        assert_eq!(text(events), wanted);
        let large = format!("\"{}\"", "x".repeat(20 << 10));
        let mut events = Events::default();
        events.presence(&[entry(1, &large), entry(2, &large), entry(3, &large)]);
        assert_eq!(text(events).matches("event: presence").count(), 2);
    }

    #[test]
    fn nothing_said_is_nothing_sent() {
        let mut events = Events::default();
        events.presence(&[]);
        assert_eq!(events.take(), None);
    }
}
