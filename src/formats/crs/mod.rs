//! Reference systems of files, and the way from them to WGS 84.
//!
//! Coordinates are x, y: easting before northing, longitude before latitude, whatever order the system's authority
//! prefers; all formats here are written like that. Heights are kept as they are. Datums are shifted by the three or
//! seven parameters that the EPSG table of `crs-definitions` gives, as PROJ does without grids: metres for most old
//! datums. A system whose shift is unknown, or needs a grid file, is refused. Start with [`Crs`].

mod wkt;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use proj4rs::Proj;
use proj4rs::adaptors::transform_xy;

use super::error::Fault;
use super::shape::Rings;

/// The most that rounding may carry a longitude or latitude beyond its range, in degrees (0.1 mm).
const OVERSHOOT_DEG: f64 = 1e-9;
/// WGS 84 longitude and latitude in PROJ's words.
const WGS84: &str = "+proj=longlat +datum=WGS84 +no_defs";

/// A reference system that coordinates can be read in.
#[derive(Clone, Debug, Default)]
pub enum Crs {
    /// WGS 84 longitude and latitude, or a system that differs from it by less than two metres (ETRS89, NAD83).
    #[default]
    Wgs84,
    /// Any other.
    Other(Arc<Projected>),
}

/// The reference system of a file's coordinates, and what becomes of them.
#[derive(Clone, Debug, Default)]
pub(super) struct FileCrs {
    /// The system for what names none itself.
    pub(super) crs: Crs,
    /// Somebody said so, whatever the file says.
    pub(super) fixed: bool,
    /// What becomes of rings.
    pub(super) rings: Rings,
}

impl FileCrs {
    /// What somebody said, else WGS 84 until the file says something.
    pub(super) fn new(said: Option<&Crs>, rings: Rings) -> Self {
        Self {
            crs: said.cloned().unwrap_or_default(),
            fixed: said.is_some(),
            rings,
        }
    }

    /// Takes what the file says, unless somebody knows better.
    pub(super) fn found(
        &mut self,
        crs: impl FnOnce() -> Result<Crs, UnknownCrs>,
    ) -> Result<(), UnknownCrs> {
        if !self.fixed {
            self.crs = crs()?;
        }
        Ok(())
    }
}

/// A system other than WGS 84, with the way to it.
pub struct Projected {
    name: String,
    from: Proj,
    to: Proj,
    geographic: bool,
}

impl fmt::Debug for Projected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Crs {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Wgs84, Self::Wgs84) => true,
            (Self::Other(one), Self::Other(other)) => one.name == other.name,
            _ => false,
        }
    }
}

/// A reference system that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reference system {found} cannot be read: {why}")]
pub struct UnknownCrs {
    /// Its name, cut after some characters.
    pub found: String,
    /// What is missing.
    pub why: &'static str,
}

impl UnknownCrs {
    fn new(found: &str, why: &'static str) -> Self {
        Self {
            found: found.chars().take(QUOTE_CHARS).collect(),
            why,
        }
    }
}

/// Longest piece of a definition that an error quotes.
const QUOTE_CHARS: usize = 80;
const UNKNOWN: &str = "it is not in the EPSG table";
const UNSUPPORTED: &str = "its projection is not supported";
const NO_SHIFT: &str = "no shift from its datum to WGS 84 is known";
const NEEDS_GRID: &str = "the shift from its datum takes a grid file";

impl FromStr for Crs {
    type Err = UnknownCrs;

    /// A name as in `EPSG:25832`, a URN or address of OGC, `CRS84`, or a definition as well-known text.
    fn from_str(text: &str) -> Result<Self, UnknownCrs> {
        let text = text.trim();
        if text.contains('[') {
            return Self::from_wkt(text);
        }
        let upper = text.to_ascii_uppercase();
        let last = upper
            .rsplit([':', '/', '#'])
            .next()
            .unwrap_or_default()
            .trim();
        if matches!(last, "CRS84" | "CRS84H" | "WGS84" | "WGS 84") {
            return Ok(Self::Wgs84);
        }
        let code = last.parse().ok();
        match code.filter(|_| upper.contains("EPSG") || upper.contains("ESRI")) {
            Some(code) => Self::from_epsg(code).map_err(|error| UnknownCrs::new(text, error.why)),
            None => Err(UnknownCrs::new(text, UNKNOWN)),
        }
    }
}

impl Crs {
    /// The system of this EPSG code; Esri's numbers for Web Mercator are known too.
    ///
    /// # Errors
    /// When the code is not in the table, or its projection or datum cannot be read.
    pub fn from_epsg(code: u32) -> Result<Self, UnknownCrs> {
        let name = format!("EPSG:{code}");
        let code = match code {
            4326 | 4979 => return Ok(Self::Wgs84),
            102_100 | 102_113 | 900_913 | 3785 => 3857,
            code => u16::try_from(code).map_err(|_| UnknownCrs::new(&name, UNKNOWN))?,
        };
        let known = definition(code).ok_or_else(|| UnknownCrs::new(&name, UNKNOWN))?;
        Self::from_proj(&name, known)
    }

