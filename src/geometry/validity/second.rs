//! The opinion of `geo`'s `Validation` about polygons in which this module found nothing.
//!
//! It names rings but no vertices, and compares all edges with all, so it is asked about small geometries only.

use geo::Validation;
use geo::algorithm::validation::{InvalidMultiPolygon, InvalidPolygon, RingRole};

use super::fault::{Code, Fault, Place};
use crate::geometry::Shape;
use crate::geometry::shape::lon_lat;

pub(super) fn opinion(shape: &Shape) -> Option<Fault> {
    let geo::Geometry::MultiPolygon(polygons) = shape.to_geo() else {
        return None;
    };
    let at = place(&polygons.check_validation().err()?);
    let ring = shape
        .parts()
        .get(at.part)
        .and_then(|part| part.get(at.segment));
    let first = ring.and_then(|ring| lon_lat(ring)).unwrap_or_default();
    Some(Fault::new(Code::Invalid, shape.kind(), at, first.into()))
}

fn place(error: &InvalidMultiPolygon) -> Place {
    let in_part = |part, segment| Place {
        part,
        segment,
        vertex: 0,
    };
    match error {
        InvalidMultiPolygon::InvalidPolygon(part, fault) => in_part(part.0, segment(fault)),
        InvalidMultiPolygon::ElementsOverlaps(part, _)
        | InvalidMultiPolygon::ElementsTouchOnALine(part, _) => in_part(part.0, 0),
    }
}

fn segment(fault: &InvalidPolygon) -> usize {
    let role = match fault {
        InvalidPolygon::TooFewPointsInRing(role)
        | InvalidPolygon::SelfIntersection(role)
        | InvalidPolygon::NonFiniteCoord(role, _)
        | InvalidPolygon::InteriorRingNotContainedInExteriorRing(role)
        | InvalidPolygon::IntersectingRingsOnALine(_, role)
        | InvalidPolygon::IntersectingRingsOnAnArea(_, role) => role,
    };
    match role {
        RingRole::Exterior => 0,
        RingRole::Interior(hole) => hole + 1,
    }
}
