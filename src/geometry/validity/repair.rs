//! A suggestion how an invalid geometry could be made valid. Nothing applies it by itself: where people disagree
//! about a place, only people can settle it.
//!
//! Parts without faults stay as they are. Where a ring crosses itself, what is inside by the odd-even rule stays
//! (`geo`'s `MakeValid`); holes are cut out of their exterior; parts that overlap are united.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use geo::{BooleanOps, LineString, MakeValid, MapCoords, MultiPolygon, Polygon};
use rstar::RTree;

use super::fault::{Code, Fault, Severity};
use super::{Limits, shape_faults};
use crate::geometry::geodesic::shape_measures;
use crate::geometry::outline::{Outline, outlines};
use crate::geometry::plane::Point;
use crate::geometry::{Dims, Geometry, Kind, Part, Segment, Shape};

/// Vertices of a geometry that a repair is tried on, at most: its work can be quadratic.
pub const REPAIR_VERTICES_MAX: usize = 5_000;

/// `MakeValid` joins vertices that are nearer than 0.0001, which would be ten metres in degrees. Multiplied by this
/// power of two, and so exactly, that becomes a hundredth of a millimetre.
const SCALE: f64 = 1_048_576.0;
/// The share of its extent by which uniting and cutting may move a vertex, which is then put back.
const MOVED_SHARE: f64 = 1e-8;

/// What a geometry would become.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// A valid geometry. A vertex that was there before keeps its height; new ones have that of the edge on which
    /// they lie.
    pub geometry: Geometry,
    /// Places of vertices that stay.
    pub vertices_kept: usize,
    /// Places of vertices that are new.
    pub vertices_added: usize,
    /// Places of vertices that go.
    pub vertices_removed: usize,
    /// Square metres as software measures the invalid geometry; of one that crosses itself a number without much
    /// meaning.
    pub area_before_m2: f64,
    /// Square metres afterwards.
    pub area_m2: f64,
}

/// A valid geometry that is as much like this one as `geo`'s repair makes it; `None` if nothing is to be repaired,
/// or no repair is known: positions out of range, too large or too tangled a geometry, nothing left.
///
/// Up to a second for the largest geometries; call it when somebody asks, and off the request path.
#[must_use]
pub fn repair(geometry: &Geometry) -> Option<Suggestion> {
    let Geometry::Shape(shape) = geometry else {
        return None;
    };
    let limits = Limits {
        geo_vertices: 0,
        ..Limits::default()
    };
    let faults = shape_faults(shape, limits);
    let hopeless = |fault: &Fault| matches!(fault.code, Code::OutOfRange | Code::NotFullyChecked);
    let hopeful =
        |fault: &Fault| fault.severity() == Severity::Error || fault.code == Code::RepeatedVertex;
    if shape.vertex_count() > REPAIR_VERTICES_MAX
        || faults.iter().any(hopeless)
        || !faults.iter().any(hopeful)
    {
        return None;
    }
    let known = Known::new(shape);
    let repaired = if shape.kind().has_rings() {
        // Triangulation and clipping are others' work on numbers that nobody checked: should they fail on
        // something odd, there is no suggestion.
        let polygons = catch_unwind(AssertUnwindSafe(|| polygons(&known, &faults))).ok()??;
        known.shape_of(&polygons)?
    } else {
        lines(shape)?
    };
    let left = shape_faults(&repaired, limits);
    if left.iter().any(|fault| fault.severity() == Severity::Error) || repaired == *shape {
        return None;
    }
    suggestion(shape, repaired)
}

fn suggestion(before: &Shape, after: Shape) -> Option<Suggestion> {
    let places = |shape: &Shape| -> BTreeSet<(u64, u64)> {
        shape
            .vertices()
            .filter_map(crate::geometry::shape::lon_lat)
            .map(Point::from)
            .map(bits)
            .collect()
    };
    let (old, new) = (places(before), places(&after));
    Some(Suggestion {
        vertices_kept: old.intersection(&new).count(),
        vertices_added: new.difference(&old).count(),
        vertices_removed: old.difference(&new).count(),
        area_before_m2: shape_measures(before)?.area_m2,
        area_m2: shape_measures(&after)?.area_m2,
        geometry: Geometry::Shape(after),
    })
}