    /// The system that well-known text defines (OGC 01-009, Esri's dialect, and newer text that names an EPSG code).
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub fn from_wkt(text: &str) -> Result<Self, UnknownCrs> {
        let definition = wkt::read(text)
            .ok_or_else(|| UnknownCrs::new(text, "its definition is not well-known text"))?;
        if let Some(code) = definition.epsg()
            && let Ok(crs) = Self::from_epsg(code)
        {
            return Ok(crs);
        }
        let proj = definition
            .to_proj()
            .map_err(|why| UnknownCrs::new(definition.name(), why))?;
        Self::from_proj(definition.name(), &proj)
    }

    fn from_proj(name: &str, definition: &str) -> Result<Self, UnknownCrs> {
        let refused = |why| UnknownCrs::new(name, why);
        let has = |part: &str| definition.contains(part);
        let modern = has("+ellps=GRS80") || has("+ellps=WGS84");
        let zero = has("+towgs84=0,0,0 ") || has("+towgs84=0,0,0,0,0,0,0");
        let near_wgs84 =
            has("+datum=WGS84") || has("+datum=NAD83") || (modern && (zero || !has("+towgs84")));
        let shifted = near_wgs84
            || has("+datum=")
            || has("+towgs84")
            || has("+nadgrids=@null")
            || has("+a=6378137 +b=6378137");
        if has("+datum=NAD27") || (has("+nadgrids=") && !has("+nadgrids=@null")) {
            return Err(refused(NEEDS_GRID));
        }
        if has("+proj=geocent") {
            return Err(refused("it has no longitude and latitude, nor a plane"));
        }
        if !shifted {
            return Err(refused(NO_SHIFT));
        }
        let geographic = has("+proj=longlat") || has("+proj=latlong");
        if geographic && near_wgs84 && !has("+pm=") && !has("+axis=") && !has("+to_degrees=") {
            return Ok(Self::Wgs84);
        }
        let from = Proj::from_proj_string(definition).map_err(|_| refused(UNSUPPORTED))?;
        let to = Proj::from_proj_string(WGS84).map_err(|_| refused(UNSUPPORTED))?;
        if !from.has_inverse() {
            return Err(refused(UNSUPPORTED));
        }
        Ok(Self::Other(Arc::new(Projected {
            name: name.to_owned(),
            from,
            to,
            geographic,
        })))
    }

    /// Whether coordinates in it are taken as they are.
    #[must_use]
    pub fn is_wgs84(&self) -> bool {
        matches!(self, Self::Wgs84)
    }

    /// Turns x and y into longitude and latitude in degrees; the third number stays.
    pub(super) fn to_wgs84(&self, values: &mut [f64; 3]) -> Result<(), Fault> {
        let Self::Other(system) = self else {
            return Ok(());
        };
        let [x, y, _] = *values;
        let (from_x, from_y) = if system.geographic {
            (x.to_radians(), y.to_radians())
        } else {
            (x, y)
        };
        let moved = transform_xy(&system.from, &system.to, from_x, from_y)
            .ok()
            .map(|(lon, lat)| (lon.to_degrees(), lat.to_degrees()))
            .filter(|(lon, lat)| lon.is_finite() && lat.is_finite());
        let Some((lon, lat)) = moved else {
            return Err(Fault::Outside {
                position: [x, y],
                crs: system.name.clone(),
            });
        };
        let [out_lon, out_lat, _] = values;
        *out_lon = clamped(lon, 180.0);
        *out_lat = clamped(lat, 90.0);
        Ok(())
    }
}

impl fmt::Display for Crs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wgs84 => f.write_str("WGS 84"),
            Self::Other(system) => f.write_str(&system.name),
        }
    }
}

/// Takes back what rounding added beyond the range.
fn clamped(degrees: f64, most: f64) -> f64 {
    if degrees.abs() > most && degrees.abs() - most < OVERSHOOT_DEG {
        most.copysign(degrees)
    } else {
        degrees
    }
}

