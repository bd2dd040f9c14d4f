//! Shapes that reach beyond 180° east or west, cut there and moved into range (RFC 7946 §3.1.9).
//!
//! Editing across the antimeridian leaves longitudes as 185; that is continuous and right in a map, but not in
//! GeoJSON. Positions keep their latitude and height; only positions on the cut are new. Edges are straight in
//! longitude and latitude, as everywhere in GeoJSON.

use crate::geometry::{Kind, Part, Segment, Shape};

/// Longitudes beyond this are no slip across the antimeridian, and are written as they are.
const LON_MAX: f64 = 900.0;
/// The meridians at which a shape within [`LON_MAX`] can be cut.
const CUTS: [f64; 4] = [-540.0, -180.0, 180.0, 540.0];

/// The shape within ±180°; `None` if that is how it is, or if its longitudes make no sense.
pub(super) fn cut(shape: &Shape) -> Option<Shape> {
    let numbers = shape.dims().numbers();
    let lons = || shape.vertices().filter_map(|vertex| vertex.first());
    if lons().all(|lon| lon.abs() <= 180.0) || lons().any(|lon| lon.abs() > LON_MAX) {
        return None;
    }
    let (kind, parts) = match shape.kind() {
        Kind::Point | Kind::MultiPoint => {
            let moved = |segment: &Segment| -> Segment {
                let points = segment.chunks_exact(numbers);
                points
                    .flat_map(|point| into_range(point.to_vec(), numbers))
                    .collect()
            };
            let parts = shape.parts().iter();
            (
                shape.kind(),
                parts.map(|part| part.iter().map(moved).collect()).collect(),
            )
        }
        Kind::LineString | Kind::MultiLineString => {
            let pieces: Vec<Segment> = shape
                .parts()
                .iter()
                .flatten()
                .flat_map(|line| cut_line(line, numbers))
                .map(|piece| into_range(piece, numbers))
                .collect();
            let kind = if pieces.len() == 1 {
                Kind::LineString
            } else {
                Kind::MultiLineString
            };
            (kind, pieces.into_iter().map(|piece| vec![piece]).collect())
        }
        Kind::Polygon | Kind::MultiPolygon => {
            let pieces: Vec<Part> = shape
                .parts()
                .iter()
                .flat_map(|part| cut_polygon(part, numbers))
                .map(|part| {
                    part.into_iter()
                        .map(|ring| into_range(ring, numbers))
                        .collect()
                })
                .collect();
            let kind = if pieces.len() == 1 {
                Kind::Polygon
            } else {
                Kind::MultiPolygon
            };
            (kind, pieces)
        }
    };
    let kind = match (shape.kind(), kind) {
        (multi @ (Kind::MultiLineString | Kind::MultiPolygon), _) => multi,
        (_, kind) => kind,
    };
    Shape::new(kind, shape.dims(), parts)
}

/// Moves a piece, all of which lies between two cuts, by whole turns.
fn into_range(mut piece: Segment, numbers: usize) -> Segment {
    let lons = || piece.iter().step_by(numbers);
    let west = lons().copied().fold(f64::INFINITY, f64::min);
    let east = lons().copied().fold(f64::NEG_INFINITY, f64::max);
    let turns = (f64::midpoint(west, east) / 360.0).round();
    if turns != 0.0 {
        piece
            .iter_mut()
            .step_by(numbers)
            .for_each(|lon| *lon -= turns * 360.0);
    }
    piece
}

type Vertex<'s> = &'s [f64];

/// The point of an edge on a meridian.
fn crossing(from: Vertex<'_>, to: Vertex<'_>, meridian: f64) -> Vec<f64> {
    let (start, end) = (lon(from), lon(to));
    let share = (meridian - start) / (end - start);
    let between = from.iter().zip(to).skip(1);
    std::iter::once(meridian)
        .chain(between.map(|(a, b)| a + (b - a) * share))
        .collect()
}

