//! Two people refine the same edge of a real polygon without seeing each other: what merging makes of it is valid.
//!
//! `tests/fixtures/counties.geojsonseq` holds 60 counties of the United States of all sizes (US Census 1:10m, by way
//! of npm us-atlas; public domain). `INSERT_TRIALS` sets how many trials run, `INSERT_SEED` from where.

use serde_json::json;

use super::people::{Person, create, insert, shown};
use super::update_of;
use crate::formats::{Format, read};
use crate::geometry::validity::{Limits, Severity, faults};
use crate::geometry::{Geometry, Shape};
use crate::model::key::implicit;
use crate::model::{MapView, Random};

const COUNTIES: &[u8] = include_bytes!("../../../tests/fixtures/counties.geojsonseq");
const TRIALS: u64 = 500;
/// Vertices of a run, inserted one after another along the edge.
const RUN: usize = 3;
/// Drawings that are tried until one is valid by itself.
const DRAWINGS: usize = 20;

#[test]
fn two_insertions_on_one_edge_of_a_real_polygon_are_always_valid_together() {
    let Outcome {
        drawn,
        invalid,
        trials,
    } = outcome(1);
    assert_eq!(invalid, [0; 0], "trials that came out invalid, of {trials}");
    assert!(
        drawn * 10 >= trials * 9,
        "only {drawn} of {trials} could be drawn"
    );
}

/// A vertex of a run lies along the edge from the one before to the end, which is tilted; so where two runs have
/// vertices at nearly the same place along the edge, these may change places. It happened in 0.1 % of 10 000 trials.
#[test]
fn two_runs_along_one_edge_of_a_real_polygon_are_nearly_always_valid_together() {
    let Outcome {
        invalid, trials, ..
    } = outcome(RUN);
    assert!(
        invalid.len() as u64 * 100 <= trials,
        "trials that came out invalid, of {trials}: {invalid:?}"
    );
}

struct Outcome {
    /// Trials in which both people found something valid to draw.
    drawn: u64,
    invalid: Vec<u64>,
    trials: u64,
}

/// Trials in which either person inserts `count` vertices.
fn outcome(count: usize) -> Outcome {
    let number = |name: &str, or: u64| {
        let given = std::env::var(name).ok();
        given.and_then(|text| text.parse().ok()).unwrap_or(or)
    };
    let (trials, seed) = (number("INSERT_TRIALS", TRIALS), number("INSERT_SEED", 1));
    let counties = counties();
    let (mut drawn, mut invalid) = (0, Vec::new());
    for trial in seed..seed + trials {
        let valid = run(&counties, trial, count);
        drawn += u64::from(valid.is_some());
        invalid.extend((valid == Some(false)).then_some(trial));
    }
    Outcome {
        drawn,
        invalid,
        trials,
    }
}

/// Rings of valid polygons, without the repeated last position.
fn counties() -> Vec<Vec<[f64; 2]>> {
    let ring = |shape: &Shape| shape.vertices().map(|at| [at[0], at[1]]).collect();
    let features = read(COUNTIES, Format::GeoJsonSeq).map(Result::unwrap);
    let rings: Vec<_> = features
        .filter_map(|feature| match feature.geometry() {
            Some(geometry @ Geometry::Shape(shape)) => is_sound(geometry).then(|| ring(shape)),
            _ => None,
        })
        .collect();
    assert!(rings.len() > 50, "{}", rings.len());
    rings
}

/// Whether both people's insertions are valid together; `None` if one of them found nothing valid to draw.
fn run(counties: &[Vec<[f64; 2]>], trial: u64, count: usize) -> Option<bool> {
    let mut random = Random::new(trial);
    let ring = &counties[below(&mut random, counties.len())];
    let mut closed: Vec<_> = ring.iter().map(|at| json!(at)).collect();
    closed.push(json!(ring[0]));
    let mut maker = Person::new("maker", 1);
    maker.act(1000, create("Polygon", json!([closed]), json!({})));
    let base = update_of(&maker.doc);
    let edge = below(&mut random, ring.len());
    let mut draw = |name: String, client, now_s| {
        (0..DRAWINGS).find_map(|_| {
            let mut person = Person::new(&name, client);
            person.receive(&base);
            let key = |vertex: usize| implicit(vertex).unwrap();
            let (mut after, before) = (key(edge), key((edge + 1) % ring.len()));
            for position in drawing(ring, edge, count, &mut random) {
                let (yielded, _) = person.act(
                    now_s,
                    insert("0.0", json!(after), json!(before), json!(position)),
                );
                after = yielded.key.unwrap();
            }
            is_valid(&person.view()).then_some(person)
        })
    };
    let (one, other) = (
        draw(format!("alice{trial}"), 10, 2000)?,
        draw(format!("bobby{trial}"), 20, 3000)?,
    );
    one.receive(&update_of(&other.doc));
    other.receive(&update_of(&one.doc));
    assert_eq!(shown(&one.view()), shown(&other.view()), "trial {trial}");
    assert_eq!(
        vertices(&one.view()),
        ring.len() + 2 * count,
        "trial {trial}"
    );
    Some(is_valid(&one.view()))
}

/// Places beside an edge, from its start to its end, on either side of it and up to a sixth of its length away.
fn drawing(ring: &[[f64; 2]], edge: usize, count: usize, random: &mut Random) -> Vec<[f64; 2]> {
    let ([x, y], [to_x, to_y]) = (ring[edge], ring[(edge + 1) % ring.len()]);
    let (dx, dy) = (to_x - x, to_y - y);
    let (from, to) = (random.unit() * 0.6, 0.4 + random.unit() * 0.6);
    let (from, to) = (from.min(to), from.max(to));
    let side = if random.unit() < 0.5 { -1.0 } else { 1.0 };
    let height = side * (0.02 + 0.15 * random.unit());
    let place = |number: usize| {
        let along = from + (to - from) * number as f64 / (count + 1) as f64;
        let away = height * (0.6 + 0.4 * random.unit());
        [x + dx * along - dy * away, y + dy * along + dx * away]
    };
    (1..=count).map(place).collect()
}

fn is_valid(view: &MapView) -> bool {
    view.features()
        .all(|feature| is_sound(&feature.geometry.unwrap()))
}

fn is_sound(geometry: &Geometry) -> bool {
    faults(geometry, Limits::default())
        .iter()
        .all(|fault| fault.severity() == Severity::Warning)
}

fn vertices(view: &MapView) -> usize {
    view.features()
        .map(|feature| feature.geometry.unwrap().vertex_count())
        .sum()
}

fn below(random: &mut Random, count: usize) -> usize {
    (random.bits() % count as u64) as usize
}
