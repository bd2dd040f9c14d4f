//! `/sync` and `/api/v1/upstream`: where other Mapweaves come to exchange maps, and how that stands.

use std::sync::Arc;

use serde_json::json;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tracing::Instrument;
use warp::Reply;
use warp::hyper::upgrade::OnUpgrade;

use super::entrance::Caller;
use super::problem::Problem;
use super::socket::{Request, upgraded};
use super::state::{App, SocketPlace};
use crate::auth::{Permit, RelayPermit};
use crate::relay::Way;
use crate::relay::connection::{self, Counted, Terms, Until, socket_config};

/// Answers a request for a relay's socket.
pub async fn upgrade(
    app: Arc<App>,
    caller: Caller,
    request: Request,
) -> Result<warp::reply::Response, Problem> {
    let answer = request.handshake()?;
    let RelayPermit { permit, patterns } = app.gate.relay(caller.token(), caller.ip()).await?;
    app.check_writable()?;
    let (place, on_upgrade) = (app.take_socket_place()?, request.upgradable()?);
    let terms = Terms {
        via: match permit.who.id.as_str() {
            "" => caller.ip().to_string(),
            id => id.to_owned(),
        },
        allow: Arc::new(move |name| patterns.iter().any(|pattern| pattern.matches(name))),
        bytes_per_s: None,
        until: Until::Ever,
    };
    let span = tracing::info_span!("relay", address = %caller.address.0);
    let task = Box::pin(run(app.clone(), place, on_upgrade, terms, permit));
    app.tasks.spawn(task.instrument(span));
    Ok(answer.map(|()| warp::hyper::body::Bytes::new().into()))
}

async fn run(
    app: Arc<App>,
    place: SocketPlace,
    on_upgrade: OnUpgrade,
    terms: Terms,
    permit: Permit,
) {
    let Some((stream, early)) = upgraded(on_upgrade).await else {
        return;
    };
    let socket = WebSocketStream::from_partially_read(
        Counted::new(stream),
        early.to_vec(),
        Role::Server,
        Some(socket_config()),
    );
    let socket = socket.await;
    let post = app.relay.board.post(Way::Downstream, &terms.via);
    let stop = async {
        tokio::select! {
            () = app.stop.cancelled() => "the server is stopping".to_owned(),
            why = app.gate.ended(&permit) => why.text().to_string(),
        }
    };
    tracing::info!(via = terms.via, "a relay is here");
    let ended = connection::run(&app.relay, socket, &terms, &post, stop).await;
    tracing::info!(via = terms.via, why = %ended, "a relay is gone");
    drop(place);
}

/// GET `/api/v1/upstream`: the connection to head office, for everybody with a token; for operators also the relays that
/// came here, and the names of maps.
pub async fn status(app: Arc<App>, caller: Caller) -> Result<impl Reply, Problem> {
    let operator = app.passport(&caller).await?.is_operator();
    let (mut upstream, mut relays): (Vec<_>, Vec<_>) = app
        .relay
        .board
        .all()
        .into_iter()
        .partition(|status| status.way == Way::Upstream);
    if !operator {
        relays.clear();
        upstream
            .iter_mut()
            .for_each(|status| status.waiting.clear());
    }
    Ok(warp::reply::json(
        &json!({ "upstream": upstream.first(), "relays": relays }),
    ))
}

/// What `/metrics` tells of relays.
pub fn gauges(app: &App) {
    let all = app.relay.board.all();
    for way in [Way::Upstream, Way::Downstream] {
        let label = match way {
            Way::Upstream => "upstream",
            Way::Downstream => "downstream",
        };
        let here = all.iter().filter(|status| status.way == way);
        let (mut connected, mut to_send, mut to_get) = (0.0, 0.0, 0.0);
        for status in here {
            connected += f64::from(u8::from(status.connected));
            to_send += status.behind_out as f64;
            to_get += status.behind_in as f64;
        }
        metrics::gauge!("mapweave_relay_connected", "way" => label).set(connected);
        metrics::gauge!("mapweave_relay_behind_records", "way" => label, "of" => "here")
            .set(to_send);
        metrics::gauge!("mapweave_relay_behind_records", "way" => label, "of" => "there")
            .set(to_get);
    }
}
