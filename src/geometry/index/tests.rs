#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::geometry::geodesic::{distance_m, distance_to};
use crate::geometry::{Area, Dims, Geometry, Kind, Shape};

#[derive(Clone, Debug)]
enum Change {
    Place(u32, Option<BBox>),
    Remove(u32),
}

/// Boxes small and large, on a grid so that borders meet, some around the antimeridian.
fn boxes() -> impl Strategy<Value = BBox> {
    let lon = || (-36..=36_i32).prop_map(|x| f64::from(x) * 5.0);
    let lat = || (-9..=9_i32).prop_map(|y| f64::from(y) * 10.0);
    (lon(), lat(), lon(), lat())
        .prop_map(|(west, a, east, b)| BBox::new(west, a.min(b), east, a.max(b)).unwrap())
}

fn small_boxes() -> impl Strategy<Value = BBox> {
    let far = prop_oneof![9 => Just(0.0), 1 => Just(1e308)];
    (-180.0..=170.0, -90.0..=80.0, 0.0..=10.0, 0.0..=10.0, far).prop_map(
        |(x, y, w, h, far): (f64, f64, f64, f64, f64)| {
            BBox::of_point(x, y).union(&BBox::of_point(x + w + far, y + h))
        },
    )
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let bbox = prop_oneof![1 => Just(None), 2 => boxes().prop_map(Some), 7 => small_boxes().prop_map(Some)];
    let change = prop_oneof![
        4 => (0..80_u32, bbox).prop_map(|(key, bbox)| Change::Place(key, bbox)),
        1 => (0..80_u32).prop_map(Change::Remove),
    ];
    prop::collection::vec(change, 0..200)
}

