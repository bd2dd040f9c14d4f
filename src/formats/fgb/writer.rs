//! FlatGeobuf out, indexed; through a temporary file, since the index comes before the features.

use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use flatbuffers::FlatBufferBuilder;
use flatgeobuf::packed_r_tree::{NodeItem, PackedRTree, calc_extent, hilbert_sort};
use flatgeobuf::{
    Column, ColumnArgs, Crs, CrsArgs, Feature as FgbFeature, FeatureArgs, GeometryType, Header,
    HeaderArgs,
};

use super::properties::{self, kind};
use super::{MAGIC, geometry};
use crate::formats::shape::Plain;
use crate::formats::table::{ColumnType, ID_COLUMN, Table, id_cell};
use crate::model::Feature;

/// Columns of a file, at most: their numbers have 16 bits.
const COLUMNS_MAX: usize = 65_535;

/// Where a feature lies in the temporary file.
struct Piece {
    offset: u64,
    bytes: usize,
}

/// Writes the one table; how many features it has.
pub(in crate::formats) fn write(
    table: &Table,
    feature: &mut dyn FnMut(&str) -> Option<Feature>,
    out: &mut dyn Write,
) -> io::Result<u64> {
    if table.columns.len() >= COLUMNS_MAX {
        return Err(io::Error::other(format!(
            "there are {} different properties; FlatGeobuf holds {COLUMNS_MAX}",
            table.columns.len()
        )));
    }
    let mut file = BufWriter::new(tempfile::tempfile()?);
    let (mut nodes, mut pieces) = (Vec::new(), Vec::new());
    let mut at = 0_u64;
    let mut builder = FlatBufferBuilder::new();
    for feature in table.fids.iter().filter_map(|fid| feature(fid)) {
        builder.reset();
        let bounds = build(&feature, table, &mut builder);
        let bytes = builder.finished_data();
        file.write_all(bytes)?;
        let mut node = NodeItem::create(pieces.len() as u64);
        if let Some([west, south, east, north]) = bounds {
            node = NodeItem::bounds(west, south, east, north);
            node.offset = pieces.len() as u64;
        }
        nodes.push(node);
        pieces.push(Piece {
            offset: at,
            bytes: bytes.len(),
        });
        at += bytes.len() as u64;
    }
    let extent = calc_extent(&nodes);
    hilbert_sort(&mut nodes, &extent);
    out.write_all(&MAGIC)?;
    builder.reset();
    header(table, nodes.len(), &mut builder);
    out.write_all(builder.finished_data())?;
    let order: Vec<&Piece> = nodes
        .iter()
        .filter_map(|node| pieces.get(usize::try_from(node.offset).ok()?))
        .collect();
    let mut offset = 0;
    for (node, piece) in nodes.iter_mut().zip(&order) {
        node.offset = offset;
        offset += piece.bytes as u64;
    }
    let mut out = out;
    if !nodes.is_empty() {
        let tree = PackedRTree::build(&nodes, &extent, PackedRTree::DEFAULT_NODE_SIZE);
        tree.map_err(io::Error::other)?.stream_write(&mut out)?;
    }
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    let mut bytes = Vec::new();
    for piece in &order {
        file.seek(SeekFrom::Start(piece.offset))?;
        bytes.resize(piece.bytes, 0);
        file.read_exact(&mut bytes)?;
        out.write_all(&bytes)?;
    }
    Ok(order.len() as u64)
}

/// Builds a feature; the box around it.
fn build(
    feature: &Feature,
    table: &Table,
    builder: &mut FlatBufferBuilder<'_>,
) -> Option<[f64; 4]> {
    let plain = feature.geometry.as_ref().and_then(Plain::of);
    let heights = table.heights.0;
    let geometry = plain
        .as_ref()
        .map(|plain| geometry::write(plain, heights, builder));
    let mut bytes = Vec::new();
    let id_type = table.id_type.unwrap_or(ColumnType::Text);
    properties::write(0, id_type, &id_cell(feature), &mut bytes);
    for (number, column) in (1..=u16::MAX).zip(properties_of(table)) {
        if let Some(value) = feature.properties.get(&column.name) {
            properties::write(number, column.r#type, value, &mut bytes);
        }
    }
    let properties = builder.create_vector(&bytes);
    let feature = FgbFeature::create(
        builder,
        &FeatureArgs {
            geometry,
            properties: Some(properties),
            columns: None,
        },
    );
    builder.finish_size_prefixed(feature, None);
    plain.and_then(|plain| plain.bounds())
}

fn properties_of(table: &Table) -> impl Iterator<Item = &crate::formats::table::Column> {
    table
        .columns
        .iter()
        .filter(|column| column.name != ID_COLUMN)
}

fn header(table: &Table, features: usize, builder: &mut FlatBufferBuilder<'_>) {
    let id_type = table.id_type.unwrap_or(ColumnType::Text);
    let names = properties_of(table).map(|column| (column.name.as_str(), column.r#type));
    let columns: Vec<_> = std::iter::once((ID_COLUMN, id_type))
        .chain(names)
        .map(|(name, column)| {
            let name = builder.create_string(name);
            Column::create(
                builder,
                &ColumnArgs {
                    name: Some(name),
                    type_: kind(column),
                    ..ColumnArgs::default()
                },
            )
        })
        .collect();
    let columns = builder.create_vector(&columns);
    let (org, name) = (
        builder.create_string("EPSG"),
        builder.create_string("WGS 84"),
    );
    let crs = Crs::create(
        builder,
        &CrsArgs {
            org: Some(org),
            code: 4326,
            name: Some(name),
            ..CrsArgs::default()
        },
    );
    let name = builder.create_string(table.layer.as_deref().unwrap_or_default());
    let envelope = table.bounds.map(|bounds| builder.create_vector(&bounds));
    let mut kinds = table.kinds.iter();
    let geometry_type = match (kinds.next(), kinds.next()) {
        (Some(kind), None) => geometry::code(kind),
        _ => GeometryType::Unknown,
    };
    let index_node_size = if features == 0 {
        0
    } else {
        PackedRTree::DEFAULT_NODE_SIZE
    };
    let header = Header::create(
        builder,
        &HeaderArgs {
            name: Some(name),
            envelope,
            geometry_type,
            has_z: table.heights.0,
            columns: Some(columns),
            features_count: features as u64,
            index_node_size,
            crs: Some(crs),
            ..HeaderArgs::default()
        },
    );
    builder.finish_size_prefixed(header, None);
}
