//! The direction in which rings run.

use super::{Part, Segment, Shape};

impl Shape {
    /// The shape with exteriors counter-clockwise and holes clockwise (RFC 7946 §3.1.6), each ring from the same position
    /// as before; `None` if that is how it is. Directions are those in the plane of longitude and latitude.
    #[must_use]
    pub fn wound(&self) -> Option<Self> {
        if !self.kind().has_rings() {
            return None;
        }
        let numbers = self.dims().numbers();
        // A ring so flat that its area is rounding alone stays as it is: turned, it might seem wrong again.
        let wrong = |index: usize, ring: &Segment| {
            let area = doubled_area(ring.chunks_exact(numbers));
            let back = ring.chunks_exact(numbers).take(1);
            let back = doubled_area(back.chain(ring.chunks_exact(numbers).skip(1).rev()));
            if index == 0 {
                area < 0.0 && back >= 0.0
            } else {
                area > 0.0 && back <= 0.0
            }
        };
        let any = self.parts().iter().any(|part| {
            part.iter()
                .enumerate()
                .any(|(index, ring)| wrong(index, ring))
        });
        if !any {
            return None;
        }
        let turn = |part: &Part| -> Part {
            let rings = part.iter().enumerate();
            rings
                .map(|(index, ring)| {
                    if !wrong(index, ring) {
                        return ring.clone();
                    }
                    let mut vertices = ring.chunks_exact(numbers);
                    let first = vertices.next();
                    first
                        .into_iter()
                        .chain(vertices.rev())
                        .flatten()
                        .copied()
                        .collect()
                })
                .collect()
        };
        Self::new(
            self.kind(),
            self.dims(),
            self.parts().iter().map(turn).collect(),
        )
    }
}

/// Twice the planar area of an open ring, positive if it runs counter-clockwise; relative to its first vertex, so that
/// small rings far from the origin keep their sign.
fn doubled_area<'v>(ring: impl Iterator<Item = &'v [f64]>) -> f64 {
    let mut vertices = ring.filter_map(|vertex| match vertex {
        [x, y, ..] => Some((*x, *y)),
        _ => None,
    });
    let Some((x0, y0)) = vertices.next() else {
        return 0.0;
    };
    let mut area = 0.0;
    let mut before = (0.0, 0.0);
    for (x, y) in vertices {
        let here = (x - x0, y - y0);
        area += before.0 * here.1 - here.0 * before.1;
        before = here;
    }
    area
}
