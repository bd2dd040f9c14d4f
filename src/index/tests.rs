//! The index against looking at everything.
#![allow(clippy::unwrap_used)]

use mapweave_proto::Seq;
use proptest::prelude::*;
use serde_json::json;
use yrs::{Any, Doc, Map, Transact, WriteTxn};

use super::*;
use crate::model::{Random, Watch};

/// A document with so many points, some in layers, and who watches it.
fn map_of(seed: u64, features: usize) -> (Doc, Random) {
    let doc = Doc::with_client_id(7);
    let mut random = Random::new(seed);
    for number in 0..features {
        change(&doc, &mut random, &format!("f{number:03}"));
    }
    (doc, random)
}

fn number(value: f64) -> Any {
    Any::Number(value.into())
}

/// One random edit of a feature: made, moved, renamed, put into a layer, deleted or brought back.
fn change(doc: &Doc, random: &mut Random, fid: &str) {
    let mut txn = doc.transact_mut();
    let (lon, lat) = (random.unit() * 360.0 - 180.0, random.unit() * 180.0 - 90.0);
    let time = number((random.bits() % 1_000_000) as f64);
    match random.bits() % 6 {
        0 | 1 => {
            let position = Any::from(vec![number(lon), number(lat)]);
            let kind = random.bits() % 2;
            let coords = if kind == 1 { position } else { Any::Null };
            let record = vec![
                time,
                Any::from("aaaaa"),
                number(kind as f64),
                coords,
                Any::from(json!({ "n": random.bits() % 3 }).to_string()),
                Any::from(""),
            ];
            txn.get_or_insert_map("feat")
                .insert(&mut txn, fid, Any::from(record));
        }
        2 => {
            let entry = Any::from(vec![time, number(lon), number(lat)]);
            txn.get_or_insert_map("vert").insert(
                &mut txn,
                format!("{fid}/bbbbb/0/0.0.U000"),
                entry,
            );
        }
        3 => {
            let entry = Any::from(vec![time, number((random.bits() % 3) as f64)]);
            txn.get_or_insert_map("prop")
                .insert(&mut txn, format!("{fid}/bbbbb/n"), entry);
        }
        4 => {
            let lid = format!("l{}", random.bits() % 2);
            let entry = Any::from(vec![time.clone(), Any::from(lid.as_str())]);
            txn.get_or_insert_map("attr")
                .insert(&mut txn, format!("{fid}/bbbbb/layer"), entry);
            let name = Any::from(vec![time, Any::from("Layer")]);
            let field = if random.bits().is_multiple_of(4) {
                "gone"
            } else {
                "name"
            };
            txn.get_or_insert_map("layer")
                .insert(&mut txn, format!("{lid}/bbbbb/{field}"), name);
        }
        _ => {
            let entry = Any::from(vec![time, number((random.bits() % 2) as f64 * 1e6)]);
            let gone = txn.get_or_insert_map("gone");
            if random.bits().is_multiple_of(2) {
                gone.insert(&mut txn, format!("{fid}/bbbbb"), entry);
            } else {
                gone.remove(&mut txn, &format!("{fid}/bbbbb"));
            }
        }
    }
}

