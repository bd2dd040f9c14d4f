//! One fault: its code, its place, its sentence.

use std::fmt;

use crate::geometry::plane::Point;
use crate::geometry::{Kind, PositionError, Shape, ShapeFault};

/// A vertex of a shape; of an edge, the vertex at which it starts. All numbers count from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Number of the part in [`Shape::parts`].
    pub part: usize,
    /// Number of the segment in the part; of a polygon, 0 is the exterior and the others are holes.
    pub segment: usize,
    /// Number of the vertex in the segment.
    pub vertex: usize,
}

/// Something wrong with a geometry. Displays as a sentence for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What it is.
    pub code: Code,
    /// Number of the simple geometry in a collection, counted in order of reading; 0 if it is none.
    pub member: usize,
    /// Where it is.
    pub at: Place,
    /// The other edge, ring or part where there are two.
    pub with: Option<Place>,
    /// Longitude and latitude in degrees; the rounded place of a crossing.
    pub position: [f64; 2],
    /// How many more faults of this code there are that are not listed; not zero on the last of a code only.
    pub more: usize,
    /// Whether segments are rings, for the sentence.
    kind: Kind,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The geometry is not valid: other software may refuse it or compute nonsense.
    Error,
    /// Valid, but probably not what somebody wanted.
    Warning,
}

impl Severity {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// The kinds of faults. The text form ([`Code::as_str`]) never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// A coordinate is infinite or not a number. Only in what was read from outside.
    NotFinite,
    /// Longitude beyond ±180 or latitude beyond ±90 degrees (RFC 7946 §4).
    OutOfRange,
    /// A line with fewer than two or a ring with fewer than three different positions in a row.
    TooFewPositions,
    /// The last position of a ring is not its first (RFC 7946 §3.1.6). Only in what was read from outside.
    UnclosedRing,
    /// Something that is no GeoJSON geometry at all. Only in what was read from outside.
    Unreadable,
    /// A ring goes out to a vertex and back on itself.
    Spike,
    /// A ring crosses itself.
    SelfCrossing,
    /// A ring touches itself at a point.
    SelfTouch,
    /// A ring runs along itself.
    SelfOverlap,
    /// Two rings of a polygon cross.
    RingsCross,
    /// Two rings of a polygon share more than points.
    RingsShareEdge,
    /// Two rings have the same vertices in the same order, perhaps backwards.
    DuplicateRing,
    /// A hole lies outside its exterior.
    HoleOutside,
    /// A hole lies inside another hole.
    NestedHoles,
    /// Rings touch at so many points that the interior falls apart.
    InteriorDisconnected,
    /// Two polygons of a `MultiPolygon` overlap.
    PartsOverlap,
    /// Two polygons of a `MultiPolygon` share more than points of their borders.
    PartsShareEdge,
    /// `geo` finds the polygon invalid without this module knowing the place.
    Invalid,
    /// Equal positions in a row.
    RepeatedVertex,
    /// An edge spans over 180 degrees of longitude: it probably means the short way, across the antimeridian,
    /// where a geometry should be cut (RFC 7946 §3.1.9).
    AntimeridianCrossing,
    /// A line crosses or touches itself; only if asked for.
    LineCrossesItself,
    /// The check would have taken too long and was cut short.
    NotFullyChecked,
}

