//! Angles between places on the unit sphere, geodetic latitudes taken as they are: cheap bounds for distances on
//! the ellipsoid. All angles are in radians, all positions in degrees.

use super::BBox;
use super::plane::Point;

/// Metres that a radian of [`angle`] is at least worth on WGS 84: the smallest radius of curvature, that of the
/// meridian at the equator (a(1−f)² / 1 = 6 335 439 m), less what rounding may add.
///
/// The metric of the ellipsoid is M²dφ² + N²cos²φ dλ², with M and N nowhere below this; that of the unit sphere
/// is dφ² + cos²φ dλ². So no geodesic is shorter than this times the angle.
pub(super) const METRES_PER_RADIAN_MIN: f64 = 6_335_439.0 * (1.0 - 1e-9);

/// The angle between two places by the haversine formula.
pub(super) fn angle(a: Point, b: Point) -> f64 {
    let (lat_a, lat_b) = (a.y.to_radians(), b.y.to_radians());
    let (dy, dx) = ((lat_b - lat_a) / 2.0, (b.x - a.x).to_radians() / 2.0);
    let h = dy.sin().powi(2) + lat_a.cos() * lat_b.cos() * dx.sin().powi(2);
    2.0 * h.clamp(0.0, 1.0).sqrt().asin()
}

/// The angle from a place to the nearest one between two meridians and two parallels; 0 inside.
pub(super) fn angle_to_box(from: Point, area: &BBox) -> f64 {
    let [west, south, east, north] = area.sides();
    let width = if west <= east {
        east - west
    } else {
        east - west + 360.0
    };
    if width >= 360.0 || (from.x - west).rem_euclid(360.0) <= width {
        return (south - from.y).max(from.y - north).max(0.0).to_radians();
    }
    let (to_west, to_east) = (
        (west - from.x).rem_euclid(360.0),
        (from.x - east).rem_euclid(360.0),
    );
    let apart = to_west.min(to_east);
    // The foot of the perpendicular on the nearer meridian, or one of the corners.
    let (lat, dx) = (from.y.to_radians(), apart.to_radians());
    let foot = lat.sin().atan2(lat.cos() * dx.cos()).to_degrees();
    [foot.clamp(south, north), south, north]
        .into_iter()
        .map(|y| {
            angle(
                from,
                Point {
                    x: from.x + apart,
                    y,
                },
            )
        })
        .fold(f64::INFINITY, f64::min)
}

/// The point of an edge, straight in longitude and latitude, that is nearest to a place by [`angle`].
pub(super) fn nearest_on_edge(from: Point, start: Point, end: Point) -> (Point, f64) {
    let span = end - start;
    // Along a short piece the angle falls and then rises; along a long one it may do so twice.
    let pieces = (span.x.abs().max(span.y.abs()) / PIECE_DEG)
        .ceil()
        .clamp(1.0, PIECES_MAX);
    let at = |t: f64| start + span * t;
    let cost = |t: f64| angle(from, at(t));
    let mut best = if cost(0.0) <= cost(1.0) { 0.0 } else { 1.0 };
    let mut piece = 0.0;
    while piece < pieces {
        let (mut low, mut high) = (piece / pieces, (piece + 1.0) / pieces);
        for _ in 0..HALVINGS {
            let (a, b) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
            if cost(a) <= cost(b) {
                high = b
            } else {
                low = a
            }
        }
        let middle = low + (high - low) / 2.0;
        if cost(middle) < cost(best) {
            best = middle;
        }
        piece += 1.0;
    }
    (at(best), cost(best))
}

const PIECE_DEG: f64 = 10.0;
const PIECES_MAX: f64 = 36.0;
/// (2/3)^60 of ten degrees is below a micrometre.
const HALVINGS: usize = 60;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = Point> {
        (-180.0..=180.0, -90.0..=90.0).prop_map(|(x, y)| Point { x, y })
    }

    proptest! {
        #[test]
        fn nothing_in_a_box_is_nearer_than_the_box(
            from in place(), a in place(), b in place(), s in 0.0..=1.0_f64, t in 0.0..=1.0_f64,
        ) {
            let area = BBox::new(a.x, a.y.min(b.y), b.x, a.y.max(b.y)).unwrap();
            let [west, south, east, north] = area.sides();
            let width = if west <= east { east - west } else { east - west + 360.0 };
            let inside = Point { x: west + width * s, y: south + (north - south) * t };
            prop_assert!(angle_to_box(from, &area) <= angle(from, inside) + 1e-12);
        }

        #[test]
        fn no_vertex_or_middle_of_an_edge_is_nearer_than_its_nearest_point(
            from in place(), a in place(), b in place(), t in 0.0..=1.0_f64,
        ) {
            let (_, nearest) = nearest_on_edge(from, a, b);
            prop_assert!(nearest <= angle(from, a + (b - a) * t) + 1e-6);
        }
    }
}
