//! A browser: a Yjs document, the y-websocket provider's behaviour, and the acknowledgement helper.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mapweave_proto::{AwarenessUpdate, ClientId, Message, StateVector, yws};
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, ReadTxn, Transact};

use crate::copy::Copy;
use crate::edits::{self, document};
use crate::presence::Table;
use crate::rng::Rng;
use crate::ws::{ClientReader, FromServer};

/// A client drops a socket on which nothing came for so long.
const SILENCE_MS: u64 = 30_000;

/// One person's browser. Its document outlives connections.
pub(crate) struct Client {
    copy: Copy,
    id: u64,
    sid: String,
    table: Table,
    reader: ClientReader,
    made: Arc<Mutex<Vec<Bytes>>>,
    /// Edits of this document's life, in order; number `n` is at `n - 1`.
    edits: Vec<Bytes>,
    /// Edits up to this number are known to be stored.
    acked: usize,
    heard_ms: u64,
    connected: bool,
}

/// What a client does with what it read.
#[derive(Debug, Default)]
pub(crate) struct Reaction {
    /// Messages for the server.
    pub(crate) send: Vec<Message>,
    /// The server closed, with this code.
    pub(crate) closed: Option<u16>,
    /// The server was told to keep an edit, and refused.
    pub(crate) denied: bool,
}

impl Client {
    /// A browser that knows nothing; `sid` is the person's.
    pub(crate) fn new(id: u64, sid: &str, now_ms: u64) -> Self {
        let doc = document(id);
        let made = Arc::new(Mutex::new(Vec::new()));
        let seen = made.clone();
        let observed = doc.observe_update_v1("sim", move |txn, event| {
            if txn.origin().is_some() {
                let update = Bytes::from(event.update.clone());
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(update);
            }
        });
        debug_assert!(observed.is_ok());
        Self {
            copy: Copy::new(doc),
            id,
            sid: sid.to_owned(),
            table: Table::new(ClientId(id), now_ms),
            reader: ClientReader::default(),
            made,
            edits: Vec::new(),
            acked: 0,
            heard_ms: now_ms,
            connected: false,
        }
    }

    /// The same person after a reload of the page, which kept the document on the device, or not.
    pub(crate) fn reloaded(&self, id: u64, keeps: bool, now_ms: u64) -> Result<Self, String> {
        let mut client = Self::new(id, &self.sid, now_ms);
        if keeps {
            client
                .copy
                .apply(&self.encode(&yrs::StateVector::default())?)?;
        }
        Ok(client)
    }

    pub(crate) fn doc(&self) -> &Doc {
        self.copy.doc()
    }

    pub(crate) fn id(&self) -> ClientId {
        ClientId(self.id)
    }

    pub(crate) fn states(&self) -> &std::collections::BTreeMap<ClientId, Bytes> {
        self.table.states()
    }

    /// The socket opened; what is said first.
    pub(crate) fn connect(&mut self, now_ms: u64) -> Vec<Message> {
        self.reader = ClientReader::default();
        self.heard_ms = now_ms;
        self.connected = true;
        let vector = self.doc().transact().state_vector().encode_v1();
        vec![
            Message::SyncStep1(vector.into()),
            self.token(),
            Message::Awareness(self.table.own().encode()),
        ]
    }

    pub(crate) fn disconnect(&mut self) {
        self.connected = false;
        self.table.disconnected();
    }

    /// Edits once, and says what the provider says of it. What changed nothing says nothing.
    ///
    /// # Errors
    /// Where an edit does not pass the scanner.
    pub(crate) fn edit(&mut self, t: i64, rng: &mut Rng) -> Result<Vec<Message>, String> {
        edits::edit(self.doc(), &self.sid, t, rng);
        let made = std::mem::take(&mut *self.made.lock().unwrap_or_else(PoisonError::into_inner));
        let mut say = Vec::new();
        for update in made {
            self.copy.made(&update)?;
            self.edits.push(update.clone());
            say.push(Message::Update(update));
            say.push(self.token());
        }
        Ok(say)
    }

    /// Asks for what it may lack, as `resyncInterval` does.
    pub(crate) fn resync(&self) -> Message {
        Message::SyncStep1(self.doc().transact().state_vector().encode_v1().into())
    }