fn applied(changes: &[Change]) -> (SpatialIndex<u32>, BTreeMap<u32, Option<BBox>>) {
    let (mut index, mut plain) = (SpatialIndex::default(), BTreeMap::new());
    for change in changes {
        match change {
            Change::Place(key, bbox) => {
                assert_eq!(
                    index.place(*key, *bbox),
                    plain.insert(*key, *bbox) != Some(*bbox)
                );
            }
            Change::Remove(key) => assert_eq!(index.remove(key), plain.remove(key).is_some()),
        }
    }
    (index, plain)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queries_by_box_find_what_looking_at_every_box_finds(changes in changes(), area in boxes()) {
        let (index, plain) = applied(&changes);
        let expected: Vec<u32> = plain.iter()
            .filter(|(_, bbox)| bbox.is_some_and(|bbox| bbox.intersects(&area)))
            .map(|(key, _)| *key).collect();
        let region = Region::from(area);
        let mut found: Vec<u32> = index.within(&region).copied().collect();
        found.sort_unstable();
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(index.count(&region), expected.len());
        prop_assert_eq!(index.len(), plain.len());
        let loaded = SpatialIndex::bulk_load(plain.clone());
        let mut found: Vec<u32> = loaded.within(&region).copied().collect();
        found.sort_unstable();
        prop_assert_eq!(found, expected);
        let aside: Vec<u32> = plain.iter().filter(|(_, bbox)| bbox.is_none()).map(|(key, _)| *key).collect();
        prop_assert!(index.unplaced().eq(&aside) && loaded.unplaced().eq(&aside));
    }

    #[test]
    fn pages_one_after_another_list_every_wanted_feature_once_and_in_order(
        changes in changes(), area in prop::option::of(boxes()), limit in 1..9_usize, listed in any::<bool>(), layer in 1..4_u32,
    ) {
        let (index, plain) = applied(&changes);
        let region = area.map(Region::from);
        let unplaced = if listed { Unplaced::Listed } else { Unplaced::LeftOut };
        let expected: Vec<u32> = plain.iter()
            .filter(|(key, bbox)| **key % layer == 0 && match bbox {
                None => listed,
                Some(bbox) => area.is_none_or(|area| bbox.intersects(&area)),
            })
            .map(|(key, _)| *key).collect();
        let mut found: Vec<u32> = Vec::new();
        loop {
            let query = PageQuery { region: region.as_ref(), unplaced, after: found.last(), limit };
            let page = index.page(&query, |key| key % layer == 0);
            prop_assert!(page.keys.len() == limit || !page.more);
            found.extend(page.keys);
            if !page.more {
                break;
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_nearest_features_are_those_of_measuring_all_of_them(
        points in prop::collection::vec((-180.0..=180.0, -90.0..=90.0), 0..60),
        lines in prop::collection::vec((-180.0..=180.0, -90.0..=90.0, -180.0..=180.0, -90.0..=90.0), 0..20),
        from in (-180.0..=180.0, -90.0..=90.0), count in 0..12_usize, within_km in 0..20_000_u32,
    ) {
        let points = points.into_iter().map(|(x, y)| (Kind::Point, vec![x, y]));
        let lines = lines.into_iter().map(|(a, b, c, d)| (Kind::LineString, vec![a, b, c, d]));
        let geometries: Vec<Geometry> = points.chain(lines)
            .map(|(kind, flat)| Geometry::Shape(Shape::new(kind, Dims::Two, vec![vec![flat]]).unwrap()))
            .collect();
        let index = SpatialIndex::bulk_load((0..).zip(&geometries).map(|(key, geometry)| (key, geometry.bbox())));
        let from = [from.0, from.1];
        let metres = |key: &usize| distance_to(&geometries[*key], from);
        let within_m = f64::from(within_km) * 1e3;
        let mut expected: Vec<(usize, f64)> = (0..geometries.len())
            .filter_map(|key| Some((key, metres(&key)?)))
            .filter(|(_, metres)| *metres <= within_m).collect();
        expected.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        expected.truncate(count);
        prop_assert_eq!(index.nearest(from, count, within_m, metres), expected);
    }
}

#[test]
fn few_matches_among_many_features_come_in_order_with_those_without_positions() {
    let place = |key: u32| match key % 1_000 {
        0 => Some(BBox::of_point(50.0, 50.0)),
        1 => None,
        _ => Some(BBox::of_point(f64::from(key % 360) - 180.0, -10.0)),
    };
    let index = SpatialIndex::bulk_load((0..20_000).map(|key| (key, place(key))));
    let region = Region::from(BBox::new(49.0, 49.0, 51.0, 51.0).unwrap());
    let page = |after: Option<&u32>, unplaced| {
        index.page(
            &PageQuery {
                region: Some(&region),
                unplaced,
                after,
                limit: 3,
            },
            |_| true,
        )
    };
    assert_eq!(page(None, Unplaced::LeftOut).keys, [0, 1_000, 2_000]);
    assert_eq!(
        page(Some(&1_500), Unplaced::Listed).keys,
        [2_000, 2_001, 3_000]
    );
    let last = page(Some(&18_500), Unplaced::LeftOut);
    assert_eq!((last.keys, last.more), (vec![19_000], false));
}

#[test]
fn a_feature_is_near_across_the_antimeridian_and_over_the_pole() {
    let places = [
        (1, [179.9, 0.0]),
        (2, [-100.0, 0.0]),
        (3, [0.0, 89.0]),
        (4, [120.0, 70.0]),
    ];
    let index =
        SpatialIndex::bulk_load(places.map(|(key, [x, y])| (key, Some(BBox::of_point(x, y)))));
    let nearest = |from: [f64; 2]| {
        let of = |key: &i32| {
            places
                .iter()
                .find(|(k, _)| k == key)
                .map(|(_, place)| *place)
        };
        index.nearest(from, 1, f64::INFINITY, |key| distance_m(from, of(key)?))[0].0
    };
    assert_eq!(nearest([-179.9, 0.0]), 1);
    assert_eq!(nearest([180.0, 88.5]), 3);
}

#[test]
fn features_in_a_polygon_are_candidates_by_box_and_then_compared() {
    let triangle = "[[[0,0],[10,0],[0,10],[0,0]]]";
    let triangle =
        Shape::from_stored(Kind::Polygon, &serde_json::from_str(triangle).unwrap()).unwrap();
    let area = Area::new(&Geometry::Shape(triangle));
    let points = [
        (1, [1.0, 1.0]),
        (2, [9.0, 9.0]),
        (3, [5.0, 5.0]),
        (4, [20.0, 1.0]),
    ];
    let geometry = |[x, y]: [f64; 2]| {
        Geometry::Shape(Shape::new(Kind::Point, Dims::Two, vec![vec![vec![x, y]]]).unwrap())
    };
    let index = SpatialIndex::bulk_load(points.map(|(key, at)| (key, geometry(at).bbox())));
    let region = Region::from(&area);
    assert_eq!(index.count(&region), 3);
    let meets = |key: &i32| {
        points
            .iter()
            .any(|(k, at)| k == key && area.meets(&geometry(*at)))
    };
    let query = PageQuery {
        region: Some(&region),
        unplaced: Unplaced::LeftOut,
        after: None,
        limit: 10,
    };
    assert_eq!(index.page(&query, meets).keys, [1, 3]);
}