fn fids(index: &FeatureIndex, filter: &Filter) -> Vec<String> {
    let page = index.page(filter, None, usize::MAX).unwrap();
    assert_eq!(page.matched, page.features.len() as u64);
    page.features
        .into_iter()
        .map(|feature| feature.fid)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn an_index_that_follows_answers_as_one_made_anew(seed in any::<u64>(), (west, east) in (-180.0..180.0, -180.0..180.0), n in 0_i32..3) {
        let (doc, mut random) = map_of(seed, 60);
        let watch = Watch::attach(&doc);
        let mut moved = FeatureIndex::new(MapView::new(&doc.transact()), Seq(1));
        for step in 0..80 {
            let fid = format!("f{:03}", random.bits() % 70);
            change(&doc, &mut random, &fid);
            let delta = watch.take(&doc.transact());
            if let Some(delta) = delta {
                moved.apply(delta, Seq(2 + step));
            }
        }
        let view = MapView::new(&doc.transact());
        let all: Vec<Feature> = view.features().collect();
        let mut anew = FeatureIndex::new(view, Seq(99));
        prop_assert_eq!(moved.len(), all.len());
        let bbox = BBox::new(west, -60.0, east, 60.0).unwrap();
        let property = PropertyFilter { name: "n".to_owned(), text: n.to_string(), value: Some(json!(n)) };
        let filters = [
            Filter::default(),
            Filter { bbox: Some(bbox), ..Filter::default() },
            Filter { bbox: Some(bbox), placeless_too: true, ..Filter::default() },
            Filter { properties: vec![property], ..Filter::default() },
        ];
        for filter in &filters {
            let wanted = |feature: &&Feature| {
                let inside = filter.bbox.is_none_or(|bbox| match &feature.geometry {
                    Some(geometry) => geometry.intersects(&bbox),
                    None => filter.placeless_too,
                });
                inside && (filter.properties.is_empty() || feature.properties.get("n").and_then(serde_json::Value::as_f64) == Some(f64::from(n)))
            };
            let expected: Vec<String> = all.iter().filter(wanted).map(|feature| feature.fid.clone()).collect();
            prop_assert_eq!(&fids(&moved, filter), &expected);
            prop_assert_eq!(&fids(&anew, filter), &expected);
        }
        for layer in ["l0", "l1", "Layer"] {
            let filter = Filter { layer: Some(layer.to_owned()), ..Filter::default() };
            let (a, b) = (moved.page(&filter, None, 100), anew.page(&filter, None, 100));
            prop_assert_eq!(a.as_ref().map(|page| page.matched), b.as_ref().map(|page| page.matched));
        }
        while !moved.check_some(7) {}
        anew.check();
        let told = |index: &FeatureIndex| index.problems().iter().map(|(fid, found)| format!("{fid} {found:?}")).collect::<Vec<_>>();
        prop_assert_eq!(told(&moved), told(&anew));
    }

    #[test]
    fn who_hears_of_changed_problems_knows_all_of_them(seed in any::<u64>(), limit in 1_usize..4) {
        let (doc, mut random) = map_of(seed, 20);
        let watch = Watch::attach(&doc);
        let mut index = FeatureIndex::new(MapView::new(&doc.transact()), Seq(1));
        index.check();
        let text = |found: Option<&FeatureProblems>| format!("{:?}", found.cloned().unwrap_or_default());
        let mut told: BTreeMap<String, String> = index.problems().iter().map(|(fid, found)| (fid.to_owned(), text(Some(found)))).collect();
        let mut upto = index.problems().moment();
        for seq in 2..40 {
            let fid = format!("f{:03}", random.bits() % 20);
            change(&doc, &mut random, &fid);
            if let Some(delta) = watch.take(&doc.transact()) {
                index.apply(delta, Seq(seq));
            }
            index.check();
            if random.bits().is_multiple_of(3) {
                continue;
            }
            loop {
                let changes = index.problems().changes_since(&upto, limit).unwrap();
                upto = changes.upto;
                if changes.fids.is_empty() {
                    break;
                }
                for fid in changes.fids {
                    // What changed and changed back is told all the same.
                    let now = text(index.problems().of(&fid));
                    told.insert(fid.to_string(), now);
                }
            }
            let nothing = text(None);
            told.retain(|_, found| *found != nothing);
            let all: BTreeMap<String, String> = index.problems().iter().map(|(fid, found)| (fid.to_owned(), text(Some(found)))).collect();
            prop_assert_eq!(&told, &all);
        }
        let anew = FeatureIndex::new(MapView::new(&doc.transact()), Seq(99));
        prop_assert!(anew.problems().changes_since(&upto, limit).is_none());
    }

    #[test]
    fn pages_put_together_are_the_whole(seed in any::<u64>(), limit in 1_usize..20) {
        let (doc, _) = map_of(seed, 50);
        let index = FeatureIndex::new(MapView::new(&doc.transact()), Seq(1));
        let bbox = Some(BBox::new(-90.0, -90.0, 90.0, 90.0).unwrap());
        for filter in [Filter::default(), Filter { bbox, ..Filter::default() }] {
            let mut after = None;
            let mut seen = Vec::new();
            loop {
                let page = index.page(&filter, after.as_deref(), limit).unwrap();
                prop_assert!(page.features.len() <= limit);
                seen.extend(page.features.iter().map(|feature| feature.fid.clone()));
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            prop_assert_eq!(seen, fids(&index, &filter));
        }
    }
}

#[test]
fn a_layer_that_nobody_made_is_named_with_those_that_there_are() {
    let (doc, _) = map_of(1, 0);
    let index = FeatureIndex::new(MapView::new(&doc.transact()), Seq(1));
    let filter = Filter {
        layer: Some("Roads".to_owned()),
        ..Filter::default()
    };
    let error = index.page(&filter, None, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no layer \"Roads\"; the map has no layers"
    );
}