/// Lines without repeated vertices; those that are a single place go.
fn lines(shape: &Shape) -> Option<Shape> {
    let numbers = shape.dims().numbers();
    let thinned = |segment: &Segment| {
        let mut thinned: Segment = Vec::with_capacity(segment.len());
        for vertex in segment.chunks_exact(numbers) {
            let last = thinned
                .len()
                .checked_sub(numbers)
                .and_then(|at| thinned.get(at..));
            if last.is_none_or(|last| last.get(..2) != vertex.get(..2)) {
                thinned.extend(vertex);
            }
        }
        (thinned.len() > numbers).then_some(thinned)
    };
    let parts: Vec<Part> = shape
        .parts()
        .iter()
        .map(|part| part.iter().filter_map(thinned).collect::<Part>())
        .filter(|part| !part.is_empty())
        .collect();
    (!parts.is_empty()).then(|| Shape::new(shape.kind(), shape.dims(), parts))?
}

/// Each part by itself, and then all of them together if they overlap.
fn polygons(known: &Known<'_>, faults: &[Fault]) -> Option<MultiPolygon> {
    let across = |fault: &Fault| fault.with.is_some_and(|with| with.part != fault.at.part);
    let mut parts: Vec<MultiPolygon> = Vec::new();
    for number in known
        .outlines
        .iter()
        .filter(|outline| outline.segment == 0)
        .map(|outline| outline.part)
    {
        let inner = faults
            .iter()
            .filter(|fault| fault.at.part == number && !across(fault));
        let codes: BTreeSet<Code> = inner.map(|fault| fault.code).collect();
        parts.push(part(known, number, &codes)?);
    }
    if !faults.iter().any(across) {
        return Some(MultiPolygon::new(parts.into_iter().flatten().collect()));
    }
    let united = parts.into_iter().reduce(|all, part| all.union(&part))?;
    Some(known.put_back(&united))
}

fn part(known: &Known<'_>, number: usize, codes: &BTreeSet<Code>) -> Option<MultiPolygon> {
    let rings = known
        .outlines
        .iter()
        .filter(|outline| outline.part == number && outline.edge_count() > 0);
    let mut rings =
        rings.map(|outline| (outline.segment, LineString::new(outline.points().to_vec())));
    let Some((_, exterior)) = rings.next().filter(|(segment, _)| *segment == 0) else {
        return Some(MultiPolygon::new(Vec::new()));
    };
    let holes: Vec<LineString> = rings.map(|(_, ring)| ring).collect();
    let among_rings = [
        Code::RingsCross,
        Code::RingsShareEdge,
        Code::DuplicateRing,
        Code::HoleOutside,
        Code::NestedHoles,
    ];
    if among_rings.iter().any(|code| codes.contains(code)) {
        let mut left = made_valid(Polygon::new(exterior, Vec::new()))?;
        for hole in holes {
            left = left.difference(&made_valid(Polygon::new(hole, Vec::new()))?);
        }
        return Some(known.put_back(&left));
    }
    let polygon = Polygon::new(exterior, holes);
    let alone = [
        Code::Spike,
        Code::SelfCrossing,
        Code::SelfTouch,
        Code::SelfOverlap,
        Code::InteriorDisconnected,
    ];
    if alone.iter().any(|code| codes.contains(code)) {
        made_valid(polygon)
    } else {
        Some(polygon.into())
    }
}

fn made_valid(polygon: Polygon) -> Option<MultiPolygon> {
    let scaled = polygon
        .map_coords(|point| point * SCALE)
        .make_valid()
        .ok()?;
    Some(scaled.map_coords(|point| point / SCALE))
}

fn bits(point: Point) -> (u64, u64) {
    (point.x.to_bits(), point.y.to_bits())
}

/// The vertices of the geometry under repair.
struct Known<'a> {
    shape: &'a Shape,
    outlines: Vec<Outline>,
    /// Position → number in order of the geometry, height.
    vertices: BTreeMap<(u64, u64), (usize, f64)>,
    tree: RTree<Point>,
    extent: f64,
}

impl<'a> Known<'a> {
    fn new(shape: &'a Shape) -> Self {
        let mut vertices = BTreeMap::new();
        let mut places = Vec::new();
        for (number, vertex) in shape.vertices().enumerate() {
            if let [lon, lat, rest @ ..] = vertex {
                let place = Point { x: *lon, y: *lat };
                vertices
                    .entry(bits(place))
                    .or_insert((number, rest.first().copied().unwrap_or(0.0)));
                places.push(place);
            }
        }
        let [west, south, east, north] = shape.bbox().map_or([0.0; 4], |bbox| bbox.sides());
        Self {
            shape,
            outlines: outlines(shape),
            vertices,
            tree: RTree::bulk_load(places),
            extent: (east - west).max(north - south),
        }
    }

    /// Vertices that clipping moved a little, where they were.
    fn put_back(&self, polygons: &MultiPolygon) -> MultiPolygon {
        let reach = self.extent * MOVED_SHARE;
        polygons.map_coords(|point| {
            let nearest = self.tree.nearest_neighbor(&point).copied();
            let near = |known: &Point| (known.x - point.x).hypot(known.y - point.y) <= reach;
            nearest.filter(near).unwrap_or(point)
        })
    }

