#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use geo::Validation;
use proptest::prelude::*;

use super::*;
use crate::geometry::{Dims, Part};

fn shape(kind: Kind, text: &str) -> Shape {
    Shape::from_stored(kind, &serde_json::from_str(text).unwrap()).unwrap()
}

fn codes(faults: &[Fault]) -> Vec<&'static str> {
    faults.iter().map(|fault| fault.code.as_str()).collect()
}

/// The codes found, in order of place.
fn check(kind: Kind, text: &str, expected: &[&str]) {
    let found = shape_faults(&shape(kind, text), Limits::default());
    assert_eq!(codes(&found), expected, "{text}: {found:?}");
}

#[test]
fn every_fault_of_a_ring_has_its_code() {
    let ring = |text: &str, expected: &[&str]| check(Kind::Polygon, &format!("[{text}]"), expected);
    ring("[[0,0],[4,0],[4,4],[0,4],[0,0]]", &[]);
    ring("[[0,0],[4,4],[4,0],[0,4],[0,0]]", &["self-crossing"]);
    ring("[[0,0],[4,0],[4,4],[2,0],[0,4],[0,0]]", &["self-touch"]);
    ring(
        "[[0,0],[2,2],[4,0],[4,4],[2,2],[0,4],[0,0]]",
        &["self-touch"],
    );
    ring(
        "[[0,0],[4,0],[4,4],[2,4],[2,6],[2,4],[0,4],[0,0]]",
        &["self-touch", "spike"],
    );
    ring("[[0,0],[4,0],[2,0],[0,0]]", &["spike", "spike"]);
    ring("[[0,0],[4,0],[0,0]]", &["too-few-positions"]);
    ring(
        "[[1,1],[1,1],[1,1]]",
        &["too-few-positions", "repeated-vertex"],
    );
    ring(
        "[[0,0],[4,0],[4,0],[4,4],[0,4],[0,0]]",
        &["repeated-vertex"],
    );
    ring("[[0,0],[4,0],[4,91],[0,4],[0,0]]", &["out-of-range"]);
    ring(
        "[[170,0],[-170,0],[-170,4],[170,4],[170,0]]",
        &["antimeridian-crossing"; 2],
    );
    ring(
        "[[-180,-90],[180,-90],[180,-60],[-180,-60],[-180,-90]]",
        &["antimeridian-crossing"],
    );
    ring(
        "[[0,0],[6,0],[6,4],[4,4],[4,0],[2,0],[2,4],[0,4],[0,0]]",
        &["self-touch", "self-overlap"],
    );
}

#[test]
fn every_fault_between_rings_has_its_code() {
    let polygon = |holes: &str, expected: &[&str]| {
        check(
            Kind::Polygon,
            &format!("[[[0,0],[10,0],[10,10],[0,10],[0,0]],{holes}]"),
            expected,
        );
    };
    polygon("[[2,2],[8,2],[8,8],[2,8],[2,2]]", &[]);
    polygon("[[2,2],[12,2],[12,8],[2,8],[2,2]]", &["rings-cross"]);
    polygon("[[12,2],[18,2],[18,8],[12,8],[12,2]]", &["hole-outside"]);
    polygon("[[10,2],[18,2],[18,8],[12,8],[10,2]]", &["hole-outside"]);
    polygon("[[2,0],[8,0],[8,8],[2,8],[2,0]]", &["rings-share-edge"]);
    polygon("[[5,0],[8,2],[8,8],[2,8],[5,0]]", &[]);
    polygon(
        "[[5,0],[10,5],[5,10],[5,5],[5,0]]",
        &["interior-disconnected"; 2],
    );
    polygon("[[0,10],[10,10],[10,0],[0,0],[0,10]]", &["duplicate-ring"]);
    polygon(
        "[[1,1],[9,1],[9,9],[1,9],[1,1]],[[2,2],[8,2],[8,8],[2,8],[2,2]]",
        &["nested-holes"],
    );
    polygon(
        "[[1,1],[5,1],[5,5],[1,5],[1,1]],[[5,5],[8,5],[8,8],[5,8],[5,5]]",
        &[],
    );
    polygon("[[5,5],[10,10],[5,11],[5,5]]", &["rings-cross"]);
    // All of the hole's vertices lie on the exterior, once inside it and once outside.
    check(
        Kind::Polygon,
        "[[[0,0],[8,0],[8,8],[4,2],[0,8],[0,0]],[[0,8],[8,8],[4,2],[0,8]]]",
        &["rings-share-edge"],
    );
    check(
        Kind::Polygon,
        "[[[0,0],[8,0],[8,8],[4,4],[0,8],[0,0]],[[0,8],[8,8],[4,6],[0,8]]]",
        &["hole-outside"],
    );
}

