//! Updates of those who may only comment: judged before they are applied.

use mapweave_proto::{ClientId, CommentError, Scanned, Verdict};

use super::{Refused, Replica};

/// What an update of a commenter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comment {
    /// No news.
    Nothing,
    /// Comments of its author's own: to be taken in as an edit.
    Allowed,
    /// Something that it builds on is missing, without which it cannot be judged.
    Early {
        /// Clients of which changes are missing, and the clocks from which they are.
        missing: Vec<(ClientId, u64)>,
    },
}

impl Replica {
    /// Says what an update of `user` is, who may only comment. `is_taken` tells of clients that nobody has written
    /// under whether somebody else is about to.
    ///
    /// # Errors
    /// [`Refused::Forbidden`] with the reason, or that it must not be applied at all.
    pub fn judge_comment(
        &mut self,
        update: &Scanned,
        user: &str,
        is_taken: impl Fn(ClientId) -> bool,
    ) -> Result<Comment, Refused> {
        match self.ledger.judge(update)? {
            Verdict::Nothing => return Ok(Comment::Nothing),
            Verdict::Gap { missing } => return Ok(Comment::Early { missing }),
            Verdict::Fresh | Verdict::Overlap => {}
        }
        let check = |replica: &Self| {
            let own = |client| replica.is_own(client, user) && !is_taken(client);
            replica.ledger.comments(update, own)
        };
        match check(self) {
            Ok(()) => return Ok(Comment::Allowed),
            Err(error) if error.is_deletion() && self.learn_deletions() => {}
            Err(error) => return Err(error.into()),
        }
        if self.ledger.judge(update)? == Verdict::Nothing {
            return Ok(Comment::Nothing);
        }
        check(self)?;
        Ok(Comment::Allowed)
    }
}

impl From<CommentError> for Refused {
    fn from(error: CommentError) -> Self {
        match error {
            CommentError::Door(error) => Self::Door(error),
            other => Self::Forbidden {
                why: other.to_string(),
            },
        }
    }
}
