//! `/api/v1/maps/{map}/events`: what happens in a map, as server-sent events. With POST `state` it is the transport
//! where WebSockets are blocked.
//!
//! A listener is told what is durable and nothing else: it reads the map's log from the store, at the pace at which
//! it is read itself, so that the room neither waits for it nor keeps anything for it. Start at [`events`].

mod listener;
mod peer;
mod problems;
mod sessions;
mod text;
mod wanted;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::poll_fn;
use mapweave_proto::Seq;
use mapweave_storage::Protocol;
use tokio::sync::mpsc;
use tracing::Instrument;
use warp::Reply;
use warp::http::{HeaderValue, header};

use self::listener::{Listener, Pace};
use self::peer::Ear;
use self::problems::Watching;
use self::sessions::Stream;
pub use self::sessions::{Key, Sessions};
use self::text::Events;
use self::wanted::Query;
use super::entrance::{Caller, Entered};
use super::problem::Problem;
use super::quota::Whose;
use super::state::App;
use crate::auth::Role;

pub use self::text::{Epoch, Place};

/// A client that has missed more records than this is told to fetch the state, which costs less; also one that is
/// connected and does not keep up.
pub const BEHIND_RECORDS_MAX: u64 = 4_096;

/// An update of more bytes than this is in no event: whoever needs it fetches the state.
pub const UPDATE_BYTES_MAX: usize = 1 << 20;

/// What a stream of events is.
const MEDIA_TYPE: &str = "text/event-stream";

/// Events are handed to the socket in chunks of about so many bytes …
const CHUNK_BYTES: usize = 32 << 10;

/// … of which so many may wait for it. What comes after stays in the log.
const CHUNKS_MAX: usize = 2;

/// How long presence is collected after some was told.
const PRESENCE_EVERY: Duration = Duration::from_millis(100);

/// How long edits are collected before the problems that they made or solved are looked for.
const PROBLEMS_EVERY: Duration = Duration::from_millis(500);

/// How soon a client that lost its connection comes back, at least …
const RETRY_MIN: Duration = Duration::from_secs(1);

/// … and how much later at most.
const RETRY_SPREAD: Duration = Duration::from_secs(3);

/// How soon whoever cannot be told anything now comes back.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(5);

/// GET `/api/v1/maps/{map}/events[?events=NAMES][&after=ID][&unknown=empty]`.
///
/// A browser's `EventSource` gives up for good on any answer but 200 (HTML §9.2.3). So where only now is the wrong
/// time, whoever asks for a stream of events gets one that says so, and comes back by itself.
pub async fn events(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    query: String,
    (accept, last_event_id): (Option<String>, Option<String>),
) -> Result<warp::reply::Response, Problem> {
    let told = listen(app, caller, segment, query, last_event_id).await;
    match told {
        Err(problem)
            if problem.is_unavailable() && accept.is_some_and(|a| a.contains(MEDIA_TYPE)) =>
        {
            let mut events = Events::default();
            events.retry(RETRY_UNAVAILABLE);
            events.unavailable(problem.detail());
            let body = events.take().unwrap_or_default();
            Ok(stream_of(warp::reply::Response::new(body.into())))
        }
        told => told,
    }
}

async fn listen(
    app: Arc<App>,
    caller: Caller,
    segment: String,
    query: String,
    last_event_id: Option<String>,
) -> Result<warp::reply::Response, Problem> {
    let Query {
        wanted,
        after,
        if_unknown,
    } = Query::read(&query)?;
    let entered = app.enter(&caller, &segment, if_unknown, Role::Viewer);
    let Entered { room, permit } = entered.await?;
    let places = app.take_places(&room, Whose::of(&permit.who, caller.ip()))?;
    let beginning = room.beginning().await?;
    let store = app.rooms.store().clone();
    let epoch = Epoch::of(store.identity(), room.doc());
    let (out, mut chunks) = mpsc::channel(CHUNKS_MAX);
    let session = app.rooms.next_session();
    let named = app.listeners.open(Stream {
        room: room.clone(),
        session,
    });
    let mut listener = Listener {
        session,
        named,
        place: Place {
            epoch,
            seq: beginning.seq,
        },
        durable: room.durable(),
        heartbeat: Duration::from_secs(app.config.room.keepalive_s),
        room,
        store,
        wanted,
        out,
        events: Events::default(),
        pace: Pace::new(),
        waiting: VecDeque::new(),
        problems: Watching::default(),
        ear: Arc::new(Ear::new(wanted.presence)),
        ended: app.gate.ended(&permit),
    };
    // Who is told no updates has no place to go on from.
    match last_event_id.or(after).filter(|_| wanted.updates) {
        None => listener.begin(&beginning),
        Some(id) => match resumable(&id, epoch, beginning.seq) {
            Ok(place) => listener.resume(place, &beginning),
            Err(why) => listener.begin_anew(&beginning, why),
        },
    }
    let address = caller.address.0;
    let map = listener.room.name().as_str();
    let span = tracing::info_span!("events", session = %listener.session, map, %address);
    let origin = caller.origin(&permit.who, Protocol::Rest);
    let told = async move {
        listener.run(origin).await;
        drop(places);
    };
    app.tasks.spawn(told.instrument(span));
    let body = poll_fn(move |cx| {
        chunks
            .poll_recv(cx)
            .map(|chunk| chunk.map(Ok::<Bytes, std::convert::Infallible>))
    });
    Ok(stream_of(warp::reply::stream(body).into_response()))
}

/// An answer as a stream of events.
fn stream_of(mut response: warp::reply::Response) -> warp::reply::Response {
    let headers = response.headers_mut();
    let text = HeaderValue::from_static(MEDIA_TYPE);
    headers.insert(header::CONTENT_TYPE, text);
    let whole = HeaderValue::from_static("no-cache, no-transform");
    headers.insert(header::CACHE_CONTROL, whole);
    // nginx collects what it passes on unless it is told not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The place that `id` names, if all records after it can be told.
fn resumable(id: &str, epoch: Epoch, head: Seq) -> Result<Place, &'static str> {
    let place: Place = id
        .trim()
        .parse()
        .map_err(|_| "the id is none of this server's")?;
    if place.epoch != epoch || place.seq > head {
        return Err("the id is of another log: the map was made anew, or restored from older data");
    }
    if head.0.saturating_sub(place.seq.0) > BEHIND_RECORDS_MAX {
        return Err("more was missed than events tell");
    }
    Ok(place)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mapweave_proto::DocId;
    use mapweave_storage::Identity;

    use super::*;

    #[test]
    fn an_id_is_resumed_from_only_if_everything_since_can_be_told() {
        let epoch_of = |epoch| {
            let store = [0; 16];
            Epoch::of(Identity { store, epoch }, DocId::from_bytes([5; 16]))
        };
        let epoch = epoch_of(2);
        let id = |epoch, seq| Place { epoch, seq }.to_string();
        let head = Seq(BEHIND_RECORDS_MAX + 9);
        for told in [head, Seq(9)] {
            let place = resumable(&id(epoch, told), epoch, head).unwrap();
            assert_eq!(place.seq, told);
        }
        for lost in [
            id(epoch, Seq(8)),
            id(epoch, head.next()),
            id(epoch_of(1), head),
            String::new(),
        ] {
            assert!(resumable(&lost, epoch, head).is_err(), "{lost}");
        }
    }
}