fn definition(code: u16) -> Option<&'static str> {
    crs_definitions::from_code(code).map(|definition| definition.proj4)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn moved(crs: &str, x: f64, y: f64) -> (f64, f64) {
        let mut values = [x, y, 7.0];
        crs.parse::<Crs>().unwrap().to_wgs84(&mut values).unwrap();
        assert_eq!(values[2], 7.0);
        (values[0], values[1])
    }

    fn near(found: (f64, f64), lon: f64, lat: f64, degrees: f64) {
        assert!(
            (found.0 - lon).abs() < degrees && (found.1 - lat).abs() < degrees,
            "{found:?} is not {lon} {lat}"
        );
    }

    #[test]
    fn every_way_to_name_wgs_84_is_known() {
        for name in [
            "EPSG:4326",
            "epsg:4326",
            "urn:ogc:def:crs:EPSG::4326",
            "urn:ogc:def:crs:EPSG:6.9:4326",
            "urn:ogc:def:crs:OGC:1.3:CRS84",
            "urn:ogc:def:crs:OGC::CRS84",
            "OGC:CRS84",
            "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
            "http://www.opengis.net/def/crs/EPSG/0/4326",
            "http://www.opengis.net/gml/srs/epsg.xml#4326",
            "EPSG:4979",
            "EPSG:4269",
            "EPSG:4258",
            "WGS 84",
        ] {
            assert_eq!(name.parse(), Ok(Crs::Wgs84), "{name}");
        }
    }

    #[test]
    fn projected_coordinates_become_degrees() {
        // Reference values from PROJ 9.
        near(
            moved("EPSG:3857", 1_113_194.907_932_735_7, 6_446_275.841_017_161),
            10.0,
            50.0,
            1e-9,
        );
        near(
            moved(
                "urn:ogc:def:crs:EPSG::25832",
                500_000.0,
                5_538_630.702_867_209,
            ),
            9.0,
            50.0,
            1e-8,
        );
        near(moved("EPSG:32633", 500_000.0, 0.0), 15.0, 0.0, 1e-9);
        // The old observatory of Berne is the origin of the Swiss grid.
        near(
            moved("EPSG:2056", 2_600_000.0, 1_200_000.0),
            7.438_632_495,
            46.951_082_877,
            1e-6,
        );
        near(
            moved("EPSG:27700", 400_000.0, 300_000.0),
            -2.0016,
            52.5976,
            1e-3,
        );
    }

    #[test]
    fn well_known_text_is_read_by_code_or_by_what_it_says() {
        let esri = r#"PROJCS["ETRS_1989_UTM_Zone_32N",GEOGCS["GCS_ETRS_1989",DATUM["D_ETRS_1989",SPHEROID["GRS_1980",6378137.0,298.257222101]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",9.0],PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]"#;
        near(
            moved(esri, 500_000.0, 5_538_630.702_867_209),
            9.0,
            50.0,
            1e-8,
        );
        let nad83 = r#"GEOGCS["GCS_North_American_1983",DATUM["D_North_American_1983",SPHEROID["GRS_1980",6378137.0,298.257222101]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]"#;
        assert_eq!(nad83.parse(), Ok(Crs::Wgs84));
        let feet = r#"PROJCS["NAD_1983_StatePlane_New_York_Long_Island_FIPS_3104_Feet",GEOGCS["GCS_North_American_1983",DATUM["D_North_American_1983",SPHEROID["GRS_1980",6378137.0,298.257222101]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Lambert_Conformal_Conic"],PARAMETER["False_Easting",984250.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",-74.0],PARAMETER["Standard_Parallel_1",40.66666666666666],PARAMETER["Standard_Parallel_2",41.03333333333333],PARAMETER["Latitude_Of_Origin",40.16666666666666],UNIT["Foot_US",0.3048006096012192]]"#;
        near(
            moved(feet, 984_250.0, 0.0),
            -74.0,
            40.166_666_666_666_66,
            1e-9,
        );
        let (x, y) = (1_000_000.0, 200_000.0);
        let (lon, lat) = moved("EPSG:2263", x, y);
        near(moved(feet, x, y), lon, lat, 1e-9);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let why = |text: &str| text.parse::<Crs>().unwrap_err().to_string();
        assert!(why("EPSG:65000").contains("EPSG table"));
        assert!(why("EPSG:99999999").contains("EPSG table"));
        assert!(why("EPSG:4267").contains("grid"));
        assert!(why("EPSG:4978").contains("no longitude"));
        assert!(why("local grid").contains("EPSG table"));
        assert!(why("LOCAL_CS[\"site\"]").contains("site"));
        assert!(why("PROJCS[[[[").contains("well-known text"));
        let deep = "A[".repeat(100_000);
        assert!(why(&deep).contains("well-known text"));
    }

    #[test]
    fn every_system_of_the_table_gives_an_answer_without_a_panic() {
        let mut readable = 0;
        for code in 0..=u16::MAX {
            if let Ok(crs) = Crs::from_epsg(u32::from(code)) {
                readable += 1;
                for (x, y) in [
                    (0.0, 0.0),
                    (1e7, 1e7),
                    (-179.0, 89.0),
                    (f64::MAX, 1.0),
                    (4e5, 5e6),
                ] {
                    let _ = crs.to_wgs84(&mut [x, y, 0.0]);
                }
            }
        }
        assert!(readable > 4000, "{readable}");
    }
}
