//! One feature from its record and what overlays it (`map-document` §6, §8). Pure: the same content gives the same
//! feature on every replica.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::entry::Overlays;
use super::feature::{Edited, State};
use super::json::{from_any, number, text};
use super::record::Record;
use super::schema::Root;
use super::structure::{Current, Structure, concatenated, numbers, other_geometry, structure};
use crate::geometry::{Dims, Geometry, Kind, Part, Shape};

/// `attr` whose value is the JSON text of the GeoJSON feature's foreign members (RFC 7946 §6.1); other readers of
/// the document keep and ignore it.
pub(super) const MEMBERS: &str = "members";

/// What is wrong with a geometry that is read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Note {
    /// The coordinates are malformed: there is no geometry.
    Malformed,
    /// A ring of fewer than 3 vertices or a line of fewer than 2 was left out.
    Degenerate,
    /// The rings of a part without exterior were left out.
    NoExterior,
}

/// Live, deleted or contested: by the sum that the deleter saw against the present one (`map-document` §8).
pub(super) fn state(overlays: &Overlays<'_>) -> State {
    let deletions = overlays
        .slot(Root::Gone, "")
        .map(|slot| &slot.entries[..])
        .unwrap_or_default();
    if deletions.is_empty() {
        return State::Live;
    }
    let seen = overlays.seen() as f64;
    let knew = deletions
        .iter()
        .any(|entry| entry.payload().first().and_then(number) == Some(seen));
    if knew {
        State::Deleted
    } else {
        State::Contested
    }
}

/// The geometry that shows, and what had to be left out of it.
pub(super) fn geometry(record: &Record, overlays: &Overlays<'_>) -> (Option<Geometry>, Vec<Note>) {
    let current = Current::of(record, overlays);
    match current.kind {
        0 => return (None, Vec::new()),
        7 => {
            let other = other_geometry(current.coords).map(Geometry::Other);
            let notes = if other.is_none() {
                vec![Note::Malformed]
            } else {
                Vec::new()
            };
            return (other, notes);
        }
        _ => {}
    }
    let Some(shape) = current.shape() else {
        return (None, vec![Note::Malformed]);
    };
    let structure = structure(&current, &shape, overlays);
    let mut notes = Vec::new();
    let shape = shown(shape.kind(), shape.dims(), structure, &mut notes);
    (shape.map(Geometry::Shape), notes)
}

/// The shape that edited segments amount to (`map-document` §6.5).
pub(super) fn shown(
    kind: Kind,
    dims: Dims,
    structure: Structure<'_>,
    notes: &mut Vec<Note>,
) -> Option<Shape> {
    let degenerate = |notes: &mut Vec<Note>| {
        notes.push(Note::Degenerate);
        None
    };
    let least = |count: usize| count * dims.numbers();
    match kind {
        Kind::Point => match structure
            .first()
            .and_then(|part| part.first()?.numbers.get(..dims.numbers()))
        {
            Some(vertex) => Shape::new(kind, dims, vec![vec![vertex.to_vec()]]),
            None => degenerate(notes),
        },
        Kind::LineString | Kind::MultiPoint => {
            let line: Vec<f64> = structure
                .iter()
                .flat_map(|part| concatenated(part))
                .collect();
            if line.len() < least(if kind == Kind::LineString { 2 } else { 1 }) {
                return degenerate(notes);
            }
            Shape::new(kind, dims, vec![vec![line]])
        }
        Kind::MultiLineString => {
            let mut lines = Vec::new();
            for line in structure.iter().map(|part| concatenated(part)) {
                if line.len() < least(2) {
                    notes.push(Note::Degenerate);
                } else {
                    lines.push(vec![line]);
                }
            }
            if lines.is_empty() {
                None
            } else {
                Shape::new(kind, dims, lines)
            }
        }
        Kind::Polygon | Kind::MultiPolygon => {
            let (with, without): (Structure<'_>, Structure<'_>) = structure
                .into_iter()
                .partition(|part| part.first().is_some_and(|first| first.segment == "0"));
            notes.extend(without.iter().map(|_| Note::NoExterior));
            let parts: Vec<Part> = numbers(with)
                .into_iter()
                .filter_map(|rings| closed(rings, least(3), notes))
                .collect();
            let kind = if parts.len() > 1 {
                Kind::MultiPolygon
            } else {
                kind
            };
            if parts.is_empty() {
                None
            } else {
                Shape::new(kind, dims, parts)
            }
        }
    }
}

/// The rings that have enough vertices; none if the exterior has not.
fn closed(rings: Part, least: usize, notes: &mut Vec<Note>) -> Option<Part> {
    if rings.first().is_none_or(|exterior| exterior.len() < least) {
        notes.push(Note::Degenerate);
        return None;
    }
    let (whole, short): (Part, Part) = rings.into_iter().partition(|ring| ring.len() >= least);
    notes.extend(short.iter().map(|_| Note::Degenerate));
    Some(whole)
}

/// The properties that show, sorted by name.
pub(super) fn properties(record: &Record, overlays: &Overlays<'_>) -> Map<String, Value> {
    let base = record.properties().unwrap_or_default();
    if overlays.is_empty() {
        return base;
    }
    let mut shown: BTreeMap<String, Value> = base.into_iter().collect();
    for (name, slot) in overlays.targets(Root::Prop) {
        match slot.value() {
            Some(Some(value)) => drop(shown.insert(name.to_owned(), from_any(value))),
            Some(None) => drop(shown.remove(name)),
            None => {}
        }
    }
    for name in overlays.texts().keys() {
        if let Some(text) = text_of(overlays, name) {
            shown.insert((*name).to_owned(), Value::String(text));
        }
    }
    shown.into_iter().collect()
}

/// The non-empty texts of a name in order of session, joined by a blank line (`map-document` §9).
pub(super) fn text_of(overlays: &Overlays<'_>, name: &str) -> Option<String> {
    let mut texts: Vec<_> = overlays
        .texts()
        .get(name)?
        .iter()
        .filter(|(_, text)| !text.is_empty())
        .collect();
    texts.sort_unstable_by_key(|(sid, _)| *sid);
    let texts: Vec<&str> = texts.iter().map(|(_, text)| &**text).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// The value of an attribute that is a text.
pub(super) fn attribute(overlays: &Overlays<'_>, name: &str) -> Option<String> {
    overlays
        .slot(Root::Attr, name)?
        .value()?
        .and_then(text)
        .map(ToString::to_string)
}

/// The layer that the feature says it is in, known or not.
pub(super) fn layer(record: &Record, overlays: &Overlays<'_>) -> String {
    attribute(overlays, "layer").unwrap_or_else(|| record.lid.to_string())
}

/// Foreign members of the GeoJSON feature, sorted by name.
pub(super) fn members(overlays: &Overlays<'_>) -> Map<String, Value> {
    match attribute(overlays, MEMBERS)
        .as_deref()
        .and_then(super::json::parse)
    {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// The latest edit: the greatest time among the feature's live entries, or its creation.
pub(super) fn changed(record: &Record, overlays: &Overlays<'_>) -> Edited {
    let created = (record.t, &*record.sid);
    let (t, sid) = overlays
        .latest()
        .map_or(created, |latest| latest.max(created));
    Edited {
        t,
        sid: sid.to_owned(),
    }
}