fn lon(vertex: Vertex<'_>) -> f64 {
    vertex.first().copied().unwrap_or_default()
}

fn lat(vertex: Vertex<'_>) -> f64 {
    vertex.get(1).copied().unwrap_or_default()
}

fn cut_line(line: &Segment, numbers: usize) -> Vec<Segment> {
    let mut pieces = Vec::new();
    let mut piece = Segment::new();
    let mut before: Option<Vertex<'_>> = None;
    for vertex in line.chunks_exact(numbers) {
        if let Some(before) = before {
            let mut crossed: Vec<f64> = CUTS
                .into_iter()
                .filter(|cut| (lon(before) < *cut) != (lon(vertex) < *cut))
                .collect();
            if lon(vertex) < lon(before) {
                crossed.reverse();
            }
            for meridian in crossed {
                let point = crossing(before, vertex, meridian);
                piece.extend_from_slice(&point);
                push_line(&mut pieces, std::mem::replace(&mut piece, point), numbers);
            }
        }
        piece.extend_from_slice(vertex);
        before = Some(vertex);
    }
    push_line(&mut pieces, piece, numbers);
    pieces
}

/// Keeps a piece with some length; one that only touches the cut has none.
fn push_line(pieces: &mut Vec<Segment>, piece: Segment, numbers: usize) {
    let piece = without_repeats(piece, numbers);
    if piece.len() >= 2 * numbers {
        pieces.push(piece);
    }
}

fn without_repeats(segment: Segment, numbers: usize) -> Segment {
    let mut out = Segment::with_capacity(segment.len());
    for vertex in segment.chunks_exact(numbers) {
        let last = out.len().checked_sub(numbers).and_then(|at| out.get(at..));
        if last != Some(vertex) {
            out.extend_from_slice(vertex);
        }
    }
    out
}

fn cut_polygon(part: &Part, numbers: usize) -> Vec<Part> {
    CUTS.into_iter()
        .fold(vec![part.clone()], |pieces, meridian| {
            pieces
                .iter()
                .flat_map(|piece| split(piece, meridian, numbers))
                .collect()
        })
}

/// Which side of a meridian; what lies on it counts as west.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    West,
    East,
}

fn side(vertex: Vertex<'_>, meridian: f64) -> Side {
    if lon(vertex) > meridian {
        Side::East
    } else {
        Side::West
    }
}

/// A stretch of a ring on one side, from the meridian to the meridian.
struct Chain {
    vertices: Segment,
    side: Side,
}

/// Splits a polygon along one meridian. Rings that cross it break into chains. On the meridian the ends of a side's
/// chains, sorted by latitude, bound stretches that lie alternately inside and outside; each chain goes on at the other
/// end of its stretch.
fn split(part: &Part, meridian: f64, numbers: usize) -> Vec<Part> {
    let mut chains = Vec::new();
    let mut whole = Vec::new();
    for ring in part {
        let broken = break_ring(ring, meridian, numbers);
        if broken.is_empty() {
            whole.push(ring);
        }
        chains.extend(broken);
    }
    if chains.is_empty() {
        return vec![part.clone()];
    }
    let mut pieces: Vec<Part> = Vec::new();
    for wanted in [Side::West, Side::East] {
        let chains: Vec<&Chain> = chains.iter().filter(|chain| chain.side == wanted).collect();
        pieces.extend(join(&chains, numbers).into_iter().map(|ring| vec![ring]));
    }
    for hole in whole {
        let Some(place) = hole.chunks_exact(numbers).next() else {
            continue;
        };
        let around = pieces.iter_mut().find(|piece| {
            piece
                .first()
                .is_some_and(|exterior| contains(exterior, place, numbers))
        });
        if let Some(piece) = around {
            piece.push(hole.clone());
        }
    }
    pieces
}

