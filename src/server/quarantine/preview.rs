//! What edits in quarantine would change, tried on a copy of the map.

use bytes::Bytes;
use mapweave_proto::scan;
use serde::Serialize;
use serde_json::Value;
use yrs::Transact;

use super::super::features::feature_text;
use crate::model::{ChangeKind, Changes, Delta, MapView, State, Watch};
use crate::room::{HeldLimits, Kept, Outcome, Refused, Replica};

/// Features of one edit that are shown in full, before and after; of the others only their number is told.
pub const FEATURES_SHOWN_MAX: usize = 1_000;

/// What one edit would change.
#[derive(Debug, Default, Serialize)]
pub struct Preview {
    /// In words.
    pub summary: String,
    /// Whether it builds on edits that are neither in the map nor among those before it.
    pub waits: bool,
    /// The features that it touches, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<Touched>>,
    /// How many more it touches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features_left_out: Option<usize>,
}

/// A feature before and after an edit.
#[derive(Debug, Serialize)]
pub struct Touched {
    fid: String,
    /// What happens to it.
    what: Vec<&'static str>,
    /// GeoJSON; null where it does not show.
    before: Option<Value>,
    after: Option<Value>,
}

/// Whether touched features are told one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// In words only.
    Words,
    /// Each of the last edit's, before and after.
    Features,
}

/// What each of `kept` would change on a map of `state`, one after the other. Takes time and memory in proportion to
/// the map: call it off the runtime's threads.
///
/// # Errors
/// Where the map cannot be copied.
pub fn previews(state: Bytes, kept: &[Kept], detail: Detail) -> Result<Vec<Preview>, Refused> {
    let mut copy = Replica::new(HeldLimits::NONE);
    copy.restore(&scan(state, usize::MAX)?)?;
    let watch = Watch::attach(copy.doc());
    let mut view = MapView::new(&copy.doc().transact());
    let last = kept.len().saturating_sub(1);
    let mut out = Vec::with_capacity(kept.len());
    for (place, kept) in kept.iter().enumerate() {
        let waits = match copy.receive(kept.update.clone(), u64::MAX) {
            Ok(Outcome::Held { .. }) => true,
            Ok(Outcome::Nothing | Outcome::Applied { .. }) => false,
            Err(broken @ Refused::Broken { .. }) => return Err(broken),
            Err(refused) => {
                out.push(Preview {
                    summary: format!("cannot be applied: {refused}"),
                    ..Preview::default()
                });
                continue;
            }
        };
        let delta = watch.take(&copy.doc().transact());
        let of_this = match place == last {
            true => detail,
            false => Detail::Words,
        };
        let mut preview = moved(&mut view, delta, of_this);
        if waits {
            preview.waits = true;
            preview.summary += "; the rest builds on edits that are not in the map";
        }
        out.push(preview);
    }
    Ok(out)
}

/// Moves the view, and says what that changed.
fn moved(view: &mut MapView, delta: Option<Delta>, detail: Detail) -> Preview {
    let Some(delta) = delta else {
        let features = (detail == Detail::Features).then(Vec::new);
        return Preview {
            summary: "changes nothing".to_owned(),
            features,
            ..Preview::default()
        };
    };
    let shown = match detail {
        Detail::Words => 0,
        Detail::Features => FEATURES_SHOWN_MAX,
    };
    let look = |view: &MapView, fid: &str, place: usize| Look {
        state: view.state(fid),
        json: (place < shown).then(|| text(view, fid)).flatten(),
    };
    let fids = delta.fids();
    let before: Vec<Look> = (0..)
        .zip(&fids)
        .map(|(at, fid)| look(view, fid, at))
        .collect();
    let changes = view.apply(delta);
    let mut words = Words::default();
    let mut features = Vec::new();
    for (place, (fid, before)) in fids.iter().zip(before).enumerate() {
        let after = look(view, fid, place);
        let what = what(&changes, fid, before.state, after.state);
        words.count(&what);
        if place < shown {
            features.push(Touched {
                fid: fid.to_string(),
                what,
                before: before.json,
                after: after.json,
            });
        }
    }
    Preview {
        summary: words.told(&changes),
        waits: false,
        features: (detail == Detail::Features).then_some(features),
        features_left_out: (detail == Detail::Features && fids.len() > shown)
            .then(|| fids.len() - shown),
    }
}

struct Look {
    state: Option<State>,
    json: Option<Value>,
}

fn text(view: &MapView, fid: &str) -> Option<Value> {
    let feature = view.feature(fid)?;
    serde_json::from_str(&feature_text(view, feature)).ok()
}

/// What happens to a feature: one word, or the parts of it that change.
fn what(
    changes: &Changes,
    fid: &str,
    before: Option<State>,
    after: Option<State>,
) -> Vec<&'static str> {
    match (before, after) {
        (None, Some(State::Live | State::Contested)) => return vec![ADDED],
        (Some(State::Live | State::Contested), Some(State::Deleted) | None) => {
            return vec![DELETED];
        }
        (Some(State::Deleted), Some(State::Live | State::Contested)) => return vec![RESTORED],
        _ => {}
    }
    let kinds = changes.features.get(fid).into_iter();
    let mut what: Vec<_> = kinds.flat_map(|change| change.kinds()).map(word).collect();
    if after == Some(State::Contested) && before != after {
        what.push("contested deletion");
    }
    what
}