#[test]
fn every_fault_between_parts_has_its_code() {
    let parts = |other: &str, expected: &[&str]| {
        let first = "[[[0,0],[10,0],[10,10],[0,10],[0,0]],[[2,2],[8,2],[8,8],[2,8],[2,2]]]";
        check(Kind::MultiPolygon, &format!("[{first},{other}]"), expected);
    };
    parts("[[[20,0],[22,0],[22,2],[20,0]]]", &[]);
    parts("[[[3,3],[5,3],[5,5],[3,3]]]", &[]);
    parts("[[[2,2],[5,3],[5,5],[2,2]]]", &[]);
    parts("[[[2,2],[8,2],[8,8],[2,8],[2,2]]]", &["duplicate-ring"]);
    parts("[[[2,2],[8,2],[8,5],[2,2]]]", &["parts-share-edge"]);
    parts("[[[5,5],[12,5],[12,6],[5,5]]]", &["parts-overlap"]);
    parts("[[[0.5,0.5],[1,0.5],[1,1],[0.5,0.5]]]", &["parts-overlap"]);
    parts(
        "[[[-1,-1],[11,-1],[11,11],[-1,11],[-1,-1]]]",
        &["parts-overlap"],
    );
    parts("[[[10,10],[12,10],[12,12],[10,10]]]", &[]);
}

#[test]
fn faults_of_lines_and_points_are_those_of_rfc_7946() {
    check(Kind::LineString, "[[0,0],[4,4],[4,0],[0,4]]", &[]);
    check(
        Kind::LineString,
        "[[1,1],[1,1]]",
        &["too-few-positions", "repeated-vertex"],
    );
    check(
        Kind::LineString,
        "[[170,0],[-170,0]]",
        &["antimeridian-crossing"],
    );
    check(Kind::Point, "[181,0]", &["out-of-range"]);
    check(Kind::MultiPoint, "[[1,1],[1,1],[-170,0],[170,0]]", &[]);
}

#[test]
fn lines_that_cross_themselves_are_reported_when_asked_for() {
    let limits = Limits {
        lines: SelfCrossing::Reported,
        ..Limits::default()
    };
    let found = |text: &str| codes(&shape_faults(&shape(Kind::LineString, text), limits));
    assert_eq!(found("[[0,0],[4,4],[4,0],[0,4]]"), ["line-crosses-itself"]);
    assert_eq!(
        found("[[0,0],[4,0],[4,4],[0,0]]"),
        [""; 0],
        "a closed line is simple"
    );
    assert_eq!(found("[[0,0],[4,0],[4,4],[2,0]]"), ["line-crosses-itself"]);
}

#[test]
fn a_fault_names_its_vertices_and_its_place() {
    let bow_tie = shape(Kind::Polygon, "[[[0,0],[1,0],[4,4],[4,0],[0,4],[0,0]]]");
    let [fault] = &shape_faults(&bow_tie, Limits::default())[..] else {
        panic!("one fault")
    };
    assert_eq!((fault.at.vertex, fault.with.unwrap().vertex), (1, 3));
    assert!(
        (fault.position[0] - 16.0 / 7.0).abs() < 1e-12,
        "{:?}",
        fault.position
    );
    let text = fault.to_string();
    assert!(
        text.starts_with("the outer ring crosses itself at 2.2857"),
        "{text}"
    );
}

