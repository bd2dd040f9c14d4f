//! Who did what when: per vertex and per property, from the entries themselves.
//!
//! [`MapView::keyed_geometry`] also names every vertex by its key, which is what operations take, and
//! [`KeyedGeometry::locate`] leads there from the indices of a [`Shape`](crate::geometry::Shape) that was checked.

use serde_json::Value;
use yrs::Any;

use super::entry::{Entry, Overlays, Slot};
use super::feature::Edited;
use super::json::from_any;
use super::read;
use super::record::Record;
use super::schema::{LAYER, Root};
use super::structure::{Current, Named, structure};
use super::view::MapView;
use crate::geometry::{Dims, Kind};

/// A feature's geometry with the names of its segments and vertices, and who set them.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedGeometry {
    /// The type of the base; a polygon with several parts shows as a multipolygon.
    pub kind: Kind,
    /// Numbers per vertex.
    pub dims: Dims,
    /// The name of this geometry; replacing it makes another.
    pub generation: String,
    /// Who drew or imported it as a whole.
    pub set: Edited,
    /// All segments in order, those too that do not show because they have too few vertices.
    pub segments: Vec<KeyedSegment>,
}

/// A ring, a line or a piece of one, or a group of points.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedSegment {
    /// `P`
    pub part: String,
    /// `S`
    pub segment: String,
    /// Who drew it.
    pub set: Edited,
    /// Its vertices in order, without the repeated last position of a ring.
    pub vertices: Vec<KeyedVertex>,
}

/// A vertex.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedVertex {
    /// Its order key.
    pub key: String,
    /// Longitude, latitude and perhaps height.
    pub position: Vec<f64>,
    /// Who put it where it is.
    pub set: Edited,
    /// What sessions say about it, the one that shows first; more than one is a conflict, none a vertex never edited.
    pub versions: Vec<Version>,
}

/// What one session says about a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// When and who.
    pub set: Edited,
    /// The value: of `vert` the numbers of the position, of `geom` the kind and the stored coordinates; `None` where
    /// it says "removed". Bytes, as packed coordinates, are `null`.
    pub value: Option<Value>,
}

/// A property, and who set it.
#[derive(Clone, Debug, PartialEq)]
pub struct PropertyBlame {
    /// Its name.
    pub name: String,
    /// What shows; `None` if it was removed.
    pub value: Option<Value>,
    /// Who set, removed or typed it last, or made the feature with it.
    pub set: Edited,
    /// What sessions say about it, the one that shows first; more than one is a conflict, none a property never set.
    pub versions: Vec<Version>,
}

impl KeyedSegment {
    /// `P.S`, as operations name it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.part, self.segment)
    }
}

impl KeyedGeometry {
    /// The vertex that stands at these indices (part, segment, vertex) of the shape that shows.
    #[must_use]
    pub fn locate(
        &self,
        part: usize,
        segment: usize,
        vertex: usize,
    ) -> Option<(&KeyedSegment, &KeyedVertex)> {
        let mut left = vertex;
        for piece in self.shown(part, segment)? {
            match piece.vertices.get(left) {
                Some(vertex) => return Some((piece, vertex)),
                None => left = left.checked_sub(piece.vertices.len())?,
            }
        }
        None
    }

    /// The segments that make up one segment of the shape that shows (`map-document` §6.5).
    fn shown(&self, part: usize, segment: usize) -> Option<Vec<&KeyedSegment>> {
        let whole = |parts: &[&KeyedSegment], least: usize| {
            parts
                .iter()
                .map(|piece| piece.vertices.len())
                .sum::<usize>()
                >= least
        };
        let mut parts = self.segments.chunk_by(|a, b| a.part == b.part);
        match self.kind {
            Kind::Point | Kind::LineString | Kind::MultiPoint => {
                ((part, segment) == (0, 0)).then(|| self.segments.iter().collect())
            }
            Kind::MultiLineString => {
                let lines = parts.map(|part| part.iter().collect::<Vec<_>>());
                let mut lines = lines.filter(|line| whole(line, 2));
                lines.nth(part).filter(|_| segment == 0)
            }
            Kind::Polygon | Kind::MultiPolygon => {
                let rings = parts
                    .by_ref()
                    .filter(|part| {
                        let exterior = part.first();
                        exterior.is_some_and(|ring| ring.segment == "0" && whole(&[ring], 3))
                    })
                    .nth(part)?;
                let mut rings = rings.iter().filter(|ring| whole(&[ring], 3));
                Some(vec![rings.nth(segment)?])
            }
        }
    }
}

impl MapView {
    /// A feature's geometry with the names of its vertices; `None` for an unknown feature and for geometries without
    /// vertices of their own. Reads deleted features too.
    #[must_use]
    pub fn keyed_geometry(&self, fid: &str) -> Option<KeyedGeometry> {
        let record = self.record(fid)?;
        let overlays = self.overlays(fid);
        let current = Current::of(&record, &overlays);
        let shape = current.shape()?;
        let set = Edited {
            t: current.t,
            sid: current.sid.to_owned(),
        };
        let structure = structure(&current, &shape, &overlays);
        let segments = structure
            .iter()
            .flatten()
            .map(|named| keyed(named, current.generation, shape.dims(), &set, &overlays));
        Some(KeyedGeometry {
            kind: shape.kind(),
            dims: shape.dims(),
            generation: current.generation.to_owned(),
            segments: segments.collect(),
            set,
        })
    }