impl Code {
    /// The stable name in kebab case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFinite => "not-finite",
            Self::OutOfRange => "out-of-range",
            Self::TooFewPositions => "too-few-positions",
            Self::UnclosedRing => "unclosed-ring",
            Self::Unreadable => "unreadable",
            Self::Spike => "spike",
            Self::SelfCrossing => "self-crossing",
            Self::SelfTouch => "self-touch",
            Self::SelfOverlap => "self-overlap",
            Self::RingsCross => "rings-cross",
            Self::RingsShareEdge => "rings-share-edge",
            Self::DuplicateRing => "duplicate-ring",
            Self::HoleOutside => "hole-outside",
            Self::NestedHoles => "nested-holes",
            Self::InteriorDisconnected => "interior-disconnected",
            Self::PartsOverlap => "parts-overlap",
            Self::PartsShareEdge => "parts-share-edge",
            Self::Invalid => "invalid",
            Self::RepeatedVertex => "repeated-vertex",
            Self::AntimeridianCrossing => "antimeridian-crossing",
            Self::LineCrossesItself => "line-crosses-itself",
            Self::NotFullyChecked => "not-fully-checked",
        }
    }

    /// Whether no [`Shape`] can have the fault, only coordinates that were not made one.
    pub(super) fn is_about_reading(self) -> bool {
        matches!(
            self,
            Self::NotFinite | Self::UnclosedRing | Self::Unreadable
        )
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::RepeatedVertex
            | Self::AntimeridianCrossing
            | Self::LineCrossesItself
            | Self::NotFullyChecked => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ShapeFault {
    /// The code of what keeps coordinates from being a geometry.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::OutOfRange {
                fault: PositionError::NotFinite,
                ..
            } => Code::NotFinite,
            Self::OutOfRange { .. } => Code::OutOfRange,
            Self::TooFewPositions { .. } => Code::TooFewPositions,
            Self::OpenRing { .. } => Code::UnclosedRing,
            Self::TooManyPositions { .. } => Code::NotFullyChecked,
            Self::WrongValue { .. }
            | Self::WrongNesting { .. }
            | Self::NumberCount { .. }
            | Self::MixedDims => Code::Unreadable,
        }
    }
}

impl Fault {
    pub(super) fn new(code: Code, kind: Kind, at: Place, position: Point) -> Self {
        Self {
            code,
            member: 0,
            at,
            with: None,
            position: [position.x, position.y],
            more: 0,
            kind,
        }
    }

    pub(super) fn between(code: Code, kind: Kind, a: Place, b: Place, position: Point) -> Self {
        let (at, with) = if b < a { (b, a) } else { (a, b) };
        Self {
            with: Some(with),
            ..Self::new(code, kind, at, position)
        }
    }

    pub(super) fn not_fully_checked(shape: &Shape) -> Self {
        let first = shape
            .vertices()
            .find_map(crate::geometry::shape::lon_lat)
            .unwrap_or_default();
        Self::new(
            Code::NotFullyChecked,
            shape.kind(),
            Place::default(),
            first.into(),
        )
    }