/// The chains of a ring; none if it stays on one side.
fn break_ring(ring: &Segment, meridian: f64, numbers: usize) -> Vec<Chain> {
    let vertices: Vec<Vertex<'_>> = ring.chunks_exact(numbers).collect();
    let next = |at: usize| vertices.get((at + 1) % vertices.len().max(1)).copied();
    let changes = |at: usize, vertex: Vertex<'_>| {
        next(at).is_some_and(|next| side(vertex, meridian) != side(next, meridian))
    };
    let Some(start) =
        (0..vertices.len()).find(|at| vertices.get(*at).is_some_and(|vertex| changes(*at, vertex)))
    else {
        return Vec::new();
    };
    let mut chains: Vec<Chain> = Vec::new();
    for step in 0..vertices.len() {
        let at = (start + step) % vertices.len();
        let (Some(vertex), Some(next)) = (vertices.get(at), next(at)) else {
            continue;
        };
        if let Some(chain) = chains.last_mut().filter(|_| step > 0) {
            chain.vertices.extend_from_slice(vertex);
        }
        if side(vertex, meridian) != side(next, meridian) {
            let point = crossing(vertex, next, meridian);
            if let Some(chain) = chains.last_mut() {
                chain.vertices.extend_from_slice(&point);
            }
            chains.push(Chain {
                vertices: point,
                side: side(next, meridian),
            });
        }
    }
    // The walk began within an edge: its first vertex and crossing end the last chain.
    if let (Some(vertex), Some(next), Some(chain)) =
        (vertices.get(start), next(start), chains.last_mut())
    {
        chain.vertices.extend_from_slice(vertex);
        chain
            .vertices
            .extend_from_slice(&crossing(vertex, next, meridian));
    }
    chains
}

/// Rings from the chains of one side, each joined along the meridian.
fn join(chains: &[&Chain], numbers: usize) -> Vec<Segment> {
    // End 2 i is the start of chain i, end 2 i + 1 its end.
    let place = |end: usize| {
        let vertices = chains.get(end / 2).map(|chain| &chain.vertices);
        let vertex = vertices.and_then(|vertices| {
            let mut points = vertices.chunks_exact(numbers);
            if end.is_multiple_of(2) {
                points.next()
            } else {
                points.next_back()
            }
        });
        vertex.map_or(0.0, lat)
    };
    let mut ends: Vec<usize> = (0..chains.len() * 2).collect();
    ends.sort_by(|a, b| place(*a).total_cmp(&place(*b)).then(a.cmp(b)));
    let mut partner = vec![0; ends.len()];
    for pair in ends.chunks_exact(2) {
        if let [one, other] = pair {
            for (from, to) in [(*one, *other), (*other, *one)] {
                if let Some(slot) = partner.get_mut(from) {
                    *slot = to;
                }
            }
        }
    }
    let mut used = vec![false; chains.len()];
    let mut rings = Vec::new();
    for first in 0..chains.len() {
        let mut ring = Segment::new();
        let mut start = first * 2;
        while let Some(used) = used.get_mut(start / 2).filter(|used| !**used) {
            *used = true;
            let Some(chain) = chains.get(start / 2) else {
                break;
            };
            let forward = start.is_multiple_of(2);
            if forward {
                ring.extend_from_slice(&chain.vertices);
            } else {
                chain
                    .vertices
                    .rchunks_exact(numbers)
                    .for_each(|vertex| ring.extend_from_slice(vertex));
            }
            let end = if forward { start + 1 } else { start - 1 };
            start = partner.get(end).copied().unwrap_or(first * 2);
        }
        let mut ring = without_repeats(ring, numbers);
        if ring.len() > numbers && ring.get(..numbers) == ring.get(ring.len() - numbers..) {
            ring.truncate(ring.len() - numbers);
        }
        if ring.len() >= 3 * numbers {
            rings.push(ring);
        }
    }
    rings
}