#[test]
fn many_faults_of_a_kind_are_counted_instead_of_listed() {
    let metres: Vec<f64> = (0..100)
        .flat_map(|i| [500_000.0 + f64::from(i), 5e6])
        .collect();
    let shape = Shape::new(Kind::MultiPoint, Dims::Two, vec![vec![metres]]).unwrap();
    let found = shape_faults(&shape, Limits::default());
    assert_eq!((found.len(), found[19].more), (20, 80));
    assert!(
        found[19]
            .to_string()
            .ends_with("(and 80 more of this kind)")
    );
}

#[test]
fn a_check_that_would_take_too_long_is_cut_short_and_says_so() {
    let fan: Vec<f64> = (0..400)
        .flat_map(|i| [f64::from(i % 2), f64::from(i) / 400.0])
        .collect();
    let shape = Shape::new(Kind::Polygon, Dims::Two, vec![vec![fan]]).unwrap();
    let limits = Limits {
        edge_pairs: 100,
        ..Limits::default()
    };
    assert!(codes(&shape_faults(&shape, limits)).contains(&"not-fully-checked"));
}

#[test]
fn hundreds_of_rings_one_inside_the_other_are_not_remembered_pair_by_pair() {
    let triangle = |at: u32| {
        let side = 1.0 + f64::from(at) / 100.0;
        vec![vec![-side, -side, side, -side, 0.0, side]]
    };
    let codes = |count| {
        codes(&shape_faults(
            &multi((0..count).map(triangle).collect()),
            Limits::default(),
        ))
    };
    assert_eq!(codes(3), ["parts-overlap"; 3]);
    assert!(codes(640).contains(&"not-fully-checked"));
}

#[test]
fn members_of_a_collection_are_checked_as_they_were_read() {
    let collection = serde_json::json!({"type": "GeometryCollection", "geometries": [
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "Polygon", "coordinates": [[[0,0],[4,0],[4,4],[0,4]]]},
        {"type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": [[[0,0],[4,4],[4,0],[0,4],[0,0]]]}]},
        {"type": "Point", "coordinates": "here"},
        {"type": "Circle"},
    ]});
    let found = faults(&Geometry::Other(collection), Limits::default());
    let found: Vec<_> = found
        .iter()
        .map(|fault| (fault.member, fault.code.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (1, "unclosed-ring"),
            (2, "self-crossing"),
            (3, "unreadable"),
            (4, "unreadable")
        ]
    );
}

/// The coordinates that repairing yields, and the numbers of vertices kept, added and removed.
fn repaired(kind: Kind, text: &str) -> Option<(String, [usize; 3])> {
    let found = repair(&Geometry::Shape(shape(kind, text)))?;
    let counts = [
        found.vertices_kept,
        found.vertices_added,
        found.vertices_removed,
    ];
    Some((found.geometry.to_value()["coordinates"].to_string(), counts))
}

#[test]
fn a_repair_keeps_what_was_valid_and_says_what_it_changes() {
    let polygon = |text: &str| repaired(Kind::Polygon, text);
    assert_eq!(
        polygon("[[[0,0],[4,0],[4,4],[0,0]]]"),
        None,
        "nothing to repair"
    );
    assert_eq!(
        polygon("[[[0,0],[4,0],[4,400],[0,0]]]"),
        None,
        "nobody knows what was meant"
    );
    assert_eq!(
        polygon("[[[0,0],[4,0],[0,0]]]"),
        None,
        "nothing would be left"
    );
    assert_eq!(
        polygon("[[[0,0],[4,4],[4,0],[0,4],[0,0]]]"),
        Some((
            "[[[[0,0],[2,2],[0,4],[0,0]]],[[[4,4],[4,0],[2,2],[4,4]]]]".to_owned(),
            [4, 1, 0]
        ))
    );
    assert_eq!(
        polygon("[[[0,0],[4,0],[4,4],[2,4],[2,6],[2,4],[0,4],[0,0]]]"),
        Some((
            "[[[0,0],[4,0],[4,4],[2,4],[0,4],[0,0]]]".to_owned(),
            [5, 0, 1]
        ))
    );
    assert_eq!(
        polygon("[[[0,0],[4,0],[4,0],[4,4],[0,0]]]"),
        Some(("[[[0,0],[4,0],[4,4],[0,0]]]".to_owned(), [3, 0, 0]))
    );
    let hole_outside = polygon("[[[0,0],[4,0],[4,4],[0,4],[0,0]],[[6,1],[7,1],[7,2],[6,1]]]");
    assert_eq!(
        hole_outside,
        Some(("[[[0,0],[4,0],[4,4],[0,4],[0,0]]]".to_owned(), [4, 0, 3]))
    );
    let line = repaired(Kind::LineString, "[[0,0,1],[0,0,2],[1,1,3]]");
    assert_eq!(line, Some(("[[0,0,1],[1,1,3]]".to_owned(), [2, 0, 0])));
}

