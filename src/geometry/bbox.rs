//! Boxes in longitude and latitude, also across the antimeridian.

use std::str::FromStr;

/// An area between two meridians and two parallels, in degrees: west, south, east, north (RFC 7946 §5).
///
/// `west > east` means that the area crosses the antimeridian (§5.2). Borders belong to the area.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BBox {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

/// Why numbers or a text are no box.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BBoxError {
    /// Not four numbers joined by commas.
    #[error("expected four numbers west,south,east,north but got {0:?}")]
    NotFourNumbers(String),
    /// A number is infinite or not a number.
    #[error("a side of the box is not a finite number")]
    NotFinite,
    /// A meridian outside −180 to 180 degrees.
    #[error("the longitude {0} is outside -180 to 180")]
    Longitude(f64),
    /// A parallel outside −90 to 90 degrees.
    #[error("the latitude {0} is outside -90 to 90 (the order is west,south,east,north)")]
    Latitude(f64),
    /// The southern border lies north of the northern one.
    #[error("south ({south}) is greater than north ({north})")]
    SouthAboveNorth {
        /// The second number.
        south: f64,
        /// The fourth number.
        north: f64,
    },
}

impl BBox {
    /// A box from its sides in degrees.
    ///
    /// # Errors
    /// When a number is not finite or out of range, or south lies north of north.
    pub fn new(west: f64, south: f64, east: f64, north: f64) -> Result<Self, BBoxError> {
        if ![west, south, east, north]
            .iter()
            .all(|side| side.is_finite())
        {
            return Err(BBoxError::NotFinite);
        }
        if let Some(bad) = [west, east].into_iter().find(|lon| lon.abs() > 180.0) {
            return Err(BBoxError::Longitude(bad));
        }
        if let Some(bad) = [south, north].into_iter().find(|lat| lat.abs() > 90.0) {
            return Err(BBoxError::Latitude(bad));
        }
        if south > north {
            return Err(BBoxError::SouthAboveNorth { south, north });
        }
        Ok(Self {
            west,
            south,
            east,
            north,
        })
    }

    /// Everywhere.
    #[must_use]
    pub fn world() -> Self {
        Self {
            west: -180.0,
            south: -90.0,
            east: 180.0,
            north: 90.0,
        }
    }

    /// The smallest box around planar positions, whatever their range; for measuring stored content.
    pub(super) fn around(positions: impl Iterator<Item = (f64, f64)>) -> Option<Self> {
        positions
            .map(|(lon, lat)| Self::of_point(lon, lat))
            .reduce(|a, b| a.union(&b))
    }

    /// The box of one planar position, whatever its range.
    pub(super) fn of_point(lon: f64, lat: f64) -> Self {
        Self {
            west: lon,
            south: lat,
            east: lon,
            north: lat,
        }
    }

    /// Degrees, west, south, east, north.
    #[must_use]
    pub fn sides(&self) -> [f64; 4] {
        [self.west, self.south, self.east, self.north]
    }

    /// Whether the area crosses the antimeridian.
    #[must_use]
    pub fn crosses_antimeridian(&self) -> bool {
        self.west > self.east
    }

    /// Whether the position lies inside or on the border. 180° and −180° are the same meridian.
    #[must_use]
    pub fn contains(&self, lon: f64, lat: f64) -> bool {
        let rows = (self.south..=self.north).contains(&lat);
        let columns = |lon: f64| {
            if self.crosses_antimeridian() {
                lon >= self.west || lon <= self.east
            } else {
                (self.west..=self.east).contains(&lon)
            }
        };
        rows && (columns(lon) || (lon.abs() == 180.0 && columns(-lon)))
    }

    /// Whether the two areas share a point.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.halves()
            .into_iter()
            .flatten()
            .any(|a| other.halves().into_iter().flatten().any(|b| a.meets(&b)))
    }

    /// Whether all of `other`, which does not cross the antimeridian, lies in the area.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let within = |half: &Self| {
            half.west <= other.west
                && other.east <= half.east
                && half.south <= other.south
                && other.north <= half.north
        };
        self.halves().iter().flatten().any(within)
    }

    /// The smallest box without antimeridian crossing around both, neither of which crosses it.
    pub(super) fn union(&self, other: &Self) -> Self {
        Self {
            west: self.west.min(other.west),
            south: self.south.min(other.south),
            east: self.east.max(other.east),
            north: self.north.max(other.north),
        }
    }

    /// The one or two parts that do not cross the antimeridian.
    pub(super) fn halves(&self) -> [Option<Self>; 2] {
        if self.crosses_antimeridian() {
            [
                Some(Self {
                    east: 180.0,
                    ..*self
                }),
                Some(Self {
                    west: -180.0,
                    ..*self
                }),
            ]
        } else {
            [Some(*self), None]
        }
    }

    /// [`Self::intersects`] for two boxes of which neither crosses the antimeridian.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.west <= other.east
            && other.west <= self.east
            && self.south <= other.north
            && other.south <= self.north
    }
}

impl FromStr for BBox {
    type Err = BBoxError;

    /// `west,south,east,north` in decimal degrees; spaces around the numbers do not matter.
    fn from_str(text: &str) -> Result<Self, BBoxError> {
        let wrong = || BBoxError::NotFourNumbers(text.to_owned());
        let numbers: Vec<f64> = text
            .split(',')
            .map(|side| side.trim().parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()?;
        match numbers[..] {
            [west, south, east, north] => Self::new(west, south, east, north),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_box_across_the_antimeridian_contains_both_sides_of_it_and_nothing_else() {
        let fiji = BBox::new(177.0, -20.0, -178.0, -15.0).unwrap();
        assert!(fiji.crosses_antimeridian());
        assert!(
            fiji.contains(179.0, -17.0)
                && fiji.contains(-179.0, -17.0)
                && fiji.contains(180.0, -17.0)
        );
        assert!(!fiji.contains(0.0, -17.0) && !fiji.contains(179.0, 0.0));
        assert!(fiji.intersects(&BBox::new(-180.0, -90.0, -179.0, 90.0).unwrap()));
        assert!(!fiji.intersects(&BBox::new(-170.0, -90.0, 170.0, 90.0).unwrap()));
    }

    #[test]
    fn a_box_is_read_from_text_and_says_what_is_wrong() {
        assert_eq!("8, 47,9,48".parse(), BBox::new(8.0, 47.0, 9.0, 48.0));
        assert!(matches!(
            "8,47,9".parse::<BBox>(),
            Err(BBoxError::NotFourNumbers(_))
        ));
        assert!(matches!(
            "8,47,9,x".parse::<BBox>(),
            Err(BBoxError::NotFourNumbers(_))
        ));
        assert!(matches!(
            "8,47,9,inf".parse::<BBox>(),
            Err(BBoxError::NotFinite)
        ));
        assert!(matches!(
            "8,48,9,47".parse::<BBox>(),
            Err(BBoxError::SouthAboveNorth { .. })
        ));
        assert!(matches!(
            "47,8,48,91".parse::<BBox>(),
            Err(BBoxError::Latitude(_))
        ));
        assert!(matches!(
            "200,8,48,9".parse::<BBox>(),
            Err(BBoxError::Longitude(_))
        ));
    }
}
