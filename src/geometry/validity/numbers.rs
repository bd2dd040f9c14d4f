//! What is wrong with single vertices and edges: range, repetition, too few of them, the antimeridian.

use super::fault::{Code, Fault, List, Place};
use crate::geometry::plane::Point;
use crate::geometry::shape::lon_lat;
use crate::geometry::{Kind, Shape};

pub(super) fn check(shape: &Shape, list: &mut List) {
    for (part, segments) in shape.parts().iter().enumerate() {
        for (segment, flat) in segments.iter().enumerate() {
            let points = flat
                .chunks_exact(shape.dims().numbers())
                .filter_map(lon_lat)
                .map(Point::from);
            let here = Place {
                part,
                segment,
                vertex: 0,
            };
            Walk {
                kind: shape.kind(),
                here,
                list,
            }
            .check(points);
        }
    }
}

struct Walk<'a> {
    kind: Kind,
    here: Place,
    list: &'a mut List,
}

impl Walk<'_> {
    fn check(&mut self, points: impl Iterator<Item = Point>) {
        let joined = !matches!(self.kind, Kind::Point | Kind::MultiPoint);
        let (mut first, mut last, mut distinct) = (None, None, 0_usize);
        for (vertex, point) in points.enumerate() {
            self.here.vertex = vertex;
            self.range(point);
            if joined {
                self.step(last, point);
            }
            if last != Some(point) {
                distinct += 1;
            }
            first = first.or(Some(point));
            last = Some(point);
        }
        if let (true, Some(first), Some(last)) =
            (self.kind.has_rings() && distinct > 1, first, last)
        {
            if first == last {
                distinct -= 1;
                self.add(Code::RepeatedVertex, last);
            } else {
                // The edge that closes the ring starts at its last vertex.
                self.edge(last, first, self.here.vertex);
            }
        }
        self.count(distinct, joined, first);
    }

    fn range(&mut self, point: Point) {
        if point.x.abs() > 180.0 || point.y.abs() > 90.0 {
            self.add(Code::OutOfRange, point);
        }
    }

    fn step(&mut self, last: Option<Point>, point: Point) {
        let Some(last) = last else { return };
        if last == point {
            self.add(Code::RepeatedVertex, point);
        } else {
            self.edge(last, point, self.here.vertex.saturating_sub(1));
        }
    }

    /// An edge along a pole has no length, whatever its longitudes.
    fn edge(&mut self, from: Point, to: Point, vertex: usize) {
        let along_pole = from.y == to.y && from.y.abs() == 90.0;
        if (from.x - to.x).abs() > 180.0 && !along_pole {
            let at = Place {
                vertex,
                ..self.here
            };
            self.list
                .push(Fault::new(Code::AntimeridianCrossing, self.kind, at, from));
        }
    }

    fn count(&mut self, distinct: usize, joined: bool, first: Option<Point>) {
        let least = match (joined, self.kind.has_rings()) {
            (true, true) => 3,
            (true, false) => 2,
            (false, _) => return,
        };
        if distinct < least {
            self.here.vertex = 0;
            self.add(Code::TooFewPositions, first.unwrap_or_default());
        }
    }

    fn add(&mut self, code: Code, position: Point) {
        self.list
            .push(Fault::new(code, self.kind, self.here, position));
    }
}
