//! Features as rows of tables: one table per layer, columns with types that hold every value exactly.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::shape::Plain;
use crate::geometry::{INTEGER_MAX, whole};
use crate::model::{Feature, Fid, MapView, SourceId};

/// The column that holds our id in formats whose own ids are row numbers.
pub(super) const ID_COLUMN: &str = "mapweave_id";
/// The name of the table for features in no layer.
pub(super) const NO_LAYER: &str = "features";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    /// True or false.
    Bool,
    /// Whole numbers that doubles hold.
    Integer,
    /// Numbers.
    Real,
    /// Texts.
    Text,
    /// Anything, as JSON.
    Json,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    /// The property.
    pub(super) name: String,
    pub(super) r#type: ColumnType,
    /// Whether all its numbers are within 32 bits.
    pub(super) small: bool,
}

/// The features of one layer, ready to be written in two passes.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// The layer's name; none for features in no layer.
    pub(super) layer: Option<String>,
    /// A name that no other table has, in any case of letters.
    pub(super) name: String,
    /// Its features by their ids in the document, in that order.
    pub(super) fids: Vec<String>,
    /// Properties sorted by name.
    pub(super) columns: Vec<Column>,
    /// What the cells of the id column are.
    pub(super) id_type: Option<ColumnType>,
    /// Names of the types of geometry that occur.
    pub(super) kinds: BTreeSet<&'static str>,
    /// Whether some geometry has heights, and whether some has none.
    pub(super) heights: (bool, bool),
    /// West, south, east, north of everything, in degrees.
    pub(super) bounds: Option<[f64; 4]>,
    /// The greatest time of a change, in seconds since 1970-01-01 UTC.
    pub(super) changed_s: u64,
}

#[derive(Default)]
struct Building {
    table: Table,
    columns: BTreeMap<String, (Option<ColumnType>, f64)>,
}

/// The tables of these features: layers in order of their names, then what is in no layer.
pub(super) fn tables(view: &MapView, features: impl Iterator<Item = Feature>) -> Vec<Table> {
    let mut found: BTreeMap<String, Building> = BTreeMap::new();
    for feature in features {
        let building = found.entry(feature.layer.clone()).or_default();
        building.add(&feature);
    }
    let mut titled: Vec<(Option<String>, Building)> = found
        .into_iter()
        .map(|(lid, building)| {
            let title = view.layer(&lid).map(|layer| layer.title().to_owned());
            (title, building)
        })
        .collect();
    titled.sort_by(|(a, _), (b, _)| (a.is_none(), a).cmp(&(b.is_none(), b)));
    let mut taken = HashMap::new();
    titled
        .into_iter()
        .map(|(layer, building)| {
            let name = distinct(layer.as_deref().unwrap_or(NO_LAYER), &mut taken);
            building.finish(layer, name)
        })
        .collect()
}

/// All features as one table; it has a layer only if all of them are in the same one.
pub(super) fn one_table(view: &MapView, features: impl Iterator<Item = Feature>) -> Table {
    let mut building = Building::default();
    let mut layers = BTreeSet::new();
    for feature in features {
        layers.insert(feature.layer.clone());
        building.add(&feature);
    }
    let mut lids = layers.into_iter();
    let layer = match (lids.next(), lids.next()) {
        (Some(lid), None) => view.layer(&lid).map(|layer| layer.title().to_owned()),
        _ => None,
    };
    building.finish(layer, String::new())
}

/// The name, or the name with a number where another one has it already in some case of letters.
pub(super) fn distinct(name: &str, taken: &mut HashMap<String, u64>) -> String {
    let key = |name: &str| name.to_lowercase();
    let mut candidate = name.to_owned();
    let mut number = 1_u64;
    while taken.contains_key(&key(&candidate)) {
        number += 1;
        candidate = format!("{name} ({number})");
    }
    taken.insert(key(&candidate), 1);
    candidate
}

