//! A feature's geometry while it can still be edited: segments and vertices with their names (`map-document` §6.2–4).

use std::borrow::Cow;
use std::cmp::Ordering;

use yrs::Any;

use super::entry::Overlays;
use super::json::{number, text};
use super::key::{IMPLICIT_KEYS_MAX, compare_implicit, implicit, index_of_implicit, is_key};
use super::pack::unpack;
use super::record::Record;
use super::schema::{Address, Root, integer, is_place, place_order};
use crate::geometry::{Coords, Dims, Element, Found, Kind, Part, Segment, Shape};

/// The geometry that counts: the record's, or the latest that replaced it.
#[derive(Clone, Debug)]
pub(super) struct Current<'r> {
    pub(super) generation: &'r str,
    pub(super) t: u64,
    /// Who made it.
    pub(super) sid: &'r str,
    pub(super) kind: i64,
    pub(super) coords: &'r Any,
    /// How many replacements there are; more than one is a conflict.
    pub(super) replacements: usize,
}

impl<'r> Current<'r> {
    pub(super) fn of<'k: 'r>(record: &'r Record, overlays: &'r Overlays<'k>) -> Self {
        let mut replacements = 0;
        let mut best = None;
        for (generation, slot) in overlays.targets(Root::Geom) {
            replacements += slot.entries.len();
            best = best.max(
                slot.entries
                    .iter()
                    .map(|entry| Rank(entry.t, generation, entry.sid, entry.payload()))
                    .max(),
            );
        }
        match best {
            Some(Rank(t, generation, sid, [kind, coords])) => Self {
                generation,
                t,
                sid,
                kind: integer(kind).unwrap_or_default(),
                coords,
                replacements,
            },
            _ => Self {
                generation: &record.generation,
                t: record.t,
                sid: &record.sid,
                kind: record.kind,
                coords: &record.coords,
                replacements,
            },
        }
    }

    /// The type, if it is one of the six whose vertices can be edited.
    pub(super) fn shape_kind(&self) -> Option<Kind> {
        Kind::from_number(self.kind)
    }

    /// The base shape; `None` for other kinds and malformed coordinates.
    pub(super) fn shape(&self) -> Option<Shape> {
        let kind = self.shape_kind()?;
        let shape = match self.coords {
            Any::Buffer(bytes) => {
                let (dims, parts) = unpack(bytes)?;
                Shape::new(kind, dims, parts)?
            }
            Any::Array(_) => Shape::from_stored(kind, &coords(self.coords))?,
            _ => return None,
        };
        shape
            .parts()
            .iter()
            .flatten()
            .all(|segment| has_keys(segment, shape.dims()))
            .then_some(shape)
    }
}

/// Orders replacements: time, generation, session.
struct Rank<'r>(u64, &'r str, &'r str, &'r [Any]);

impl Rank<'_> {
    fn key(&self) -> (u64, &str, &str) {
        (self.0, self.1, self.2)
    }
}

impl PartialEq for Rank<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Rank<'_> {}

impl PartialOrd for Rank<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// The name of a vertex in its segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum VertexKey<'r> {
    /// The base vertex with this index.
    Implicit(usize),
    /// A key that an entry gives.
    Given(&'r str),
}

impl<'r> VertexKey<'r> {
    /// The order key.
    pub(super) fn text(&self) -> Cow<'r, str> {
        match self {
            Self::Implicit(index) => Cow::Owned(implicit(*index).unwrap_or_default()),
            Self::Given(key) => Cow::Borrowed(key),
        }
    }
}

/// A segment after its edits.
#[derive(Clone, Debug)]
pub(super) struct Named<'r> {
    pub(super) part: Cow<'r, str>,
    pub(super) segment: Cow<'r, str>,
    pub(super) numbers: Segment,
    /// One per vertex; `None` if the vertices are exactly the base ones.
    keys: Option<Vec<VertexKey<'r>>>,
}

