//! What somebody may write who may only comment. Start from [`Ledger::comments`].
//!
//! Comments lie below two roots of a map document. Whether an update keeps to them is decided before it is applied and
//! without its content: by where its structs would come to lie, which the door knows anyway, and by whose clients wrote
//! what it replaces or deletes.

use super::DoorError;
use super::content;
use super::ledger::{Ledger, What};
use super::ranges::Ranges;
use super::scan::{Piece, Scanned};
use super::walk::Walk;
use crate::id::ClientId;

/// The root types below which comments lie (`docs/map-document.md` §3): notes, and who is behind a session.
pub const COMMENT_ROOTS: [&str; 2] = ["note", "who"];

/// What kind of root something lies below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Zone {
    /// One of [`COMMENT_ROOTS`].
    Comments,
    /// Any other.
    Elsewhere,
}

impl Zone {
    pub(super) fn of_root(name: &str) -> Self {
        if COMMENT_ROOTS.contains(&name) {
            Self::Comments
        } else {
            Self::Elsewhere
        }
    }
}

/// Why an update is more than comments of one's own. Clocks are those of the update where nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommentError {
    /// Something lies below another root.
    #[error("a commenter may write notes only, and {client}:{clock} lies elsewhere in the map")]
    Elsewhere {
        /// The client of the struct.
        client: ClientId,
        /// Its clock.
        clock: u64,
    },
    /// Nothing tells where something would lie: it is deleted already, or lies in something that is.
    #[error("a commenter may write notes only, and nothing tells where {client}:{clock} lies")]
    Unplaced {
        /// The client of the struct.
        client: ClientId,
        /// Its clock.
        clock: u64,
    },
    /// The client belongs to somebody else, or is in nobody's name.
    #[error("{client} is not one of this person's own clients: load the map anew")]
    NotOwnClient {
        /// The client.
        client: ClientId,
    },
    /// Something else would be replaced that somebody else has written.
    #[error(
        "a commenter may change only notes of their own: {client}:{clock} would replace one of {author}'s"
    )]
    NotOwnNote {
        /// The client of the struct.
        client: ClientId,
        /// Its clock.
        clock: u64,
        /// The client that wrote what is there.
        author: ClientId,
    },
    /// A deletion of something that is no comment.
    #[error("a commenter may delete notes only, and {client}:{clock} lies elsewhere in the map")]
    DeletesElsewhere {
        /// The client of what would be deleted.
        client: ClientId,
        /// Its clock.
        clock: u64,
    },
    /// A deletion of somebody else's comment.
    #[error(
        "a commenter may delete only notes of their own, and {client}:{clock} is somebody else's"
    )]
    DeletesOthers {
        /// The client of what would be deleted.
        client: ClientId,
        /// Its clock.
        clock: u64,
    },
    /// The update must not be applied, whoever sends it.
    #[error(transparent)]
    Door(#[from] DoorError),
}

impl CommentError {
    /// Whether it is about a deletion, which may be no news: a document makes some by itself, which no ledger has
    /// heard of.
    pub fn is_deletion(&self) -> bool {
        matches!(
            self,
            Self::DeletesElsewhere { .. } | Self::DeletesOthers { .. }
        )
    }
}

impl Ledger {
    /// Whether what `update` newly brings are comments by the one who sends it: it inserts only below
    /// [`COMMENT_ROOTS`], under clients of its own, replaces only entries that nobody else has written, and deletes
    /// only what its own clients wrote there. `is_own` tells whose a client is, of those that the document knows and of
    /// those that it does not.
    ///
    /// To be asked of an update that [`Ledger::judge`] called fresh or overlapping; of one with a gap, what is missing
    /// makes it an error. Pure; linear in the update and in the runs of structs that it deletes.
    ///
    /// # Errors
    /// What of it is not allowed.
    pub fn comments(
        &self,
        update: &Scanned,
        is_own: impl Fn(ClientId) -> bool,
    ) -> Result<(), CommentError> {
        let check = Check {
            ledger: self,
            update,
            walk: Walk::new(self, update)?,
            is_own,
        };
        check.structs()?;
        for (client, ranges) in &update.deletes {
            check.deletions(*client, ranges)?;
        }
        Ok(())
    }
}

struct Check<'a, F> {
    ledger: &'a Ledger,
    update: &'a Scanned,
    walk: Walk<'a>,
    is_own: F,
}

impl<F: Fn(ClientId) -> bool> Check<'_, F> {
    fn structs(&self) -> Result<(), CommentError> {
        for section in &self.update.sections {
            let next = self.ledger.next(section.client);
            let client = ClientId(section.client);
            if section.end > next && !(self.is_own)(client) {
                return Err(CommentError::NotOwnClient { client });
            }
            let pieces = self.update.pieces_of(section).iter();
            for (piece, spot) in pieces.zip(self.walk.spots_of(section)) {
                if piece.end > next && piece.kind != content::SKIP {
                    self.piece(client, piece, *spot)?;
                }
            }
        }
        Ok(())
    }

    fn piece(
        &self,
        client: ClientId,
        piece: &Piece,
        spot: super::ledger::Spot,
    ) -> Result<(), CommentError> {
        let clock = u64::from(piece.start);
        if spot.what == What::Gone {
            return Err(CommentError::Unplaced { client, clock });
        }
        if spot.zone != Zone::Comments {
            return Err(CommentError::Elsewhere { client, clock });
        }
        if !spot.is_keyed() {
            return Ok(());
        }
        // A new entry replaces what is under its key, with or without a word about that in the delete set.
        let others = self.ledger.commenters_at(spot.place).iter();
        let other = others
            .map(|writer| ClientId(*writer))
            .find(|writer| !(self.is_own)(*writer));
        match other {
            Some(author) => Err(CommentError::NotOwnNote {
                client,
                clock,
                author,
            }),
            None => Ok(()),
        }
    }

    fn deletions(&self, client: u64, ranges: &Ranges) -> Result<(), CommentError> {
        let mut refused = None;
        for (start, end) in ranges.as_slice() {
            let mut check = |start, end| {
                if refused.is_none() {
                    refused = self.deletion(client, start, end).err();
                }
            };
            match self.ledger.deleted(client) {
                Some(known) => known.for_each_missing(*start, *end, &mut check),
                None => check(*start, *end),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Clocks `start..end` of one client, none of which is known to be deleted.
    fn deletion(&self, client: u64, start: u32, end: u32) -> Result<(), CommentError> {
        let elsewhere = |clock: u32| CommentError::DeletesElsewhere {
            client: ClientId(client),
            clock: u64::from(clock),
        };
        let known = self.ledger.runs_of(client, start, end).iter();
        let known = known.map(|run| (run.start.max(start), run.spot().zone));
        let in_update = self
            .update
            .section(client)
            .and_then(|at| self.update.sections.get(at));
        let next = self.ledger.next(client);
        let new = in_update.into_iter().flat_map(|section| {
            let pieces = self
                .update
                .pieces_of(section)
                .iter()
                .zip(self.walk.spots_of(section));
            pieces
                .filter(|(piece, _)| piece.end > start.max(next) && piece.start < end)
                .map(|(piece, spot)| (piece.start.max(start), spot.zone))
        });
        if let Some((clock, _)) = known.chain(new).find(|(_, zone)| *zone != Zone::Comments) {
            return Err(elsewhere(clock));
        }
        if end > self.walk.reached(client) {
            return Err(elsewhere(end - 1));
        }
        if !(self.is_own)(ClientId(client)) {
            return Err(CommentError::DeletesOthers {
                client: ClientId(client),
                clock: u64::from(start),
            });
        }
        Ok(())
    }
}
