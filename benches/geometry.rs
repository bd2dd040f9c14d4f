//! The spatial index and the checks of geometries: queries, upkeep, loading, full and incremental validity. Prints
//! tables and the same as JSON on the last line. `--quick` measures less.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use mapweave::geometry::validity::{Limits, Place, faults_near, repair, shape_faults};
use mapweave::geometry::{Area, BBox, Dims, Geometry, Kind, Shape, SpatialIndex, geodesic};
use serde_json::{Value, json};
use support::{Random, resident_bytes, ring};

/// A query by box may take this long.
const QUERY_GOAL_MS: f64 = 5.0;
/// Features in the map that is queried.
const FEATURES: usize = 100_000;

type Key = Arc<str>;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let queries = queries(if quick { 50 } else { 500 });
    let sizes: &[usize] = if quick {
        &[1_000, 10_000]
    } else {
        &[1_000, 10_000, 100_000, 1_000_000]
    };
    let upkeep = upkeep(sizes, if quick { 5_000 } else { 100_000 });
    let validity = validity(if quick { 10_000 } else { 100_000 });
    println!(
        "{}",
        json!({ "queries": queries, "upkeep": upkeep, "validity": validity })
    );
}

/// Points spread evenly over a country of ten by ten degrees.
fn points(count: usize, random: &mut Random) -> Vec<(Key, [f64; 2])> {
    let point = |at: usize| {
        (
            Key::from(format!("p4RkT0aa{at:04}")),
            [random.between(5.0, 15.0), random.between(45.0, 55.0)],
        )
    };
    (0..count).map(point).collect()
}

fn place(at: [f64; 2]) -> BBox {
    BBox::new(at[0], at[1], at[0], at[1]).unwrap()
}

fn index(points: &[(Key, [f64; 2])]) -> SpatialIndex<Key> {
    SpatialIndex::bulk(
        points
            .iter()
            .map(|(key, at)| (key.clone(), Some(place(*at))))
            .collect(),
    )
}

fn queries(rounds: usize) -> Value {
    let mut random = Random::new(1);
    let points = points(FEATURES, &mut random);
    let places: std::collections::HashMap<Key, [f64; 2]> = points.iter().cloned().collect();
    let index = index(&points);
    let (mut box_us, mut area_us, mut nearest_us, mut found) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (west, south) = (random.between(5.0, 14.0), random.between(45.0, 54.0));
        let area = BBox::new(west, south, west + 1.0, south + 1.0).unwrap();
        let (us, count) = timed(|| {
            index
                .in_box(&area)
                .inspect(|key| _ = black_box(key.len()))
                .count()
        });
        box_us.push(us);
        found.push(count as f64);
        let circle: Vec<f64> = ring(100, 0.56, [west + 0.5, south + 0.5], &mut random);
        let circle =
            Geometry::Shape(Shape::new(Kind::Polygon, Dims::Two, vec![vec![circle]]).unwrap());
        let (us, _) = timed(|| {
            let area = Area::new(&circle);
            let near = index.in_box(&circle.bbox().unwrap());
            near.filter(|key| area.meets(&point_geometry(places[*key])))
                .count()
        });
        area_us.push(us);
        let from = [west, south];
        let metres = |key: &Key| Some(mapweave::geometry::metres_between(from, places[key]));
        nearest_us.push(timed(|| index.nearest(from[0], from[1], 10, |_| true, metres).len()).0);
    }
    let found = median(&mut found);
    println!("queries among {FEATURES} points, microseconds (goal {QUERY_GOAL_MS} ms)");
    println!("{:<46} {:>9} {:>9}", "", "p50", "p99");
    let mut out = json!({ "features": FEATURES, "found": found, "goal_ms": QUERY_GOAL_MS });
    for (name, key, mut all) in [
        (format!("box with {found:.0} features"), "box", box_us),
        (
            "polygon of 100 vertices, compared exactly".to_owned(),
            "polygon",
            area_us,
        ),
        ("10 nearest, geodesic".to_owned(), "nearest", nearest_us),
    ] {
        let (p50, p99) = (median(&mut all), at(&all, 0.99));
        println!("{name:<46} {p50:>9.1} {p99:>9.1}");
        out[key] = json!({ "p50_us": p50, "p99_us": p99 });
    }
    out
}

fn point_geometry(at: [f64; 2]) -> Geometry {
    Geometry::Shape(Shape::new(Kind::Point, Dims::Two, vec![vec![at.to_vec()]]).unwrap())
}