impl Building {
    fn add(&mut self, feature: &Feature) {
        let table = &mut self.table;
        table.fids.push(feature.fid.clone());
        table.changed_s = table.changed_s.max(feature.changed.t);
        table.id_type = merged(table.id_type, &id_cell(feature));
        for (name, value) in &feature.properties {
            let (r#type, greatest) = self.columns.entry(name.clone()).or_default();
            *r#type = merged(*r#type, value);
            *greatest = greatest.max(value.as_f64().unwrap_or_default().abs());
        }
        let Some(plain) = feature.geometry.as_ref().and_then(Plain::of) else {
            return;
        };
        table.kinds.insert(plain.name());
        let heights = plain.has_heights();
        table.heights.0 |= heights;
        table.heights.1 |= !heights;
        if let Some(bounds) = plain.bounds() {
            let [west, south, east, north] = table.bounds.unwrap_or(bounds);
            let [w, s, e, n] = bounds;
            table.bounds = Some([west.min(w), south.min(s), east.max(e), north.max(n)]);
        }
    }

    fn finish(self, layer: Option<String>, name: String) -> Table {
        let columns = self.columns.into_iter();
        let columns = columns
            .map(|(name, (r#type, greatest))| Column {
                name,
                r#type: r#type.unwrap_or(ColumnType::Text),
                small: greatest <= f64::from(i32::MAX),
            })
            .collect();
        Table {
            layer,
            name,
            columns,
            ..self.table
        }
    }
}

/// The type that holds what the column held so far and this value too.
fn merged(before: Option<ColumnType>, value: &Value) -> Option<ColumnType> {
    let own = match value {
        Value::Null => return before,
        Value::Bool(_) => ColumnType::Bool,
        Value::Number(number) => match number.as_f64() {
            Some(number) if whole(number).is_some() => ColumnType::Integer,
            _ => ColumnType::Real,
        },
        Value::String(_) => ColumnType::Text,
        Value::Array(_) | Value::Object(_) => ColumnType::Json,
    };
    Some(match (before, own) {
        (None, own) => own,
        (Some(before), own) if before == own => own,
        (Some(ColumnType::Integer), ColumnType::Real)
        | (Some(ColumnType::Real), ColumnType::Integer) => ColumnType::Real,
        _ => ColumnType::Json,
    })
}

/// The id that a row number is; as text where a double would round it.
pub(super) fn row_id(number: i64) -> SourceId {
    if number.unsigned_abs() <= INTEGER_MAX.unsigned_abs() {
        #[expect(clippy::cast_precision_loss, reason = "within 2^53")]
        SourceId::Number(number as f64)
    } else {
        SourceId::Text(number.to_string())
    }
}

/// What the id column holds: the original id where it leads back to the same feature, else the document's.
pub(super) fn id_cell(feature: &Feature) -> Value {
    match &feature.id {
        Some(id) if Fid::of_source(id).as_str() == feature.fid => id.to_value(),
        _ => Value::String(feature.fid.clone()),
    }
}

/// The row number that the feature came with, if it came from this layer of a format whose ids count per layer.
pub(super) fn own_row(feature: &Feature, layer: &str) -> Option<i64> {
    match &feature.id {
        Some(SourceId::Number(number)) => {
            whole(*number).filter(|row| Fid::of_row(layer, *row).as_str() == feature.fid)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_column_has_the_narrowest_type_that_holds_all_values_exactly() {
        let column = |values: &[Value]| values.iter().fold(None, merged);
        assert_eq!(column(&[json!(1), Value::Null]), Some(ColumnType::Integer));
        assert_eq!(column(&[json!(1), json!(0.5)]), Some(ColumnType::Real));
        assert_eq!(column(&[json!(0.5), json!(1)]), Some(ColumnType::Real));
        assert_eq!(column(&[json!(1e16)]), Some(ColumnType::Real));
        assert_eq!(column(&[json!(true), json!(1)]), Some(ColumnType::Json));
        assert_eq!(column(&[json!("a"), json!("b")]), Some(ColumnType::Text));
        assert_eq!(column(&[json!("a"), json!([1])]), Some(ColumnType::Json));
        assert_eq!(column(&[Value::Null]), None);
    }

    #[test]
    fn names_differ_in_any_case_of_letters() {
        let mut taken = HashMap::new();
        assert_eq!(distinct("Roads", &mut taken), "Roads");
        assert_eq!(distinct("roads", &mut taken), "roads (2)");
        assert_eq!(distinct("ROADS", &mut taken), "ROADS (3)");
    }
}
