//! An older version of a map, found again in its log for an edit that is based on it.

use std::sync::Arc;

use mapweave_proto::DocId;
use mapweave_storage::UpdateLog;
use tokio::sync::{Semaphore, SemaphorePermit};
use yrs::Transact;

use super::super::problem::Problem;
use super::answer::feature_text;
use super::etag::Tag;
use crate::model::MapView;
use crate::room;

/// Older versions in memory at once, each a whole map; further requests wait.
const BASES_MAX: usize = 2;
static PLACES: Semaphore = Semaphore::const_new(BASES_MAX);

/// A map as it was when a feature had a certain version.
pub struct Base {
    /// The version.
    pub tag: Tag,
    /// The whole map then.
    pub view: MapView,
    _place: SemaphorePermit<'static>,
}

/// The map as of the place that `tag` names, if the feature was as `tag` says. Takes time in proportion to the map
/// and the records since its last snapshot before.
///
/// # Errors
/// Where the log cannot be read.
pub async fn find(
    store: &Arc<dyn UpdateLog>,
    doc: DocId,
    fid: &str,
    tag: &Tag,
) -> Result<Option<Base>, Problem> {
    let unavailable = |why: String| Problem::unavailable(why);
    let head = store
        .head(doc)
        .map_err(|error| unavailable(error.to_string()))?;
    if head.is_none_or(|head| tag.seq > head.last) {
        return Ok(None);
    }
    // Held by the work, which goes on when nobody waits for it any more.
    let place = PLACES.acquire().await;
    let place = place.map_err(|error| unavailable(error.to_string()))?;
    let (store, fid, tag) = (store.clone(), fid.to_owned(), tag.clone());
    let found = tokio::task::spawn_blocking(move || {
        tokio::runtime::Handle::current().block_on(async move {
            let fetched = room::fetch_upto(store.as_ref(), doc, tag.seq).await?;
            let loaded = room::build(store.as_ref(), fetched).await?;
            let view = MapView::new(&loaded.replica.doc().transact());
            let then = view
                .feature(&fid)
                .map(|feature| Tag::new(tag.seq, &feature_text(&view, feature)));
            Ok::<_, room::LoadError>(then.filter(|then| then.is_same(&tag)).map(|tag| Base {
                tag,
                view,
                _place: place,
            }))
        })
    });
    match found.await {
        Ok(Ok(base)) => Ok(base),
        Ok(Err(error)) => Err(unavailable(error.to_string())),
        Err(error) => Err(unavailable(format!(
            "the older version could not be read: {error}"
        ))),
    }
}