const ADDED: &str = "added";
const DELETED: &str = "deleted";
const RESTORED: &str = "restored";

fn word(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Record => "record",
        ChangeKind::Geometry => "geometry",
        ChangeKind::Properties => "properties",
        ChangeKind::Attributes => "attributes",
        ChangeKind::Deletion => "deletion",
    }
}

/// How many features something happens to.
#[derive(Default)]
struct Words {
    added: usize,
    deleted: usize,
    restored: usize,
    changed: usize,
    parts: std::collections::BTreeSet<&'static str>,
}

impl Words {
    fn count(&mut self, what: &[&'static str]) {
        match what {
            [ADDED] => self.added += 1,
            [DELETED] => self.deleted += 1,
            [RESTORED] => self.restored += 1,
            [] => {}
            parts => {
                self.changed += 1;
                self.parts.extend(parts);
            }
        }
    }

    fn told(&self, changes: &Changes) -> String {
        let parts: Vec<&str> = self.parts.iter().copied().collect();
        let mut told = Vec::new();
        let mut tell = |verb: &str, count: usize, thing: &str, more: &str| {
            if count > 0 {
                let plural = if count == 1 { "" } else { "s" };
                told.push(format!("{verb} {count} {thing}{plural}{more}"));
            }
        };
        tell("adds", self.added, "feature", "");
        tell("deletes", self.deleted, "feature", "");
        tell("restores", self.restored, "feature", "");
        tell(
            "changes",
            self.changed,
            "feature",
            &format!(" ({})", parts.join(", ")),
        );
        tell("writes", changes.layers.len(), "layer", "");
        tell("writes", changes.notes.len(), "note", "");
        tell("writes", changes.attachments.len(), "attachment", "");
        if changes.meta {
            told.push("changes the title or format".to_owned());
        }
        match told.is_empty() {
            true => "changes nothing that is shown".to_owned(),
            false => told.join(", "),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use mapweave_proto::Seq;
    use mapweave_storage::Origin;
    use yrs::{Any, Doc, Map, ReadTxn, StateVector};

    use super::*;

    fn entry(doc: &Doc, root: &str, key: &str, value: &str) -> Kept {
        let map = doc.get_or_insert_map(root);
        let mut txn = doc.transact_mut();
        map.insert(&mut txn, key, Any::from_json(value).unwrap());
        let update = scan(txn.encode_update_v1().into(), usize::MAX).unwrap();
        Kept {
            seq: Seq(1),
            origin: Arc::new(Origin::default()),
            since_ms: 0,
            update,
        }
    }

    fn state(doc: &Doc) -> Bytes {
        doc.transact()
            .encode_diff_v1(&StateVector::default())
            .into()
    }

    #[test]
    fn each_edit_is_told_in_words_and_the_last_with_its_features() {
        let doc = Doc::with_client_id(7);
        let point = r#"[10,"annAnn",1,[8.5,47.5],"{\"name\":\"Well\"}",""]"#;
        entry(&doc, "feat", "well", point);
        let before = state(&doc);
        let kept = [
            entry(
                &doc,
                "note",
                "n1",
                r#"[11,"annAnn","hello",null,null,null]"#,
            ),
            entry(&doc, "feat", "tree", point),
            entry(&doc, "gone", "tree/annAnn", "[12,0]"),
            entry(&doc, "vert", "well/annAnn/0/0.0.U000", "[13,9,48]"),
        ];
        let told = previews(before.clone(), &kept, Detail::Features).unwrap();
        let words: Vec<&str> = told.iter().map(|preview| &*preview.summary).collect();
        assert_eq!(
            words,
            [
                "writes 1 note",
                "adds 1 feature",
                "deletes 1 feature",
                "changes 1 feature (geometry)"
            ]
        );
        assert!(told.iter().all(|preview| !preview.waits));
        let [touched] = &told[3].features.as_ref().unwrap()[..] else {
            panic!("{told:?}")
        };
        assert_eq!(
            (&*touched.fid, &touched.what[..]),
            ("well", &["geometry"][..])
        );
        let place =
            |feature: &Option<Value>| feature.as_ref().unwrap()["geometry"]["coordinates"].clone();
        assert_eq!(place(&touched.before), serde_json::json!([8.5, 47.5]));
        assert_eq!(place(&touched.after), serde_json::json!([9, 48]));
        assert!(told[..3].iter().all(|preview| preview.features.is_none()));

        // The second without the first, on which it builds.
        let told = previews(before, &kept[1..2], Detail::Words).unwrap();
        assert!(told[0].waits && told[0].summary.contains("builds on edits"));
    }
}
