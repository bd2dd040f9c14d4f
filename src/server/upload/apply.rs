//! A large update from its file into a map: checked whole, tried on a copy of the map's ledger, then written in
//! pieces, each durable before the next.

use std::sync::Arc;

use mapweave_proto::{LargeError, LargeUpdate, Ledger, PieceLimits, Scanned, Seq, Verdict, scan};
use mapweave_storage::Origin;
use warp::http::StatusCode;

use super::spool::{Spooled, Stored};
use crate::room::{Refused, RoomHandle};
use crate::server::problem::Problem;
use crate::server::state::App;

/// What a piece is filled up to, in bytes: enough that a sync for each costs little, and little enough that others in
/// the map do not wait for long.
const PIECE_BYTES: usize = 8 << 20;

/// Most clients named of those of which something is missing.
const MISSING_NAMED_MAX: usize = 3;

/// Writes `spooled` into `room`; resolves to the place of its last piece once all are durable. Goes on to its end when
/// nobody waits for it any more.
///
/// Memory, beside the map's own: a copy of its ledger with the update's structs (16 to 24 bytes for each run of
/// structs in one place), some 16 MiB of windows, 40 bytes a client and 16 bytes a deleted range of the update, and
/// one piece.
///
/// # Errors
/// A problem. Nothing has changed, unless it says that pieces were written: those stay, and the same upload sent
/// again goes on behind them.
pub async fn apply(
    app: Arc<App>,
    room: RoomHandle,
    spooled: Spooled,
    origin: Arc<Origin>,
) -> Result<Seq, Problem> {
    let tasks = app.tasks.clone();
    let applied = tasks.spawn(async move {
        let turn = app.spool.turn.acquire().await;
        let stored = spooled.stored().await;
        let ledger = room.ledger().await?;
        let writer = Writer {
            app: app.clone(),
            room,
            stored,
            origin,
        };
        let applied = tokio::task::spawn_blocking(move || writer.run(ledger)).await;
        drop(turn);
        applied.unwrap_or_else(|error| Err(ended(&error)))
    });
    applied.await.unwrap_or_else(|error| Err(ended(&error)))
}

struct Writer {
    app: Arc<App>,
    room: RoomHandle,
    stored: Stored,
    origin: Arc<Origin>,
}

impl Writer {
    fn run(self, ledger: Ledger) -> Result<Seq, Problem> {
        let bytes_max = self.app.config.limits.update_bytes_max;
        let limits = PieceLimits {
            bytes_max,
            bytes_wanted: bytes_max.min(PIECE_BYTES),
        };
        let large = LargeUpdate::scan(&self.stored, limits).map_err(|error| refused(&error))?;
        self.rehearse(&large, ledger)?;
        self.write(&large)
    }

    /// Judges all pieces as the map would, one after the other, so that none is refused when others are written.
    fn rehearse(&self, large: &LargeUpdate, mut ledger: Ledger) -> Result<(), Problem> {
        self.each_piece(large, |piece| {
            match ledger.judge(&piece).map_err(Refused::from) {
                Ok(Verdict::Nothing) => {}
                Ok(Verdict::Fresh | Verdict::Overlap) => ledger.admit(&piece),
                Ok(Verdict::Gap { missing }) => return Err(incomplete(&missing)),
                Err(error) => return Err(Problem::refused_update(error.to_string())),
            }
            Ok(())
        })
    }

    fn write(&self, large: &LargeUpdate) -> Result<Seq, Problem> {
        let runtime = tokio::runtime::Handle::current();
        let (mut last, mut written) = (None, 0_u64);
        self.each_piece(large, |piece| {
            let submitted = runtime.block_on(self.room.submit(piece, self.origin.clone()));
            last = Some(submitted.map_err(|error| Problem::from(error).after_pieces(written))?);
            written += 1;
            Ok(())
        })?;
        match last {
            Some(seq) => Ok(seq),
            // All those bytes said nothing.
            None => Ok(runtime.block_on(self.room.submit(nothing()?, self.origin.clone()))?),
        }
    }

    fn each_piece(
        &self,
        large: &LargeUpdate,
        mut each: impl FnMut(Scanned) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let mut pieces = large.pieces(&self.stored);
        while let Some(piece) = pieces.next_piece().map_err(|error| refused(&error))? {
            if self.app.stop.is_cancelled() {
                return Err(Problem::unavailable("the server is stopping"));
            }
            each(scanned(piece)?)?;
        }
        Ok(())
    }
}

fn scanned(piece: bytes::Bytes) -> Result<Scanned, Problem> {
    scan(piece, usize::MAX).map_err(|error| Problem::refused_update(error.to_string()))
}

/// The update that says nothing.
fn nothing() -> Result<Scanned, Problem> {
    scanned(bytes::Bytes::from_static(&[0, 0]))
}

fn refused(error: &LargeError) -> Problem {
    match error {
        LargeError::Read(_) => Problem::unavailable(error.to_string()),
        LargeError::StructTooLarge { .. } => {
            Problem::refused_update(format!("{error} (limits.update_bytes_max)"))
        }
        _ => Problem::refused_update(error.to_string()),
    }
}

/// A large update is no place for what is early: it would be held in memory, whole.
fn incomplete(missing: &[(mapweave_proto::ClientId, u64)]) -> Problem {
    let named: Vec<String> = missing
        .iter()
        .take(MISSING_NAMED_MAX)
        .map(|(client, clock)| format!("client {client} from clock {clock} on"))
        .collect();
    let more = if missing.len() > named.len() {
        " and others"
    } else {
        ""
    };
    Problem::new(
        StatusCode::CONFLICT,
        "missing-base",
        "The update builds on changes that this map does not have",
        format!(
            "missing: {}{more}; nothing was changed: send the whole state",
            named.join(", ")
        ),
    )
}

fn ended(error: &tokio::task::JoinError) -> Problem {
    Problem::unavailable(format!("the upload ended abruptly: {error}"))
}