    /// A fault that reading found, at the place that its path names.
    pub(super) fn from_reading(kind: Kind, fault: &ShapeFault) -> Self {
        let (path, position) = match fault {
            ShapeFault::OutOfRange { path, position, .. } => (Some(path), *position),
            ShapeFault::WrongValue { path, .. }
            | ShapeFault::WrongNesting { path, .. }
            | ShapeFault::NumberCount { path, .. }
            | ShapeFault::TooFewPositions { path, .. }
            | ShapeFault::OpenRing { path }
            | ShapeFault::TooManyPositions { path, .. } => (Some(path), [0.0; 2]),
            ShapeFault::MixedDims => (None, [0.0; 2]),
        };
        let step = |at: usize| path.and_then(|path| path.0.get(at)).copied().unwrap_or(0);
        let at = match kind {
            Kind::Point => Place::default(),
            Kind::LineString | Kind::MultiPoint => Place {
                vertex: step(0),
                ..Place::default()
            },
            Kind::MultiLineString => Place {
                part: step(0),
                segment: 0,
                vertex: step(1),
            },
            Kind::Polygon => Place {
                part: 0,
                segment: step(0),
                vertex: step(1),
            },
            Kind::MultiPolygon => Place {
                part: step(0),
                segment: step(1),
                vertex: step(2),
            },
        };
        Self::new(fault.code(), kind, at, Point::from(position))
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    fn ring(&self, place: Place) -> String {
        let name = match (self.kind.has_rings(), place.segment) {
            (false, _) => "line".to_owned(),
            (true, 0) => "outer ring".to_owned(),
            (true, hole) => format!("hole {hole}"),
        };
        let several = matches!(self.kind, Kind::MultiPolygon | Kind::MultiLineString);
        if several {
            format!("{name} of part {}", place.part + 1)
        } else {
            name
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ring = self.ring(self.at);
        let with = self.with.unwrap_or(self.at);
        let other = self.ring(with);
        let vertex = self.at.vertex + 1;
        let [lon, lat] = self.position;
        match self.code {
            Code::NotFinite => write!(
                f,
                "vertex {vertex} of the {ring} has a coordinate that is no number"
            ),
            Code::OutOfRange => write!(
                f,
                "vertex {vertex} lies at {lon}, {lat}, outside longitude -180 to 180 and latitude -90 to 90"
            ),
            Code::TooFewPositions if self.kind.has_rings() => {
                write!(f, "the {ring} has fewer than three different positions")
            }
            Code::TooFewPositions => write!(f, "the {ring} has fewer than two different positions"),
            Code::UnclosedRing => write!(
                f,
                "the {ring} is not closed: its last position is not its first"
            ),
            Code::Unreadable => f.write_str("the coordinates are no GeoJSON geometry"),
            Code::Spike => write!(f, "the {ring} goes out to {lon}, {lat} and back on itself"),
            Code::SelfCrossing => write!(f, "the {ring} crosses itself at {lon}, {lat}"),
            Code::SelfTouch => write!(f, "the {ring} touches itself at {lon}, {lat}"),
            Code::SelfOverlap => write!(f, "the {ring} runs along itself from {lon}, {lat}"),
            Code::RingsCross => write!(f, "the {ring} and the {other} cross at {lon}, {lat}"),
            Code::RingsShareEdge => write!(
                f,
                "the {ring} and the {other} run along each other from {lon}, {lat}"
            ),
            Code::DuplicateRing => write!(f, "the {ring} and the {other} are the same"),
            Code::HoleOutside => write!(f, "the {other} lies outside the {ring}"),
            Code::NestedHoles => write!(f, "the {ring} and the {other} lie one inside the other"),
            Code::InteriorDisconnected => {
                write!(
                    f,
                    "rings touch at {lon}, {lat} and elsewhere, so that the interior falls apart"
                )
            }
            Code::PartsOverlap => {
                let (a, b) = (self.at.part + 1, with.part + 1);
                write!(f, "parts {a} and {b} overlap at {lon}, {lat}")
            }
            Code::PartsShareEdge => {
                let (a, b) = (self.at.part + 1, with.part + 1);
                write!(
                    f,
                    "parts {a} and {b} run along each other from {lon}, {lat}"
                )
            }
            Code::Invalid => write!(f, "the polygon with the {ring} is not valid"),
            Code::RepeatedVertex => write!(
                f,
                "vertex {vertex} of the {ring} repeats the one before at {lon}, {lat}"
            ),
            Code::AntimeridianCrossing => write!(
                f,
                "the edge of the {ring} from {lon}, {lat} spans over 180 degrees; cut the geometry at the antimeridian"
            ),
            Code::LineCrossesItself => write!(f, "the {ring} crosses itself at {lon}, {lat}"),
            Code::NotFullyChecked => {
                f.write_str("the geometry is too complex to be checked completely")
            }
        }?;
        match self.more {
            0 => Ok(()),
            more => write!(f, " (and {more} more of this kind)"),
        }
    }
}

/// Faults as they are found, a bounded number of each code.
pub(super) struct List {
    per_code: usize,
    faults: Vec<Fault>,
    counts: std::collections::BTreeMap<Code, usize>,
}

impl List {
    pub(super) fn new(per_code: usize) -> Self {
        let counts = std::collections::BTreeMap::new();
        Self {
            per_code: per_code.max(1),
            faults: Vec::new(),
            counts,
        }
    }

    pub(super) fn push(&mut self, fault: Fault) {
        let count = self.counts.entry(fault.code).or_insert(0);
        *count += 1 + fault.more;
        if *count <= self.per_code {
            self.faults.push(Fault { more: 0, ..fault });
        }
    }

    pub(super) fn extend(&mut self, member: usize, faults: impl IntoIterator<Item = Fault>) {
        faults
            .into_iter()
            .for_each(|fault| self.push(Fault { member, ..fault }));
    }

    /// Whether there is no error yet.
    pub(super) fn is_valid(&self) -> bool {
        self.counts
            .keys()
            .all(|code| code.severity() == Severity::Warning)
    }

    /// The faults by place, with the number of those that found no room.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        self.faults
            .sort_by_key(|fault| (fault.member, fault.at, fault.code, fault.with));
        for (code, count) in self.counts {
            let listed = self
                .faults
                .iter()
                .filter(|fault| fault.code == code)
                .count();
            if let Some(last) = self.faults.iter_mut().rfind(|fault| fault.code == code) {
                last.more = count - listed;
            }
        }
        self.faults
    }
}