impl<'r> Named<'r> {
    /// The name of the vertex with this index.
    pub(super) fn key(&self, index: usize) -> VertexKey<'r> {
        self.keys
            .as_ref()
            .and_then(|keys| keys.get(index).cloned())
            .unwrap_or(VertexKey::Implicit(index))
    }

    /// Whether no vertex was edited.
    pub(super) fn is_base(&self) -> bool {
        self.keys.is_none()
    }

    /// The index of the vertex with this key.
    pub(super) fn index_of(&self, key: &str) -> Option<usize> {
        match &self.keys {
            // Keys ascend.
            Some(keys) => keys.binary_search_by(|other| (*other.text()).cmp(key)).ok(),
            None => index_of_implicit(key),
        }
    }

    /// `gen/P.S`
    pub(super) fn target(&self, generation: &str) -> String {
        format!("{generation}/{}.{}", self.part, self.segment)
    }
}

/// Parts in order, each a non-empty list of segments in order.
pub(super) type Structure<'r> = Vec<Vec<Named<'r>>>;

/// The segments and vertices of the current generation.
pub(super) fn structure<'r, 'k: 'r>(
    current: &Current<'r>,
    shape: &Shape,
    overlays: &'r Overlays<'k>,
) -> Structure<'r> {
    let prefix = format!("{}/", current.generation);
    let mut segments: Vec<Named<'r>> = Vec::new();
    for (p, part) in shape.parts().iter().enumerate() {
        for (s, numbers) in part.iter().enumerate() {
            let named = Named {
                part: p.to_string().into(),
                segment: s.to_string().into(),
                numbers: numbers.clone(),
                keys: None,
            };
            let removed = overlays.slot(Root::Part, &named.target(current.generation));
            if removed.is_none_or(|slot| slot.entries.is_empty()) {
                segments.push(named);
            }
        }
    }
    for (target, slot) in overlays.targets_from(Root::Part, &prefix) {
        let Some(address) = Address::split(Root::Part, target) else {
            continue;
        };
        let places = is_place(address.part) && is_place(address.segment);
        if !places || is_base(shape, &address) {
            continue;
        }
        if let Some(numbers) = slot
            .value()
            .flatten()
            .and_then(|value| added(value, shape.dims()))
        {
            let (part, segment) = (address.part.into(), address.segment.into());
            segments.push(Named {
                part,
                segment,
                numbers,
                keys: None,
            });
        }
    }
    segments.sort_by(|a, b| {
        let order = |named: &Named<'r>| (place_order(&named.part).0, place_order(&named.segment).0);
        let (a_order, b_order) = (order(a), order(b));
        (
            a_order.0,
            place_order(&a.part).1,
            a_order.1,
            place_order(&a.segment).1,
        )
            .cmp(&(
                b_order.0,
                place_order(&b.part).1,
                b_order.1,
                place_order(&b.segment).1,
            ))
    });
    let mut parts: Structure<'r> = Vec::new();
    for mut named in segments {
        edit_vertices(&mut named, current.generation, shape.dims(), overlays);
        match parts
            .last_mut()
            .filter(|part| part.first().is_some_and(|first| first.part == named.part))
        {
            Some(part) => part.push(named),
            None => parts.push(vec![named]),
        }
    }
    parts
}

/// Whether the base shape has a segment of this name, so that no other can be added under it.
pub(super) fn is_base(shape: &Shape, address: &Address<'_>) -> bool {
    let index = |name: &str| name.parse::<usize>().ok().filter(|_| is_place(name));
    let part = index(address.part).and_then(|part| shape.parts().get(part));
    part.zip(index(address.segment))
        .is_some_and(|(part, segment)| segment < part.len())
}