    /// The polygons as a shape, each ring from the vertex on that came first, and round as before; so it depends
    /// on the geometry alone, and unchanged vertices are found again.
    fn shape_of(&self, polygons: &MultiPolygon) -> Option<Shape> {
        let mut parts: Vec<(Rank, Part)> = Vec::new();
        for polygon in polygons {
            let (rank, exterior) = self.ring(polygon.exterior())?;
            let mut holes: Vec<(Rank, Segment)> = polygon
                .interiors()
                .iter()
                .filter_map(|hole| self.ring(hole))
                .collect();
            holes.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| in_order(&a.1, &b.1)));
            let rings = std::iter::once(exterior).chain(holes.into_iter().map(|(_, hole)| hole));
            parts.push((rank, rings.collect()));
        }
        // Rings that touch may begin at the same vertex.
        let exterior = |part: &Part| part.first().cloned().unwrap_or_default();
        parts.sort_by(|a, b| {
            let by_exterior = || in_order(&exterior(&a.1), &exterior(&b.1));
            a.0.total_cmp(&b.0).then_with(by_exterior)
        });
        let parts: Vec<Part> = parts.into_iter().map(|(_, part)| part).collect();
        let kind = if parts.len() == 1 {
            self.shape.kind()
        } else {
            Kind::MultiPolygon
        };
        (!parts.is_empty()).then(|| Shape::new(kind, self.shape.dims(), parts))?
    }

    fn ring(&self, ring: &LineString) -> Option<(Rank, Segment)> {
        let mut points: Vec<Point> = ring.0.clone();
        points.dedup();
        if points.first() == points.last() {
            points.pop();
        }
        let number = |point: &Point| self.vertices.get(&bits(*point)).map(|(number, _)| *number);
        let next = points.iter().cycle().skip(1);
        let (mut onwards, mut backwards) = (0_usize, 0_usize);
        for (a, b) in points.iter().zip(next) {
            if let (Some(a), Some(b)) = (number(a), number(b)) {
                onwards += usize::from(a + 1 == b);
                backwards += usize::from(b + 1 == a);
            }
        }
        if backwards > onwards {
            points.reverse();
        }
        let rank = |point: &Point| Rank {
            number: number(point).unwrap_or(usize::MAX),
            point: *point,
        };
        let (start, first) = points
            .iter()
            .map(rank)
            .enumerate()
            .min_by(|a, b| a.1.total_cmp(&b.1))?;
        points.rotate_left(start);
        Some((
            first,
            points
                .iter()
                .flat_map(|point| self.numbers(*point))
                .collect(),
        ))
    }

    fn numbers(&self, point: Point) -> impl Iterator<Item = f64> {
        let height = (self.shape.dims() == Dims::Three).then(|| self.height(point));
        [point.x, point.y].into_iter().chain(height)
    }

    /// The height of the vertex there, or that of the nearest edge at this place.
    fn height(&self, point: Point) -> f64 {
        if let Some((_, height)) = self.vertices.get(&bits(point)) {
            return *height;
        }
        let of = |point: Point| {
            self.vertices
                .get(&bits(point))
                .map_or(0.0, |(_, height)| *height)
        };
        let edges = crate::geometry::outline::edges(&self.outlines);
        let nearest = edges
            .map(|edge| {
                let (span, from) = (edge.end - edge.start, point - edge.start);
                let along =
                    (from.x * span.x + from.y * span.y) / (span.x * span.x + span.y * span.y);
                let along = if along.is_finite() {
                    along.clamp(0.0, 1.0)
                } else {
                    0.0
                };
                let off = from - span * along;
                let height = of(edge.start) + (of(edge.end) - of(edge.start)) * along;
                (off.x.hypot(off.y), height)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        nearest.map_or(0.0, |(_, height)| height)
    }
}

fn in_order(a: &Segment, b: &Segment) -> Ordering {
    let first = a
        .iter()
        .zip(b)
        .map(|(a, b)| a.total_cmp(b))
        .find(|order| order.is_ne());
    first.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// Order of rings: by the vertex that came first, new ones by place.
#[derive(Clone, Copy)]
struct Rank {
    number: usize,
    point: Point,
}

impl Rank {
    fn total_cmp(&self, other: &Self) -> Ordering {
        let by_place = self
            .point
            .x
            .total_cmp(&other.point.x)
            .then(self.point.y.total_cmp(&other.point.y));
        self.number.cmp(&other.number).then(by_place)
    }
}