/// Moves one feature after another, each by some metres, as an edit does: out of the tree and in again.
fn upkeep(sizes: &[usize], moves: usize) -> Value {
    println!("\nindex of n points: loading at once, upkeep per move");
    println!(
        "{:>9} {:>10} {:>12} {:>14} {:>12} {:>12}",
        "n", "load ms", "move us p50", "move us mean", "us / log2 n", "bytes each"
    );
    let mut out = Vec::new();
    for size in sizes {
        let mut random = Random::new(2);
        let mut points = points(*size, &mut random);
        let before = resident_bytes();
        let began = Instant::now();
        let mut index = index(&points);
        let load_ms = began.elapsed().as_secs_f64() * 1e3;
        let bytes = resident_bytes().saturating_sub(before) as f64 / *size as f64;
        let mut took = Vec::with_capacity(moves);
        for _ in 0..moves {
            let (key, from) = &mut points[random.below(*size)];
            let to = [
                from[0] + random.between(-1e-4, 1e-4),
                from[1] + random.between(-1e-4, 1e-4),
            ];
            took.push(
                timed(|| {
                    assert!(index.remove(key, Some(place(*from))));
                    index.insert(key.clone(), Some(place(to)));
                })
                .0,
            );
            *from = to;
        }
        let mean = took.iter().sum::<f64>() / took.len() as f64;
        let p50 = median(&mut took);
        let per_log = p50 / (*size as f64).log2();
        println!(
            "{size:>9} {load_ms:>10.1} {p50:>12.2} {mean:>14.2} {per_log:>12.3} {bytes:>12.0}"
        );
        out.push(
            json!({ "n": size, "load_ms": load_ms, "move_p50_us": p50, "move_mean_us": mean,
            "us_per_log2": per_log, "bytes_each": bytes }),
        );
    }
    json!(out)
}

fn validity(large: usize) -> Value {
    println!("\nchecks of polygons, microseconds");
    println!("{:<64} {:>12}", "", "p50");
    let mut out = json!({});
    let mut show = |name: &str, key: &str, us: f64| {
        println!("{name:<64} {us:>12.1}");
        out[key] = json!(us);
    };
    let mut random = Random::new(3);
    let mut polygon = |count| {
        let ring = ring(count, 0.5, [8.0, 47.0], &mut random);
        Shape::new(Kind::Polygon, Dims::Two, vec![vec![ring]]).unwrap()
    };
    let (small, big) = (polygon(100), polygon(large));
    let all = Limits::default();
    let ours = Limits {
        geo_vertices: 0,
        ..all
    };
    let changed = |vertex| {
        [Place {
            part: 0,
            segment: 0,
            vertex,
        }]
    };
    let check = |shape: &Shape, limits| us(20, || assert!(shape_faults(shape, limits).is_empty()));
    show(
        "100 vertices, everything, geo's check included",
        "full_100",
        check(&small, all),
    );
    show("100 vertices, ours alone", "ours_100", check(&small, ours));
    show(
        "100 vertices, near one moved vertex",
        "near_100",
        us(200, || {
            assert!(faults_near(&small, &changed(50), ours).is_empty());
        }),
    );
    show(
        &format!("{large} vertices, everything"),
        "full_large",
        us(3, || {
            assert!(shape_faults(&big, all).is_empty());
        }),
    );
    for changes in [1_usize, 100] {
        let places: Vec<Place> = (0..changes).map(|at| changed(at * 97 % large)[0]).collect();
        show(
            &format!("{large} vertices, near {changes} moved"),
            &format!("near_large_{changes}"),
            us(20, || {
                assert!(faults_near(&big, &places, ours).is_empty());
            }),
        );
    }
    let mut crossed = ring(100, 0.5, [8.0, 47.0], &mut Random::new(4));
    crossed.swap(40, 120);
    crossed.swap(41, 121);
    let crossed =
        Geometry::Shape(Shape::new(Kind::Polygon, Dims::Two, vec![vec![crossed]]).unwrap());
    show(
        "100 vertices, suggesting a repair",
        "repair_100",
        us(20, || assert!(repair(&crossed).is_some())),
    );
    show(
        "100 vertices, geodesic area and perimeter",
        "measure_100",
        us(20, || {
            black_box(geodesic::shape_measures(&small));
        }),
    );
    out
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let result = work();
    (began.elapsed().as_secs_f64() * 1e6, result)
}

/// Microseconds of the median of some runs.
fn us(runs: usize, mut work: impl FnMut()) -> f64 {
    let mut all: Vec<f64> = (0..runs).map(|_| timed(&mut work).0).collect();
    median(&mut all)
}

fn median(all: &mut [f64]) -> f64 {
    all.sort_by(f64::total_cmp);
    at(all, 0.5)
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}
