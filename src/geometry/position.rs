//! One checked position: longitude, latitude and perhaps height.

/// A place on the earth: longitude and latitude in decimal degrees, height in metres above the ellipsoid (WGS 84).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    lon: f64,
    lat: f64,
    height_m: Option<f64>,
}

/// Why three numbers are no position.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PositionError {
    /// A number is infinite or not a number.
    #[error("a coordinate is not a finite number")]
    NotFinite,
    /// Longitude outside −180 to 180 degrees.
    #[error("the longitude {0} is outside -180 to 180")]
    Longitude(f64),
    /// Latitude outside −90 to 90 degrees.
    #[error("the latitude {0} is outside -90 to 90")]
    Latitude(f64),
}

impl Position {
    /// A position from longitude, latitude (degrees) and height (metres).
    ///
    /// # Errors
    /// When a number is not finite or a degree is out of range.
    pub fn new(lon: f64, lat: f64, height_m: Option<f64>) -> Result<Self, PositionError> {
        if !lon.is_finite()
            || !lat.is_finite()
            || height_m.is_some_and(|height| !height.is_finite())
        {
            return Err(PositionError::NotFinite);
        }
        if !(-180.0..=180.0).contains(&lon) {
            return Err(PositionError::Longitude(lon));
        }
        if !(-90.0..=90.0).contains(&lat) {
            return Err(PositionError::Latitude(lat));
        }
        Ok(Self { lon, lat, height_m })
    }

    /// Degrees east of Greenwich, −180 to 180.
    #[must_use]
    pub fn lon(&self) -> f64 {
        self.lon
    }

    /// Degrees north of the equator, −90 to 90.
    #[must_use]
    pub fn lat(&self) -> f64 {
        self.lat
    }

    /// Metres above the ellipsoid, where known.
    #[must_use]
    pub fn height_m(&self) -> Option<f64> {
        self.height_m
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_names_the_number_that_is_wrong() {
        assert!(Position::new(-180.0, 90.0, Some(-11_000.0)).is_ok());
        assert_eq!(
            Position::new(180.5, 0.0, None),
            Err(PositionError::Longitude(180.5))
        );
        assert_eq!(
            Position::new(0.0, -91.0, None),
            Err(PositionError::Latitude(-91.0))
        );
        assert_eq!(
            Position::new(f64::NAN, 0.0, None),
            Err(PositionError::NotFinite)
        );
        assert_eq!(
            Position::new(0.0, 0.0, Some(f64::INFINITY)),
            Err(PositionError::NotFinite)
        );
    }
}
