use std::sync::Arc;

use mapweave::formats::{ExportFilter, Format, export};
use mapweave::geometry::BBox;
use mapweave::index::{FeatureIndex, Filter};
use mapweave::model::{MapView, Watch};
use mapweave_proto::Seq;
use yrs::{Any, Doc, Map, Text, Transact, TransactionMut, WriteTxn};

use super::Script;
use crate::saw;

/// Roots of a map document, and one that is unknown.
const ROOTS: [&str; 13] = [
    "feat", "geom", "part", "vert", "prop", "attr", "gone", "layer", "text", "note", "file", "who",
    "other",
];

/// Keys that mean something somewhere; pieces of the input make others.
const KEYS: [&str; 16] = [
    "f",
    "g",
    "f/aaaaa",
    "f/bbbbb",
    "f/aaaaa/0/0.0",
    "f/aaaaa/0/0.1",
    "f/aaaaa/0/0.U000abcd",
    "f/aaaaa/0/0.0.U000",
    "f/bbbbb/0/0.0.U000",
    "f/aaaaa/0/0.0.U0005",
    "f/aaaaa/gen1",
    "f/aaaaa/name",
    "f/aaaaa/layer",
    "f/aaaaa/text",
    "l/aaaaa/name",
    "l/aaaaa/gone",
];

/// Steps of one input.
const STEPS_MAX: usize = 24;
/// Levels of a value.
const LEVELS_MAX: usize = 6;
/// Items of an array or object.
const ITEMS_MAX: usize = 7;

/// Any entries under any keys, written, overwritten and removed in any order: the map can be read, indexed, checked
/// and exported, and an index that follows the changes tells the same as one made anew.
///
/// # Panics
/// Where that is not so.
pub fn map_reading(data: &[u8]) {
    let mut script = Script(data);
    let doc = Doc::with_client_id(1);
    let watch = Watch::attach(&doc);
    let mut moved = FeatureIndex::new(MapView::new(&doc.transact()), Seq(1));
    for step in 0..STEPS_MAX {
        let Some(how) = script.byte() else { break };
        let mut txn = doc.transact_mut();
        // Several entries in one transaction, now and then.
        for _ in 0..=how % 3 {
            write(&mut txn, &mut script);
        }
        drop(txn);
        if how & 4 == 0
            && let Some(delta) = watch.take(&doc.transact())
        {
            moved.apply(delta, Seq(2 + step as u64));
        }
    }
    if let Some(delta) = watch.take(&doc.transact()) {
        moved.apply(delta, Seq(99));
    }
    let mut anew = FeatureIndex::new(MapView::new(&doc.transact()), Seq(99));
    moved.check();
    anew.check();
    assert_eq!(
        told(&moved),
        told(&anew),
        "an index that follows tells otherwise"
    );
}

/// Everything that an index tells.
fn told(index: &FeatureIndex) -> String {
    let view = index.view();
    let mut out = format!("{:?}\n", view.report());
    let areas = [
        None,
        BBox::new(-10.0, -10.0, 10.0, 10.0).ok(),
        BBox::new(170.0, -90.0, -170.0, 90.0).ok(),
    ];
    for bbox in areas {
        let filter = Filter {
            bbox,
            ..Filter::default()
        };
        let page = index.page(&filter, None, 100);
        saw(("page", page.as_ref().map_or(0, |page| page.matched.min(3))));
        out += &format!("{page:?}\n");
    }
    let near = index.nearest(&Filter::default(), 0.0, 0.0, 3);
    out += &format!("{near:?}\n");
    for (fid, found) in index.problems().iter() {
        saw(("faults", found.faults.len().min(3)));
        saw(("report", found.report.len().min(3)));
        out += &format!("{fid} {found:?}\n");
        let _ = (view.keyed_geometry(fid), view.property_blame(fid));
    }
    for format in [Format::GeoJson, Format::GeoJsonSeq] {
        let mut file = Vec::new();
        let exported = export(view, format, &ExportFilter::default(), &mut file);
        assert!(exported.is_ok(), "{exported:?}");
        out += &String::from_utf8_lossy(&file);
    }
    out
}

fn write(txn: &mut TransactionMut<'_>, script: &mut Script<'_>) {
    let (Some(root), Some(which)) = (script.byte(), script.byte()) else {
        return;
    };
    let name = ROOTS
        .get(usize::from(root) % ROOTS.len())
        .copied()
        .unwrap_or("feat");
    let own;
    let key = match KEYS.get(usize::from(which & 31)) {
        Some(key) => key,
        None => {
            own = String::from_utf8_lossy(script.piece().unwrap_or_default()).into_owned();
            own.as_str()
        }
    };
    let map = txn.get_or_insert_map(name);
    match which >> 5 {
        0 => drop(map.remove(txn, key)),
        1 => {
            let text = map.insert(txn, key, yrs::TextPrelim::new("a"));
            text.push(txn, "b");
        }
        2 => drop(map.insert(txn, key, yrs::MapPrelim::default())),
        _ => drop(map.insert(txn, key, value(script, 0))),
    }
}

/// A value of any kind, arrays as entries are more often than others.
fn value(script: &mut Script<'_>, level: usize) -> Any {
    let Some(kind) = script.byte() else {
        return Any::Undefined;
    };
    let small = f64::from(script.byte().unwrap_or(0));
    let items = usize::from(kind / 16) % ITEMS_MAX;
    match kind % 16 {
        0 => Any::Null,
        1 => Any::Undefined,
        2 => Any::Bool(small > 1.0),
        3 => Any::from(small - 100.0),
        4 => Any::from((small - 128.0) * 1.5),
        5 => Any::from([f64::NAN, f64::INFINITY, -0.0, 1e308, -1e308, 5e-324][small as usize % 6]),
        6 => Any::from(i64::MIN + small as i64),
        7 => Any::String(String::from_utf8_lossy(script.piece().unwrap_or_default()).into()),
        8 => Any::Buffer(script.piece().unwrap_or_default().into()),
        9 => Any::from(
            [
                "aaaaa",
                "{}",
                r#"{"a":1e400}"#,
                r#"{"name":"x","n":[1,{}]}"#,
                "l",
                "",
            ][small as usize % 6],
        ),
        10 => Any::from(
            // A square, packed (`map-document` §4).
            Arc::<[u8]>::from([
                0x01, 0x01, 0x01, 0x03, 0xaa, 0x01, 0xb2, 0x07, 0x02, 0x00, 0x00, 0x02,
            ]),
        ),
        11 if level < LEVELS_MAX => {
            let members = (0..items).map(|n| (format!("k{n}"), value(script, level + 1)));
            Any::from(members.collect::<std::collections::HashMap<_, _>>())
        }
        // A feature's record as it should be, but for its coordinates.
        12 => {
            let coords = if level < LEVELS_MAX {
                value(script, level + 1)
            } else {
                Any::Null
            };
            let kind = Any::from(small % 9.0);
            Any::from(vec![
                Any::from(7.0),
                Any::from("aaaaa"),
                kind,
                coords,
                Any::from("{}"),
                Any::from("l"),
            ])
        }
        _ if level < LEVELS_MAX => {
            let mut all = vec![Any::from(small)];
            all.extend((0..items).map(|_| value(script, level + 1)));
            Any::from(all)
        }
        _ => Any::Null,
    }
}