#[test]
fn overlapping_parts_are_united_and_their_vertices_stay_exactly_where_they_were() {
    let two = "[[[[0.1,0.1],[4.3,0.1],[4.3,4.7],[0.1,4.7],[0.1,0.1]]],[[[2.2,2.2],[6.6,2.2],[6.6,6.6],[2.2,6.6],[2.2,2.2]]]]";
    let (text, counts) = repaired(Kind::MultiPolygon, two).unwrap();
    assert_eq!(counts, [6, 2, 2], "{text}");
    assert!(
        text.contains("[6.6,6.6]") && text.contains("[0.1,4.7]"),
        "{text}"
    );
}

#[test]
fn a_repair_keeps_heights_and_takes_those_of_edges_for_new_vertices() {
    let (text, _) = repaired(
        Kind::Polygon,
        "[[[0,0,10],[4,4,30],[4,0,5],[0,4,5],[0,0,10]]]",
    )
    .unwrap();
    assert!(
        text.contains("[0,0,10],[2,2,20],[0,4,5]") || text.contains("[0,0,10],[2,2,5],[0,4,5]"),
        "{text}"
    );
}

#[test]
fn nearby_vertices_of_a_small_parcel_are_not_joined_by_a_repair() {
    // Two metres wide, with a crossing.
    let (text, counts) = repaired(
        Kind::Polygon,
        "[[[8.5,47.3],[8.50002,47.3],[8.5,47.30002],[8.50002,47.30002],[8.5,47.3]]]",
    )
    .unwrap();
    assert_eq!(counts, [4, 1, 0], "{text}");
}

#[test]
fn a_suggestion_is_found_for_a_ring_that_crosses_itself_anywhere() {
    let mut random = crate::model::Random::new(1);
    for count in [8_usize, 100] {
        for at in 0..count - 1 {
            let mut ring: Vec<[f64; 2]> = (0..count)
                .map(|at| {
                    let (radius, angle) = (
                        0.4 + 0.1 * random.unit(),
                        at as f64 / count as f64 * std::f64::consts::TAU,
                    );
                    [8.0 + radius * angle.cos(), 47.0 + radius * angle.sin()]
                })
                .collect();
            ring.swap(at, at + 1);
            let shape = Shape::new(Kind::Polygon, Dims::Two, vec![vec![ring.concat()]]).unwrap();
            let found = shape_faults(&shape, Limits::default());
            if found
                .iter()
                .any(|fault| fault.severity() == Severity::Error)
            {
                assert!(
                    repair(&Geometry::Shape(shape)).is_some(),
                    "{count} {at}: {found:?}"
                );
            }
        }
    }
}

/// Small whole coordinates, so that touching, overlapping and equal places are as common as crossings.
fn small_ring(vertices: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((0..9_i32, 0..9_i32), vertices).prop_map(|ring| {
        ring.into_iter()
            .flat_map(|(x, y)| [f64::from(x), f64::from(y)])
            .collect()
    })
}

/// A ring around a centre that crosses itself only where radii are nearly equal: mostly valid.
fn star(
    radius: f64,
    centre: (f64, f64),
    vertices: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((0.3..1.0_f64, 0.0..0.9_f64), vertices).prop_map(move |corners| {
        let count = corners.len() as f64;
        let corner = |(i, (r, shift)): (usize, (f64, f64))| {
            let angle = (i as f64 + shift) / count * std::f64::consts::TAU;
            [
                centre.0 + radius * r * angle.cos(),
                centre.1 + radius * r * angle.sin(),
            ]
        };
        corners.into_iter().enumerate().flat_map(corner).collect()
    })
}

