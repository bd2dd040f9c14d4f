//! What a room tells a listener: presence, kept as the newest state of each client, and that it ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mapweave_proto::{AwarenessEntry, AwarenessUpdate, ClientId, CloseReason, Message, Refusal};
use tokio::sync::Notify;

use crate::room::{Outgoing, Peer};

/// Most notices that wait for a listener. One that does not read them so fast loses the later ones.
const NOTICES_MAX: usize = 64;

/// A listener as its room sees it. It never asks for the document, so that the room sends it presence only, and it
/// holds no more of that than the room does, however slowly it is read.
#[derive(Debug)]
pub struct Ear {
    hears_presence: bool,
    heard: Mutex<Heard>,
    news: Notify,
}

/// What was heard and not told on.
#[derive(Debug, Default)]
struct Heard {
    /// The newest state of each client.
    presence: BTreeMap<ClientId, AwarenessEntry>,
    /// What the server tells, in JSON.
    notices: VecDeque<String>,
    /// That the room ends, and why.
    closing: Option<CloseReason>,
}

impl Ear {
    /// One that has heard nothing. `hears_presence`: whether it is to.
    pub fn new(hears_presence: bool) -> Self {
        Self {
            hears_presence,
            heard: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Completes once anything was heard since the last call.
    ///
    /// # Cancel safety
    /// Safe: what was heard meanwhile completes the next call.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Takes the presence that was heard.
    pub fn take_presence(&self) -> BTreeMap<ClientId, AwarenessEntry> {
        std::mem::take(&mut self.lock().presence)
    }

    /// Whether presence was heard.
    pub fn has_presence(&self) -> bool {
        !self.lock().presence.is_empty()
    }

    /// Takes the notices that were heard.
    pub fn take_notices(&self) -> VecDeque<String> {
        std::mem::take(&mut self.lock().notices)
    }

    /// Why the room ends, if it does.
    pub fn closing(&self) -> Option<CloseReason> {
        self.lock().closing.clone()
    }

    fn hear_notice(&self, notice: &str) {
        let mut heard = self.lock();
        if heard.notices.len() < NOTICES_MAX {
            heard.notices.push_back(notice.to_owned());
            self.news.notify_one();
        }
    }

    /// Held for a few steps only, never over an await.
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer for Ear {
    fn send(&self, message: &Outgoing) {
        let update = match &message.message {
            Message::Awareness(update) if self.hears_presence => update,
            Message::Notice(notice) => return self.hear_notice(notice),
            _ => return,
        };
        // The room encoded it; what cannot be read is nobody's presence.
        let Ok(update) = AwarenessUpdate::decode(update.clone()) else {
            return;
        };
        let mut heard = self.lock();
        for entry in update.entries {
            // A copy: the message it is cut from may be much larger, and others of it long told.
            let state = Bytes::copy_from_slice(&entry.state);
            heard
                .presence
                .insert(entry.client, AwarenessEntry { state, ..entry });
        }
        drop(heard);
        self.news.notify_one();
    }

    fn close(&self, reason: CloseReason) {
        self.lock().closing.get_or_insert(reason);
        self.news.notify_one();
    }

    // It writes nothing and asks for nothing.
    fn settled(&self, _upto: u64) {}
    fn refused(&self, _number: u64, _refusal: Refusal) {}
    fn answered(&self, _bytes: u64) {}

    /// It is told no updates by the room, and has no use for a difference.
    fn is_caught_up(&self) -> bool {
        false
    }

    /// It keeps only the newest of each client.
    fn takes_more(&self) -> bool {
        true
    }
}