    /// Sends everything it has once more.
    pub(crate) fn repeat_all(&self) -> Result<Message, String> {
        self.encode(&yrs::StateVector::default())
            .map(Message::Update)
    }

    /// Shows something else of itself.
    pub(crate) fn show(&mut self, what: usize, now_ms: u64) -> Message {
        let state = Bytes::from(format!("{{\"cursor\":{what}}}"));
        Message::Awareness(self.table.set_own(state, now_ms).encode())
    }

    /// Looks after what time brings; `None` says that the socket is taken for dead.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Option<Vec<Message>> {
        let renewed = self.table.tick(now_ms);
        if self.connected && now_ms.saturating_sub(self.heard_ms) >= SILENCE_MS {
            return None;
        }
        let awareness = renewed.map(|update| Message::Awareness(update.encode()));
        Some(awareness.into_iter().collect())
    }

    /// Reads what arrived.
    ///
    /// # Errors
    /// Something that no server may send.
    pub(crate) fn receive(&mut self, bytes: &[u8], now_ms: u64) -> Result<Reaction, String> {
        self.reader.feed(bytes);
        let mut reaction = Reaction::default();
        while let Some(frame) = self.reader.next_frame() {
            match frame {
                FromServer::Binary(frame) => {
                    self.heard_ms = now_ms;
                    self.message(frame.into(), now_ms, &mut reaction)?;
                }
                FromServer::Close(code) => reaction.closed = Some(code),
                FromServer::Unknown(head) => return Err(format!("a frame begins with {head:#x}")),
            }
        }
        Ok(reaction)
    }

    fn message(&mut self, frame: Bytes, now_ms: u64, out: &mut Reaction) -> Result<(), String> {
        let mut messages = yws::decode(frame);
        let first = messages.next().ok_or("an empty message")?;
        if messages.next().is_some() {
            return Err("two messages in one frame, of which browsers read one".to_owned());
        }
        match first.map_err(|error| error.to_string())? {
            Message::SyncStep1(vector) => {
                StateVector::decode(vector.clone()).map_err(|error| error.to_string())?;
                let have =
                    yrs::StateVector::decode_v1(&vector).map_err(|error| error.to_string())?;
                out.send.push(Message::SyncStep2(self.encode(&have)?));
            }
            Message::SyncStep2(update) | Message::Update(update) => self.copy.apply(&update)?,
            Message::Awareness(update) => {
                let update = AwarenessUpdate::decode(update).map_err(|error| error.to_string())?;
                let echo = self.table.apply(&update, now_ms);
                out.send
                    .extend(echo.map(|update| Message::Awareness(update.encode())));
            }
            Message::DurableAck(token) => self.stored(&token)?,
            Message::AuthDenied(_) => out.denied = true,
            other => return Err(format!("the server sent {other:?}")),
        }
        Ok(())
    }

    fn stored(&mut self, token: &[u8]) -> Result<(), String> {
        let number = token_number(token)?;
        if number > self.edits.len() {
            return Err(format!("edit {number} is stored before it was made"));
        }
        self.acked = self.acked.max(number);
        Ok(())
    }

    /// The first `number` edits.
    pub(crate) fn edits_upto(&self, number: usize) -> &[Bytes] {
        self.edits.get(..number).unwrap_or(&self.edits)
    }

    /// Whether everything that was made is known to be stored.
    pub(crate) fn is_saved(&self) -> bool {
        self.acked == self.edits.len()
    }

    fn token(&self) -> Message {
        Message::DurableAck(Bytes::copy_from_slice(
            &(self.edits.len() as u64).to_le_bytes(),
        ))
    }

    fn encode(&self, have: &yrs::StateVector) -> Result<Bytes, String> {
        self.copy.encode(have)
    }
}

/// The number of edits that a token speaks of.
pub(crate) fn token_number(token: &[u8]) -> Result<usize, String> {
    let bytes = token
        .first_chunk::<8>()
        .filter(|_| token.len() == 8)
        .ok_or("a token that nobody sent")?;
    usize::try_from(u64::from_le_bytes(*bytes)).map_err(|error| error.to_string())
}
