//! A shape as rings and lines of distinct vertices, and their edges. Repeated vertices in a row count once, so
//! that every edge has a length; each remembers which vertex of the shape it starts at.

use super::plane::{Edge, Point};
use super::shape::lon_lat;
use super::{Kind, Segment, Shape};

/// Positions farther from zero than this many degrees are too far for exact arithmetic to be worth anything.
const FARTHEST: f64 = 1e15;

/// One ring or line without repeated vertices.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    /// Number of the part in the shape.
    pub(super) part: usize,
    /// Number of the segment in the part; 0 is a polygon's exterior.
    pub(super) segment: usize,
    /// Number of the first edge.
    pub(super) first: u32,
    closed: bool,
    points: Vec<Point>,
    /// For each point the vertex of the segment that it is, the first one where several are equal.
    origins: Vec<u32>,
}

impl Outline {
    /// Number of edges; none if fewer distinct vertices are left than a ring (3) or a line (2) needs.
    pub(super) fn edge_count(&self) -> u32 {
        let count = u32::try_from(self.points.len()).unwrap_or(u32::MAX);
        match (self.closed, count) {
            (true, 3..) => count,
            (false, 2..) => count - 1,
            _ => 0,
        }
    }

    /// The distinct vertices in order.
    pub(super) fn points(&self) -> &[Point] {
        &self.points
    }

    /// Whether the last vertex is joined with the first.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The number in the segment of the vertex at which an edge starts.
    pub(super) fn vertex(&self, at: u32) -> usize {
        self.origins.get(at as usize).map_or(0, |at| *at as usize)
    }

    /// The number among the distinct vertices of a vertex of the segment.
    pub(super) fn place_of(&self, vertex: usize) -> u32 {
        let after = self
            .origins
            .partition_point(|origin| *origin as usize <= vertex);
        // Vertices at a ring's end that repeat its first one are that one; they were dropped.
        u32::try_from(after.saturating_sub(1)).unwrap_or(0)
    }

    /// The vertex that many steps on, which may be negative; round and round in a ring.
    pub(super) fn point(&self, at: i64) -> Option<Point> {
        let count = i64::try_from(self.points.len()).ok()?;
        let at = if self.closed {
            at.checked_rem_euclid(count)?
        } else {
            at
        };
        self.points.get(usize::try_from(at).ok()?).copied()
    }

    /// The edge that starts at a distinct vertex.
    pub(super) fn edge(&self, ring: u32, at: u32) -> Option<Edge> {
        let start = self.point(i64::from(at))?;
        let end = self.point(i64::from(at) + 1)?;
        let id = self.first.checked_add(at)?;
        (at < self.edge_count()).then_some(Edge {
            id,
            ring,
            at,
            start,
            end,
        })
    }
}

/// All rings or lines of a shape in order; none for points, and none if a position is far out of any range.
pub(super) fn outlines(shape: &Shape) -> Vec<Outline> {
    if matches!(shape.kind(), Kind::Point | Kind::MultiPoint)
        || shape
            .vertices()
            .flatten()
            .any(|number| number.abs() > FARTHEST)
    {
        return Vec::new();
    }
    let (closed, numbers) = (shape.kind().has_rings(), shape.dims().numbers());
    let mut first = 0;
    let mut found = Vec::new();
    for (part, segments) in shape.parts().iter().enumerate() {
        for (segment, flat) in segments.iter().enumerate() {
            let (points, origins) = distinct(flat, numbers, closed);
            let outline = Outline {
                part,
                segment,
                first,
                closed,
                points,
                origins,
            };
            first += outline.edge_count();
            found.push(outline);
        }
    }
    found
}

/// The edges of all outlines in the order of their numbers.
pub(super) fn edges(outlines: &[Outline]) -> impl Iterator<Item = Edge> {
    (0..).zip(outlines).flat_map(|(ring, outline)| {
        (0..outline.edge_count()).filter_map(move |at| outline.edge(ring, at))
    })
}

fn distinct(flat: &Segment, numbers: usize, closed: bool) -> (Vec<Point>, Vec<u32>) {
    let mut points: Vec<Point> = Vec::with_capacity(flat.len() / numbers);
    let mut origins = Vec::with_capacity(flat.len() / numbers);
    for (at, vertex) in (0..).zip(flat.chunks_exact(numbers)) {
        let Some(point) = lon_lat(vertex).map(Point::from) else {
            continue;
        };
        if points.last() != Some(&point) {
            points.push(point);
            origins.push(at);
        }
    }
    while closed && points.len() > 1 && points.last() == points.first() {
        points.pop();
        origins.pop();
    }
    (points, origins)
}