/// Whether a ring goes around a place, by the even-odd rule.
pub(super) fn contains(ring: &Segment, place: Vertex<'_>, numbers: usize) -> bool {
    let vertices: Vec<Vertex<'_>> = ring.chunks_exact(numbers).collect();
    let edges = vertices.iter().zip(vertices.iter().cycle().skip(1));
    edges
        .filter(|(a, b)| {
            (lat(a) > lat(place)) != (lat(b) > lat(place))
                && lon(place)
                    < (lon(b) - lon(a)) * (lat(place) - lat(a)) / (lat(b) - lat(a)) + lon(a)
        })
        .count()
        % 2
        == 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::geometry::Coords;

    fn check(kind: Kind, text: &str, expected_kind: Kind, expected: &str) {
        let coords: Coords = serde_json::from_str(text).unwrap();
        let shape = Shape::from_stored(kind, &coords).unwrap();
        let shape = cut(&shape).unwrap_or(shape);
        let shape = shape.wound().unwrap_or(shape);
        assert_eq!(
            (shape.kind(), shape.to_value()["coordinates"].to_string()),
            (expected_kind, expected.to_owned())
        );
    }

    #[test]
    fn what_lies_within_the_range_stays_as_it_is() {
        let world = "[[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]";
        check(Kind::Polygon, world, Kind::Polygon, world);
        check(Kind::Point, "[1e5,3]", Kind::Point, "[100000,3]");
    }

    #[test]
    fn points_are_moved_by_whole_turns() {
        check(Kind::Point, "[185,3,9]", Kind::Point, "[-175,3,9]");
        check(
            Kind::MultiPoint,
            "[[-190,1],[170,2]]",
            Kind::MultiPoint,
            "[[170,1],[170,2]]",
        );
    }

    #[test]
    fn lines_are_cut_and_keep_their_order() {
        check(
            Kind::LineString,
            "[[170,0,0],[190,10,10],[200,10,10]]",
            Kind::MultiLineString,
            "[[[170,0,0],[180,5,5]],[[-180,5,5],[-170,10,10],[-160,10,10]]]",
        );
        check(
            Kind::LineString,
            "[[181,0],[185,1]]",
            Kind::LineString,
            "[[-179,0],[-175,1]]",
        );
        check(
            Kind::LineString,
            "[[170,0],[180,1],[170,2],[190,2]]",
            Kind::MultiLineString,
            "[[[170,0],[180,1]],[[180,1],[170,2],[180,2]],[[-180,2],[-170,2]]]",
        );
    }

    #[test]
    fn polygons_are_cut_with_their_holes() {
        check(
            Kind::Polygon,
            "[[[170,0],[190,0],[190,10],[170,10],[170,0]],[[175,4],[175,6],[185,6],[185,4],[175,4]],[[171,1],[171,2],[172,2],[171,1]]]",
            Kind::MultiPolygon,
            "[[[[180,10],[170,10],[170,0],[180,0],[180,4],[175,4],[175,6],[180,6],[180,10]],[[171,1],[171,2],[172,2],[171,1]]],[[[-180,0],[-170,0],[-170,10],[-180,10],[-180,6],[-175,6],[-175,4],[-180,4],[-180,0]]]]",
        );
    }

    #[test]
    fn a_bay_over_the_cut_gives_two_pieces_on_one_side() {
        let bay = "[[[170,0],[190,0],[190,3],[175,3],[175,7],[190,7],[190,10],[170,10],[170,0]]]";
        let coords: Coords = serde_json::from_str(bay).unwrap();
        let shape = cut(&Shape::from_stored(Kind::Polygon, &coords).unwrap()).unwrap();
        assert_eq!(shape.parts().len(), 3);
        let area: f64 = shape
            .parts()
            .iter()
            .map(|part| {
                let ring: Vec<&[f64]> = part[0].chunks_exact(2).collect();
                let edges = ring.iter().zip(ring.iter().cycle().skip(1));
                edges
                    .map(|(a, b)| a[0] * b[1] - b[0] * a[1])
                    .sum::<f64>()
                    .abs()
                    / 2.0
            })
            .sum();
        assert!((area - (200.0 - 60.0)).abs() < 1e-9, "{area}");
    }
}