fn polygons() -> impl Strategy<Value = Vec<Part>> {
    prop_oneof![
        small_ring(3..7).prop_map(|ring| vec![vec![ring]]),
        (small_ring(3..6), small_ring(3..5)).prop_map(|(a, b)| vec![vec![a, b]]),
        (small_ring(3..5), small_ring(3..5)).prop_map(|(a, b)| vec![vec![a], vec![b]]),
        (
            star(20.0, (4.0, 4.0), 5..30),
            small_ring(3..5),
            small_ring(3..5)
        )
            .prop_map(|(a, b, c)| vec![vec![a, b, c]]),
        (
            star(20.0, (4.0, 4.0), 5..30),
            small_ring(3..4),
            star(3.0, (4.0, 4.0), 3..12)
        )
            .prop_map(|(a, b, c)| vec![vec![a, b], vec![c]]),
    ]
}

fn multi(parts: Vec<Part>) -> Shape {
    Shape::new(Kind::MultiPolygon, Dims::Two, parts).unwrap()
}

/// `geo` sees no interiors that fall apart, and takes triangles that are a line for valid.
fn unseen_by_geo(faults: &[Fault]) -> bool {
    let apart = |fault: &Fault| fault.code == Code::InteriorDisconnected;
    faults.iter().all(apart) || faults.iter().any(|fault| fault.code == Code::Spike)
}

fn only_our_own(shape: &Shape) -> Vec<Fault> {
    let limits = Limits {
        geo_vertices: 0,
        ..Limits::default()
    };
    let found = shape_faults(shape, limits);
    found
        .into_iter()
        .filter(|fault| fault.severity() == Severity::Error)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, max_global_rejects: 1_000_000, ..ProptestConfig::default() })]

    #[test]
    fn small_polygons_are_valid_exactly_where_geo_says_so(parts in polygons()) {
        let shape = multi(parts);
        let geo::Geometry::MultiPolygon(polygons) = shape.to_geo() else { panic!("polygons") };
        let (ours, theirs) = (only_our_own(&shape), polygons.validation_errors());
        if theirs.is_empty() {
            prop_assert!(unseen_by_geo(&ours), "{ours:?}");
        } else {
            prop_assert!(!ours.is_empty(), "{theirs:?}");
        }
    }

    #[test]
    fn checking_near_a_change_of_a_valid_polygon_finds_what_checking_everything_finds(
        parts in polygons(), at in any::<prop::sample::Index>(), to in (0..9_i32, 0..9_i32), how in 0..3_u8,
    ) {
        let before = multi(parts.clone());
        prop_assume!(only_our_own(&before).is_empty());
        let places: Vec<Place> = (0..).zip(&parts).flat_map(|(part, rings)| {
            (0..).zip(rings).flat_map(move |(segment, ring)| {
                (0..ring.len() / 2).map(move |vertex| Place { part, segment, vertex })
            })
        }).collect();
        let mut place = places[at.index(places.len())];
        let mut parts = parts;
        let ring = &mut parts[place.part][place.segment];
        let (from, position) = (place.vertex * 2, [f64::from(to.0), f64::from(to.1)]);
        match how {
            0 => ring[from..from + 2].copy_from_slice(&position),
            1 => drop(ring.splice(from..from, position)),
            _ => {
                ring.drain(from..from + 2);
                place.vertex = (place.vertex + ring.len() / 2 - 1) % (ring.len() / 2);
            }
        }
        let after = multi(parts);
        let limits = Limits { geo_vertices: 0, ..Limits::default() };
        prop_assert_eq!(faults_near(&after, &[place], limits), shape_faults(&after, limits));
    }

    #[test]
    fn a_suggestion_is_valid_and_the_same_every_time(parts in polygons()) {
        let geometry = Geometry::Shape(multi(parts));
        let suggestion = repair(&geometry);
        prop_assert_eq!(&suggestion, &repair(&geometry));
        if let Some(suggestion) = suggestion {
            let left = faults(&suggestion.geometry, Limits { geo_vertices: 0, ..Limits::default() });
            prop_assert!(left.iter().all(|fault| fault.severity() == Severity::Warning), "{left:?}");
            prop_assert_eq!(repair(&suggestion.geometry), None);
        }
    }
}
