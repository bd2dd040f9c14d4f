//! Keys by which requests name the event stream of their client: what it shows of itself lives as long as that.
//! Start at [`Sessions::open`].

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mapweave_proto::SessionId;
use uuid::Uuid;

use crate::room::RoomHandle;

/// The name of one event stream, which only its client is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(Uuid);

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKey;

/// The event streams of a server.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<Key, Stream>>,
}

/// An event stream, as a connection of its map.
#[derive(Clone)]
pub struct Stream {
    /// The map.
    pub room: RoomHandle,
    /// The connection.
    pub session: SessionId,
}

/// An event stream that can be named; no more once this is dropped.
pub struct Named {
    sessions: Arc<Sessions>,
    key: Key,
}

impl Sessions {
    /// A key for a stream, for as long as the answer lives.
    pub fn open(self: &Arc<Self>, stream: Stream) -> Named {
        let key = Key(Uuid::new_v4());
        self.lock().insert(key, stream);
        Named {
            sessions: self.clone(),
            key,
        }
    }

    /// The stream of this key, while it is open.
    pub fn find(&self, key: Key) -> Option<Stream> {
        self.lock().get(&key).cloned()
    }

    /// Held for one look-up only, never over an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Stream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Named {
    /// The key.
    pub fn key(&self) -> Key {
        self.key
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let stream = self.sessions.lock().remove(&self.key);
        // Its way into the map ends here, not under the lock.
        drop(stream);
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// Whoever has the key can speak for its client: it is in no log.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl FromStr for Key {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        Uuid::try_parse(text).map(Self).map_err(|_| NoKey)
    }
}