/// The vertices of an added segment: packed, one part, one segment, of the shape's dimensions.
fn added(value: &Any, dims: Dims) -> Option<Segment> {
    let Any::Buffer(bytes) = value else {
        return None;
    };
    let (found, parts) = unpack(bytes)?;
    let mut segments = parts.into_iter();
    let (Some(part), None) = (segments.next(), segments.next()) else {
        return None;
    };
    let mut segments = part.into_iter();
    let (Some(segment), None) = (segments.next(), segments.next()) else {
        return None;
    };
    (found == dims && has_keys(&segment, dims))
        .then(|| segment.into_iter().map(|number| number + 0.0).collect())
}

/// Whether every vertex has an implicit key; vertices beyond the key space could not be told apart.
fn has_keys(segment: &Segment, dims: Dims) -> bool {
    let keys_max = usize::try_from(IMPLICIT_KEYS_MAX).unwrap_or(usize::MAX);
    segment.len() / dims.numbers() <= keys_max
}

/// Overlays a segment's base vertices with the winners of `vert`.
fn edit_vertices<'r, 'k: 'r>(
    named: &mut Named<'r>,
    generation: &str,
    dims: Dims,
    overlays: &'r Overlays<'k>,
) {
    let prefix = format!("{}.", named.target(generation));
    let mut edits = overlays
        .targets_from(Root::Vert, &prefix)
        .filter_map(|(target, slot)| {
            let key = target.get(prefix.len()..).filter(|key| is_key(key))?;
            Some((key, slot.winner()?.payload()))
        });
    let Some(first) = edits.next() else { return };
    let base = std::mem::take(&mut named.numbers);
    let mut keys = Vec::with_capacity(base.len() / dims.numbers() + 1);
    let mut base = base.chunks_exact(dims.numbers()).enumerate();
    let mut vertex = base.next();
    let mut edit = Some(first);
    // Both sequences ascend; equal keys mean that the edit replaces the base vertex.
    loop {
        let base_first = match (&vertex, &edit) {
            (Some((index, _)), Some((edited, _))) => compare_implicit(*index, edited),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        if let Some((index, numbers)) = vertex.filter(|_| base_first.is_le()) {
            if base_first.is_lt() {
                keys.push(VertexKey::Implicit(index));
                named.numbers.extend_from_slice(numbers);
            }
            vertex = base.next();
        }
        if let Some((key, payload)) = edit.filter(|_| base_first.is_ge()) {
            if !payload.is_empty() {
                keys.push(VertexKey::Given(key));
                let numbers = payload.iter().filter_map(number).map(|number| number + 0.0);
                named
                    .numbers
                    .extend(numbers.chain(std::iter::repeat(0.0)).take(dims.numbers()));
            }
            edit = edits.next();
        }
    }
    named.keys = Some(keys);
}

/// Stored plain coordinates; four levels of arrays are the most that any kind has, so deeper ones need no reading.
fn coords(any: &Any) -> Coords {
    const LEVELS_MAX: usize = 5;
    fn element(any: &Any, levels: usize) -> Element {
        match (any, levels.checked_sub(1)) {
            (Any::Array(items), Some(levels)) => Element::Other(Coords::array(
                items.iter().map(|item| element(item, levels)),
            )),
            _ => number(any).map_or(Element::Other(Coords::Odd(Found::Object)), Element::Number),
        }
    }
    element(any, LEVELS_MAX).into()
}

/// The JSON of a geometry of kind 7; `None` if it is malformed.
pub(super) fn other_geometry(coords: &Any) -> Option<serde_json::Value> {
    super::json::parse(text(coords)?).filter(serde_json::Value::is_object)
}

/// All parts' numbers in one list of vertices.
pub(super) fn concatenated(segments: &[Named<'_>]) -> Segment {
    segments
        .iter()
        .flat_map(|named| named.numbers.iter().copied())
        .collect()
}

/// A structure's numbers without its names.
pub(super) fn numbers(structure: Structure<'_>) -> Vec<Part> {
    structure
        .into_iter()
        .map(|part| part.into_iter().map(|named| named.numbers).collect())
        .collect()
}
