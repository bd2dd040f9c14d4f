//! Exact predicates for edges in the plane of longitude and latitude.
//!
//! Whether edges cross, touch or overlap is decided by adaptive-precision orientation (Shewchuk 1997, by way of
//! `geo`), so it never depends on rounding. Only the place of a crossing is rounded. Start with [`meeting`].

use geo::kernels::{Kernel as _, Orientation, RobustKernel};
use rstar::{AABB, RTreeObject};

/// x is the longitude, y the latitude.
pub(super) type Point = geo::Coord<f64>;

/// A straight edge of a ring or line; its two ends differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    /// Number of the edge in the whole shape.
    pub(super) id: u32,
    /// Number of the ring or line in the whole shape.
    pub(super) ring: u32,
    /// Number of the edge in its ring or line, which is the number of its start among the distinct vertices.
    pub(super) at: u32,
    pub(super) start: Point,
    pub(super) end: Point,
}

impl RTreeObject for Edge {
    type Envelope = AABB<Point>;

    fn envelope(&self) -> Self::Envelope {
        AABB::from_corners(self.start, self.end)
    }
}

/// What two edges have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meeting {
    /// Nothing.
    Apart,
    /// One point, inside both; the point is rounded.
    Cross(Point),
    /// One point, an end of at least one of them; exact.
    Touch(Point),
    /// A stretch between two ends; exact.
    Overlap(Point, Point),
}

pub(super) fn turn(a: Point, b: Point, c: Point) -> Orientation {
    RobustKernel::orient2d(a, b, c)
}

/// What two edges share.
pub(super) fn meeting(a: &Edge, b: &Edge) -> Meeting {
    use Orientation::Collinear;
    if !boxes_meet(a, b) {
        return Meeting::Apart;
    }
    let (start_b, end_b) = (turn(a.start, a.end, b.start), turn(a.start, a.end, b.end));
    if start_b == end_b && start_b != Collinear {
        return Meeting::Apart;
    }
    let (start_a, end_a) = (turn(b.start, b.end, a.start), turn(b.start, b.end, a.end));
    if start_a == end_a && start_a != Collinear {
        return Meeting::Apart;
    }
    if start_b == Collinear && end_b == Collinear {
        return on_one_line(a, b);
    }
    for (side, end, other) in [
        (start_b, b.start, a),
        (end_b, b.end, a),
        (start_a, a.start, b),
        (end_a, a.end, b),
    ] {
        if side == Collinear {
            return if in_box(other, end) {
                Meeting::Touch(end)
            } else {
                Meeting::Apart
            };
        }
    }
    Meeting::Cross(crossing(a, b))
}

/// Whether `point` lies on `edge`.
pub(super) fn is_on(edge: &Edge, point: Point) -> bool {
    in_box(edge, point) && turn(edge.start, edge.end, point) == Orientation::Collinear
}

/// Whether the direction from `hub` to `x` lies strictly inside the sector that opens counter-clockwise from the
/// direction of `first` to that of `last`. The two directions must differ.
pub(super) fn in_sector(hub: Point, first: Point, last: Point, x: Point) -> bool {
    use Orientation::{Clockwise, Collinear, CounterClockwise};
    let left_of = |from, to| turn(hub, from, to) == CounterClockwise;
    match turn(hub, first, last) {
        CounterClockwise => left_of(first, x) && left_of(x, last),
        Clockwise => {
            // The sector is what the closed sector from `last` to `first`, below 180 degrees, leaves.
            turn(hub, last, x) == Clockwise || turn(hub, x, first) == Clockwise
        }
        Collinear => left_of(first, x),
    }
}

/// Whether `a` and `b` lie in the same direction from `hub`.
pub(super) fn same_direction(hub: Point, a: Point, b: Point) -> bool {
    turn(hub, a, b) == Orientation::Collinear
        && (a.x - hub.x).signum() == (b.x - hub.x).signum()
        && (a.y - hub.y).signum() == (b.y - hub.y).signum()
}

/// How the ray from a point to the east meets an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ray {
    /// Not at all, or only at the edge's lower end.
    Misses,
    /// It passes through; an odd number of these means that the point is inside.
    Hits,
    /// The point lies on the edge.
    On,
}

pub(super) fn ray(edge: &Edge, point: Point) -> Ray {
    let (start, end) = (edge.start, edge.end);
    if point == start || point == end {
        return Ray::On;
    }
    if (start.y > point.y) == (end.y > point.y) {
        let level = start.y == point.y && end.y == point.y;
        return if level && in_box(edge, point) {
            Ray::On
        } else {
            Ray::Misses
        };
    }
    let upwards = end.y > start.y;
    match turn(start, end, point) {
        Orientation::Collinear => Ray::On,
        Orientation::CounterClockwise if upwards => Ray::Hits,
        Orientation::Clockwise if !upwards => Ray::Hits,
        _ => Ray::Misses,
    }
}

fn boxes_meet(a: &Edge, b: &Edge) -> bool {
    let apart =
        |a0: f64, a1: f64, b0: f64, b1: f64| a0.max(a1) < b0.min(b1) || b0.max(b1) < a0.min(a1);
    !apart(a.start.x, a.end.x, b.start.x, b.end.x) && !apart(a.start.y, a.end.y, b.start.y, b.end.y)
}

fn in_box(edge: &Edge, point: Point) -> bool {
    let within = |a: f64, b: f64, v: f64| a.min(b) <= v && v <= a.max(b);
    within(edge.start.x, edge.end.x, point.x) && within(edge.start.y, edge.end.y, point.y)
}

