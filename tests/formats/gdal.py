"""What GDAL makes of files, as plain features: the other side of every comparison."""

import json
import math

import numpy as np
import pyogrio.raw
import shapely


class Feature:
    """Properties without nulls, numbers as floats; the geometry as shapely has it."""

    def __init__(self, fid, properties, geometry):
        self.fid = fid
        self.properties = {k: plain(v) for k, v in properties.items()}
        self.properties = {k: v for k, v in self.properties.items() if v is not None}
        self.geometry = geometry

    def shape(self):
        """Type and coordinates, every double exactly."""
        return shape(self.geometry)


def shape(geometry):
    if geometry is None or shapely.is_missing(geometry):
        return None
    return geometry.geom_type, bool(geometry.has_z), coordinates(geometry)


def coordinates(geometry):
    if geometry.is_empty:
        return []
    if hasattr(geometry, "geoms"):
        return [(g.geom_type, coordinates(g)) for g in geometry.geoms]
    if geometry.geom_type == "Polygon":
        return [ring.coords[:] for ring in (geometry.exterior, *geometry.interiors)]
    return geometry.coords[:]


def plain(value):
    if value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)):
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, float, np.integer, np.floating)):
        return float(value)
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value)
    return str(value)


def read(path, layer=None, **options):
    """All features of a layer."""
    meta, fids, geometries, columns = pyogrio.raw.read(path, layer=layer, return_fids=True, **options)
    geometries = [None] * len(fids) if geometries is None else shapely.from_wkb(geometries)
    rows = zip(fids, geometries, *columns)
    return [Feature(int(fid), dict(zip(meta["fields"], values)), geometry) for fid, geometry, *values in rows]


def layers(path):
    return [name for name, _ in pyogrio.list_layers(path)]


def write(path, driver, features, columns, **options):
    """Writes features with columns of text; other types show in what is read back."""
    geometries = np.array([shapely.to_wkb(f["geometry"], flavor="iso") if f["geometry"] is not None else None for f in features], dtype=object)
    data = [np.array([f["properties"].get(name) for f in features], dtype=kind) for name, kind in columns]
    kinds = {f["geometry"].geom_type for f in features if f["geometry"] is not None}
    pyogrio.raw.write(
        path,
        geometries,
        data,
        np.array([name for name, _ in columns], dtype=object),
        driver=driver,
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        crs="EPSG:4326",
        **options,
    )


def from_geojson(path):
    """Features of a GeoJSON file, read without GDAL."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    found = []
    for feature in json.loads(text)["features"]:
        geometry = feature["geometry"]
        found.append({
            "id": feature.get("id"),
            "properties": feature["properties"] or {},
            "geometry": None if geometry is None else shapely.from_geojson(json.dumps(geometry)),
        })
    return found
