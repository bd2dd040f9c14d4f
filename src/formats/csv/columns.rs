//! Which column is what, by the header.

use crate::formats::error::Fault;
use crate::formats::records::ReadOptions;
use crate::formats::table::ID_COLUMN;

/// Names of the column of longitudes, the most telling first; in any case of letters.
const X_NAMES: [&str; 6] = ["lon", "lng", "long", "longitude", "x", "easting"];
/// Names of the column of latitudes.
const Y_NAMES: [&str; 4] = ["lat", "latitude", "y", "northing"];
/// The name of the column of heights, read beside columns of longitudes and latitudes.
const Z_NAME: &str = "z";
/// Names of the column of well-known text. The first is written where the others are names of properties.
const WKT_NAMES: [&str; 6] = [
    OWN_WKT,
    "wkt",
    "geometry",
    "geom",
    "the_geom",
    "wkb_geometry",
];
/// Holds the geometry whatever else there is.
const OWN_WKT: &str = "mapweave_wkt";
/// Names of the column of ids. The first is written where the other is the name of a property.
const ID_NAMES: [&str; 2] = [ID_COLUMN, "id"];

/// Columns by their place in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) id: Option<usize>,
    pub(super) geometry: Geometry,
}

/// Where the geometry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Geometry {
    #[default]
    /// Nowhere.
    None,
    /// In one column.
    Wkt(usize),
    /// In columns of numbers.
    Point {
        x: usize,
        y: usize,
        z: Option<usize>,
    },
}

impl Columns {
    /// What the header says; columns that somebody named come before well-known text, and that before the usual names.
    pub(super) fn find(header: &[String], options: &ReadOptions) -> Result<Self, Fault> {
        let exact = |name: &str| header.iter().position(|column| column == name);
        let any = |names: &[&str]| {
            let place = |name: &&str| {
                header
                    .iter()
                    .position(|column| column.trim().eq_ignore_ascii_case(name))
            };
            names.iter().find_map(place)
        };
        let z = any(&[Z_NAME]);
        let geometry = match (&options.x, &options.y) {
            (Some(x), Some(y)) => {
                let named = |name: &str| {
                    exact(name)
                        .or_else(|| any(&[name]))
                        .ok_or_else(|| no_column(name, header))
                };
                let (x, y) = (named(x)?, named(y)?);
                let z = z.filter(|z| *z != x && *z != y);
                Geometry::Point { x, y, z }
            }
            _ => match (any(&WKT_NAMES), any(&X_NAMES), any(&Y_NAMES)) {
                (Some(column), ..) => Geometry::Wkt(column),
                (None, Some(x), Some(y)) => Geometry::Point { x, y, z },
                _ => return Err(no_geometry(header)),
            },
        };
        let columns = Self {
            id: any(&ID_NAMES),
            geometry,
        };
        Ok(columns)
    }

    /// Whether the column holds something else than a property.
    pub(super) fn taken(&self, column: usize) -> bool {
        let geometry = match self.geometry {
            Geometry::None => false,
            Geometry::Wkt(wkt) => column == wkt,
            Geometry::Point { x, y, z } => column == x || column == y || Some(column) == z,
        };
        geometry || self.id == Some(column)
    }
}

/// The name to write ids under, beside properties of these names.
pub(super) fn id_name<'p>(mut properties: impl Iterator<Item = &'p str>) -> &'static str {
    let [own, usual] = ID_NAMES;
    if properties.any(|name| name.trim().eq_ignore_ascii_case(usual)) {
        own
    } else {
        usual
    }
}

/// The name to write well-known text under, beside properties of these names.
pub(super) fn wkt_name<'p>(mut properties: impl Iterator<Item = &'p str>) -> &'static str {
    if properties.any(|name| is_one_of(name, &WKT_NAMES)) {
        OWN_WKT
    } else {
        "WKT"
    }
}

/// Whether no property of these names would be taken for a coordinate.
pub(super) fn coordinates_stand_apart<'p>(mut properties: impl Iterator<Item = &'p str>) -> bool {
    !properties.any(|name| {
        is_one_of(name, &WKT_NAMES)
            || is_one_of(name, &X_NAMES)
            || is_one_of(name, &Y_NAMES)
            || is_one_of(name, &[Z_NAME])
    })
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names
        .iter()
        .any(|known| name.trim().eq_ignore_ascii_case(known))
}

fn no_column(name: &str, header: &[String]) -> Fault {
    Fault::Unreadable {
        what: format!(
            "there is no column {name:?}; the columns are {}",
            quoted(header)
        ),
        hint: "name columns of the file's first line",
    }
}

fn no_geometry(header: &[String]) -> Fault {
    Fault::Unreadable {
        what: format!(
            "no column looks like coordinates; the columns are {}",
            quoted(header)
        ),
        hint: "say which ones hold them, as in --x EAST --y NORTH, or give a column WKT",
    }
}

/// Columns that an error names, at most.
const NAMED_MAX: usize = 20;

fn quoted(header: &[String]) -> String {
    let names: Vec<String> = header
        .iter()
        .take(NAMED_MAX)
        .map(|name| format!("{:?}", name.chars().take(40).collect::<String>()))
        .collect();
    let more = if header.len() > NAMED_MAX {
        ", …"
    } else {
        ""
    };
    format!("{}{more}", names.join(", "))
}