/// Along a line, the order by x and then y is the order of the points.
fn on_one_line(a: &Edge, b: &Edge) -> Meeting {
    let sorted = |edge: &Edge| {
        if before(edge.end, edge.start) {
            (edge.end, edge.start)
        } else {
            (edge.start, edge.end)
        }
    };
    let ((a_low, a_high), (b_low, b_high)) = (sorted(a), sorted(b));
    let low = if before(a_low, b_low) { b_low } else { a_low };
    let high = if before(a_high, b_high) {
        a_high
    } else {
        b_high
    };
    if low == high {
        Meeting::Touch(low)
    } else if before(low, high) {
        Meeting::Overlap(low, high)
    } else {
        Meeting::Apart
    }
}

fn before(a: Point, b: Point) -> bool {
    a.x < b.x || (a.x == b.x && a.y < b.y)
}

/// Where two edges cross that are known to cross, within the boxes of both.
fn crossing(a: &Edge, b: &Edge) -> Point {
    let (da, db) = (a.end - a.start, b.end - b.start);
    let from = b.start - a.start;
    let t = (from.x * db.y - from.y * db.x) / (da.x * db.y - da.y * db.x);
    let t = if t.is_finite() {
        t.clamp(0.0, 1.0)
    } else {
        0.5
    };
    let clamped = |v: f64, a0: f64, a1: f64, b0: f64, b1: f64| {
        v.max(a0.min(a1))
            .max(b0.min(b1))
            .min(a0.max(a1))
            .min(b0.max(b1))
    };
    let place = a.start + da * t;
    Point {
        x: clamped(place.x, a.start.x, a.end.x, b.start.x, b.end.x),
        y: clamped(place.y, a.start.y, a.end.y, b.start.y, b.end.y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64) -> Point {
        Point { x, y }
    }

    fn edge(x0: f64, y0: f64, x1: f64, y1: f64) -> Edge {
        let (start, end) = (point(x0, y0), point(x1, y1));
        Edge {
            id: 0,
            ring: 0,
            at: 0,
            start,
            end,
        }
    }

    #[test]
    fn edges_cross_touch_overlap_or_stay_apart() {
        let flat = edge(0.0, 0.0, 4.0, 0.0);
        let meets = |other: Edge| {
            let there = meeting(&flat, &other);
            assert_eq!(there, meeting(&other, &flat));
            there
        };
        assert_eq!(
            meets(edge(1.0, -1.0, 1.0, 1.0)),
            Meeting::Cross(point(1.0, 0.0))
        );
        assert_eq!(
            meets(edge(1.0, 0.0, 1.0, 1.0)),
            Meeting::Touch(point(1.0, 0.0))
        );
        assert_eq!(
            meets(edge(4.0, 0.0, 9.0, 1.0)),
            Meeting::Touch(point(4.0, 0.0))
        );
        assert_eq!(
            meets(edge(4.0, 0.0, 9.0, 0.0)),
            Meeting::Touch(point(4.0, 0.0))
        );
        assert_eq!(
            meets(edge(9.0, 0.0, 3.0, 0.0)),
            Meeting::Overlap(point(3.0, 0.0), point(4.0, 0.0))
        );
        assert_eq!(meets(edge(5.0, 0.0, 9.0, 0.0)), Meeting::Apart);
        assert_eq!(meets(edge(3.0, 2.0, 6.0, -1.0)), Meeting::Apart);
    }

    #[test]
    fn a_ray_counts_each_vertex_that_it_passes_once() {
        let diamond = [
            edge(0.0, -1.0, 1.0, 0.0),
            edge(1.0, 0.0, 0.0, 1.0),
            edge(0.0, 1.0, -1.0, 0.0),
            edge(-1.0, 0.0, 0.0, -1.0),
        ];
        let hits = |x, y| {
            let rays = diamond.iter().map(|edge| ray(edge, point(x, y)));
            rays.filter(|ray| *ray == Ray::Hits).count()
        };
        assert_eq!(hits(0.0, 0.0), 1);
        assert_eq!(hits(-2.0, 0.0) % 2, 0);
        assert_eq!(hits(-2.0, 1.0) % 2, 0);
        assert_eq!(hits(-2.0, -1.0) % 2, 0);
        assert_eq!(ray(&diamond[0], point(0.5, -0.5)), Ray::On);
        assert_eq!(ray(&edge(0.0, 0.0, 2.0, 0.0), point(1.0, 0.0)), Ray::On);
    }

    #[test]
    fn sectors_open_counter_clockwise_and_may_be_reflex() {
        let hub = point(0.0, 0.0);
        let (east, north, west) = (point(1.0, 0.0), point(0.0, 1.0), point(-1.0, 0.0));
        let inside = |first, last, x, y| in_sector(hub, first, last, point(x, y));
        assert!(inside(east, north, 1.0, 1.0) && !inside(east, north, -1.0, 1.0));
        assert!(!inside(north, east, 1.0, 1.0) && inside(north, east, -1.0, -1.0));
        assert!(inside(east, west, 0.0, 1.0) && !inside(east, west, 0.0, -1.0));
        assert!(!inside(east, north, 2.0, 0.0), "the border is not inside");
        assert!(
            !inside(north, east, 2.0, 0.0),
            "nor that of a reflex sector"
        );
        assert!(same_direction(hub, east, point(7.0, 0.0)) && !same_direction(hub, east, west));
    }
}
