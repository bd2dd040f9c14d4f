//! GPX 1.1 (and what 1.0 shares with it): waypoints, routes and tracks.
//!
//! | GPX | feature |
//! |---|---|
//! | `wpt` | Point |
//! | `rte` | LineString |
//! | `trk` | MultiLineString, a line per segment |
//!
//! `ele` is the height, the `time` of a line's vertices is in the property `times`; everything else of a waypoint, route
//! or track is a property, named as GDAL names it (`link1_href`). What GPX has no element for is in `extensions`.

mod fields;
mod reader;
mod writer;

pub(super) use reader::Reader;
pub(super) use writer::write;