    /// Every property of a feature that shows or about which a session says something, by name. None for an unknown
    /// feature.
    #[must_use]
    pub fn property_blame(&self, fid: &str) -> Vec<PropertyBlame> {
        let Some(record) = self.record(fid) else {
            return Vec::new();
        };
        let overlays = self.overlays(fid);
        let shown = read::properties(&record, &overlays);
        let set = overlays.targets(Root::Prop);
        let set = set.filter(|(_, slot)| !slot.entries.is_empty());
        let mut names: Vec<&str> = shown.keys().map(String::as_str).collect();
        names.extend(set.map(|(name, _)| name));
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .map(|name| {
                let slot = overlays.slot(Root::Prop, name);
                PropertyBlame {
                    name: name.to_owned(),
                    value: shown.get(name).cloned(),
                    set: property_author(name, &record, slot, &overlays),
                    versions: versions(Root::Prop, slot),
                }
            })
            .collect()
    }

    /// What sessions say about one target, the one that shows first. `id` is a feature's, or a layer's where `root` is
    /// `layer`; no versions for other names. A conflict panel shows these, and an operation of the kind settle names
    /// one of them.
    #[must_use]
    pub fn versions(&self, root: &str, id: &str, target: &str) -> Vec<Version> {
        if root == LAYER {
            return versions(Root::Attr, self.targets_of_layer(id).get(target));
        }
        let known = Root::ALL.into_iter().find(|known| known.name() == root);
        known.map_or_else(Vec::new, |root| {
            versions(root, self.overlays(id).slot(root, target))
        })
    }
}

fn keyed(
    named: &Named<'_>,
    generation: &str,
    dims: Dims,
    base: &Edited,
    overlays: &Overlays<'_>,
) -> KeyedSegment {
    let target = named.target(generation);
    let drawn = overlays
        .slot(Root::Part, &target)
        .and_then(Slot::winner)
        .map_or_else(|| base.clone(), edited);
    let positions = named.numbers.chunks_exact(dims.numbers()).enumerate();
    let vertices = positions.map(|(index, position)| {
        let key = named.key(index).text().into_owned();
        let slot = if named.is_base() {
            None
        } else {
            overlays.slot(Root::Vert, &format!("{target}.{key}"))
        };
        KeyedVertex {
            key,
            position: position.to_vec(),
            set: slot
                .and_then(Slot::winner)
                .map_or_else(|| drawn.clone(), edited),
            versions: versions(Root::Vert, slot),
        }
    });
    KeyedSegment {
        part: named.part.to_string(),
        segment: named.segment.to_string(),
        vertices: vertices.collect(),
        set: drawn,
    }
}

/// Typing counts where a text shows, as far as typists noted their spells.
fn property_author(
    name: &str,
    record: &Record,
    slot: Option<&Slot<'_>>,
    overlays: &Overlays<'_>,
) -> Edited {
    let typed = || {
        read::text_of(overlays, name)?;
        let spells = overlays.slot(Root::Attr, "text")?.entries.iter();
        let spells = spells.filter(
            |spell| matches!(spell.payload(), [Any::String(spelled)] if **spelled == *name),
        );
        spells.max_by_key(|spell| (spell.t, spell.sid)).map(edited)
    };
    let set = || slot.and_then(Slot::winner).map(edited);
    typed().or_else(set).unwrap_or_else(|| Edited {
        t: record.t,
        sid: record.sid.to_string(),
    })
}

fn versions(root: Root, slot: Option<&Slot<'_>>) -> Vec<Version> {
    let mut entries: Vec<&Entry<'_>> = slot.into_iter().flat_map(|slot| &slot.entries).collect();
    let winner = slot.and_then(Slot::winner).map(|winner| winner.sid);
    entries.sort_by(|a, b| {
        let rank = |entry: &Entry<'_>| (Some(entry.sid) == winner, entry.t);
        (rank(b), b.sid).cmp(&(rank(a), a.sid))
    });
    let value = |payload: &[Any]| match (root, payload) {
        (_, []) => None,
        (Root::Vert | Root::Geom, items) => Some(Value::Array(items.iter().map(shallow).collect())),
        (_, [first, ..]) => Some(shallow(first)),
    };
    entries
        .into_iter()
        .map(|entry| Version {
            set: edited(entry),
            value: value(entry.payload()),
        })
        .collect()
}

/// A stored value; plain coordinates may nest deeper than is read.
fn shallow(any: &Any) -> Value {
    if super::json::any_nests_within(any, super::json::NESTING_MAX) {
        from_any(any)
    } else {
        Value::Null
    }
}

fn edited(entry: &Entry<'_>) -> Edited {
    Edited {
        t: entry.t,
        sid: entry.sid.to_owned(),
    }
}
