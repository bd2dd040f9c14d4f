//! GET `/api/v1/verify[?map=]`: the check of a running store.

use std::sync::Arc;

use serde::Deserialize;
use warp::Reply;

use super::entrance::Caller;
use super::problem::Problem;
use super::state::App;
use crate::auth::Role;
use crate::room;

/// Which map to check; all where none is named.
#[derive(Debug, Default, Deserialize)]
pub struct VerifyQuery {
    map: Option<String>,
}

/// Checks everything stored so far: one map for its owners, all for operators. Takes as long as reading and replaying
/// it takes.
pub async fn verify(
    app: Arc<App>,
    caller: Caller,
    query: VerifyQuery,
) -> Result<impl Reply, Problem> {
    let name = query
        .map
        .as_deref()
        .map(mapweave_proto::MapName::parse)
        .transpose();
    let name = name.map_err(|error| Problem::bad_name(&error))?;
    match &name {
        Some(name) => drop(app.permit(&caller, name, Role::Owner).await?),
        None => drop(app.operator(&caller).await?),
    }
    if let Some(name) = name
        .as_ref()
        .filter(|name| app.rooms.store().map(name).is_none())
    {
        return Err(room::EnterError::Unknown {
            name: (*name).clone(),
        }
        .into());
    }
    let store = app.rooms.store().clone();
    let checking = tokio::task::spawn_blocking(move || {
        tokio::runtime::Handle::current()
            .block_on(async move { room::verify(&store, name.as_ref()).await })
    });
    let verified = checking
        .await
        .map_err(|error| Problem::unavailable(error.to_string()))??;
    Ok(warp::reply::json(&verified))
}
