"""GDAL and Mapweave read each other's files and find the same features, ids, properties and coordinates in them.

Usage: python tests/formats/run.py BINARY      (needs target/demo and the packages of requirements.txt)
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import traceback
import zipfile

import numpy as np
import shapely

import gdal

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = {"countries": ROOT / "target/demo/countries.geojson", "us-counties": ROOT / "target/demo/us-counties.geojson"}
TRACK = ROOT / "tests/fixtures/gpx/tour.gpx"
ID = "mapweave_id"

# What we write and GDAL reads: ending, how GDAL is to open it.
OURS = {
    "geojson": (".geojson", {}),
    "geojsonseq": (".geojsonl", {}),
    "csv": (".csv", {"AUTODETECT_TYPE": "YES", "QUOTED_FIELDS_AS_STRING": "YES", "KEEP_GEOM_COLUMNS": "NO"}),
    "kml": (".kml", {}),
    "kmz": (".kmz", {}),
    "gpkg": (".gpkg", {}),
    "flatgeobuf": (".fgb", {}),
}
# What GDAL writes and we read: driver, ending, how GDAL is to write it.
THEIRS = {
    "geojson": ("GeoJSON", ".geojson", {"layer_options": {"COORDINATE_PRECISION": "15"}}),
    "geojson-7946": ("GeoJSON", ".geojson", {"layer_options": {"RFC7946": "YES", "COORDINATE_PRECISION": "15"}}),
    "geojsonseq": ("GeoJSONSeq", ".geojsonl", {"layer_options": {"COORDINATE_PRECISION": "15"}}),
    "csv": ("CSV", ".csv", {"layer_options": {"GEOMETRY": "AS_WKT", "STRING_QUOTING": "IF_AMBIGUOUS"}}),
    "kml": ("KML", ".kml", {}),
    "libkml": ("LIBKML", ".kml", {}),
    "gpkg": ("GPKG", ".gpkg", {}),
    "flatgeobuf": ("FlatGeobuf", ".fgb", {}),
    "shp": ("ESRI Shapefile", ".shp", {"layer_options": {"ENCODING": "UTF-8"}}),
}
# A tenth of a millimetre for projections; metres lie between the ways to shift an old datum without a grid.
CLOSE_DEG = 1e-9


class Mapweave:
    """The binary on a data folder of its own."""

    def __init__(self, binary, folder):
        self.binary, self.data = binary, folder / "data"

    def run(self, *args):
        done = subprocess.run([self.binary, *map(str, args), "--data", str(self.data)], capture_output=True, text=True, cwd=ROOT)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, args))}: {done.stderr}")
        return done.stdout

    def features(self, name, folder):
        path = folder / f"{name.replace('/', '-')}-back.geojson"
        self.run("export", name, "-o", path)
        return gdal.from_geojson(path)


def rings(shape):
    """Rings of one type as sets of edges do not depend on where they start or how they run."""
    kind, has_z, coords = shape
    def ring(points):
        points = points[:-1]
        forward = min(points[i:] + points[:i] for i in range(len(points)) if points[i] == min(points))
        points = points[::-1]
        backward = min(points[i:] + points[:i] for i in range(len(points)) if points[i] == min(points))
        return min(forward, backward)
    if kind == "Polygon":
        return kind, has_z, [ring(r) for r in coords]
    if kind == "MultiPolygon":
        return kind, has_z, [(k, [ring(r) for r in polygon]) for k, polygon in coords]
    return shape


def expect(what, found, wanted):
    if found != wanted:
        raise AssertionError(f"{what}: {str(found)[:400]} instead of {str(wanted)[:400]}")


def texts(properties):
    """Properties as texts, for formats that know nothing else."""
    return {k: (v if isinstance(v, str) else json.dumps(v)) for k, v in properties.items() if v is not None}


def we_write(mapweave, name, source, form, folder):
    """Every feature of the source is in the file under its id, with equal properties and coordinates."""
    ending, options = OURS[form]
    path = folder / f"{name}{ending}"
    mapweave.run("export", name, "--format", form, "-o", path)
    again = folder / f"{name}-again{ending}"
    mapweave.run("export", name, "--format", form, "-o", again)
    expect(f"{name} {form}: bytes of a second export", again.read_bytes() == path.read_bytes(), True)
    # GDAL looks for the types of columns in an archive of KML only elsewhere.
    shown = f"/vsizip/{path}/doc.kml" if form == "kmz" else path
    expect(f"{name} {form}: GDAL opens it", len(gdal.layers(path)), 1)
    found = gdal.read(shown, layer=gdal.layers(shown)[0], **options)
    expect(f"{name} {form}: features", len(found), len(source))
    by_id = {}
    for feature in found:
        key = next(k for k in (ID, "id") if k in feature.properties)
        by_id[str(feature.properties.pop(key))] = feature
    for feature in source:
        key = str(feature["id"])
        other = by_id[key]
        wanted = {k: gdal.plain(v) for k, v in feature["properties"].items() if v is not None}
        if form in ("kml", "kmz"):
            wanted = {k.replace("name", "Name") if k == "name" else k: v for k, v in wanted.items()}
        own = {k: v for k, v in other.properties.items() if k in wanted}
        expect(f"{name} {form} {key}: properties", own, wanted)
        expect(f"{name} {form} {key}: geometry", other.shape(), gdal.shape(feature["geometry"]))


def gdal_writes(mapweave, name, source, form, folder):
    """What we read from GDAL's file is what GDAL reads from it."""
    driver, ending, options = THEIRS[form]
    stem = f"gdal-{form}-{name}".replace("-", "_")
    path = folder / f"{stem}{ending}"
    columns = [(c, object) for c in sorted({c for f in source for c in f["properties"]})] + [("number", np.float64), ("count", np.int64)]
    for number, feature in enumerate(source):
        feature["properties"].update(number=number + 0.1, count=number)
    if form in ("libkml", "shp"):
        # These drivers refuse or change rings that cross themselves.
        source = [f for f in source if f["geometry"] is None or shapely.is_valid(f["geometry"])]
    features = source
    if form == "shp":
        multi = shapely.MultiPolygon
        features = [{**f, "geometry": multi([f["geometry"]]) if f["geometry"].geom_type == "Polygon" else f["geometry"]} for f in source]
    gdal.write(str(path), driver, features, columns, **options)
    shown = path
    if form == "shp":
        packed = folder / f"{stem}.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in folder.glob(f"{stem}.*"):
                if part.suffix != ".zip":
                    archive.write(part, part.name)
        shown = packed
    theirs = gdal.read(path, **({"KEEP_GEOM_COLUMNS": "NO", "AUTODETECT_TYPE": "YES", "EMPTY_STRING_AS_NULL": "YES"} if form == "csv" else {}))
    target = f"from/{form}/{name}"
    own_columns = {column for column, _ in columns}
    mapweave.run("import", target, shown)
    ours = mapweave.features(target, folder)
    expect(f"{name} from {form}: features", len(ours), len(theirs))
    ours = {int(float(f["properties"]["count"])): f for f in ours}
    for feature in theirs:
        properties = feature.properties
        other = ours[int(float(properties["count"]))]
        own = {k: gdal.plain(v) for k, v in other["properties"].items() if v is not None}
        if form in ("kml", "libkml"):
            wanted = {("name" if k == "Name" else k): v for k, v in properties.items()}
            own, wanted = ({k: v for k, v in p.items() if k in own_columns} for p in (own, wanted))
        else:
            wanted = properties
        expect(f"{name} from {form} {properties['count']}: properties", own, wanted)
        shape, wanted = gdal.shape(other["geometry"]), feature.shape()
        if form == "shp" and shape[0] == "Polygon":
            shape = ("MultiPolygon", shape[1], [("Polygon", shape[2])])
            if wanted[0] == "Polygon":
                wanted = ("MultiPolygon", wanted[1], [("Polygon", wanted[2])])
        expect(f"{name} from {form} {properties['count']}: geometry", rings(shape), rings(wanted))
    if form in ("gpkg", "flatgeobuf", "shp"):
        before = mapweave.run("maps", "--json")
        mapweave.run("import", target, shown)
        expect(f"{name} from {form}: a second import writes nothing", mapweave.run("maps", "--json"), before)


def ids_stay(mapweave, name, source, folder):
    """Numbers of rows are the same in every export, and an edited GeoPackage comes back as edits."""
    first, second = folder / "one.gpkg", folder / "two.gpkg"
    mapweave.run("export", name, "-o", first)
    numbers = {f.properties[ID]: f.fid for f in gdal.read(first)}
    mapweave.run("import", f"{name}/copy", first)
    mapweave.run("export", f"{name}/copy", "-o", second)
    expect(f"{name}: numbers of rows", {f.properties[ID]: f.fid for f in gdal.read(second)}, numbers)
    expect(f"{name}: layer", gdal.layers(second), [name])


def gpx(mapweave, folder):
    """A tour of a waypoint, a route and a track with heights and times."""
    mapweave.run("import", "tour", TRACK)
    path = folder / "tour.gpx"
    mapweave.run("export", "tour", "-o", path)
    for layer in ("waypoints", "routes", "tracks", "route_points", "track_points"):
        theirs, ours = gdal.read(TRACK, layer=layer), gdal.read(path, layer=layer)
        expect(f"gpx {layer}: features", len(ours), len(theirs))
        for a, b in zip(ours, theirs):
            own = {k: v for k, v in a.properties.items() if not k.startswith(("ogr_", "mapweave"))}
            expect(f"gpx {layer}: properties", own, b.properties)
            expect(f"gpx {layer}: geometry", a.shape(), b.shape())
    mapweave.run("import", "tour/copy", path)
    expect("gpx: read again", sorted(f["id"] for f in mapweave.features("tour/copy", folder)), sorted(f["id"] for f in mapweave.features("tour", folder)))
    line = [{"properties": {"name": "a & b"}, "geometry": shapely.LineString([(8.1, 47.1), (8.2, 47.3)])}]
    written = folder / "gdal.gpx"
    gdal.write(str(written), "GPX", line, [("name", object)])
    mapweave.run("import", "from/gpx", written)
    [back] = mapweave.features("from/gpx", folder)
    expect("gpx from GDAL: properties", back["properties"], {"name": "a & b"})
    expect("gpx from GDAL: geometry", gdal.shape(back["geometry"]), gdal.shape(line[0]["geometry"]))


def projected(mapweave, folder):
    """Coordinates in other systems become the same degrees as GDAL's, to a tenth of a millimetre."""
    import pyogrio.raw
    points = {"EPSG:25832": (456789.0, 5500000.0), "EPSG:32633": (600000.0, 4000000.0), "EPSG:3857": (1e6, 6e6), "EPSG:3035": (4321500.0, 3215000.0),
              "EPSG:2263": (1e6, 2e5), "EPSG:2154": (700123.0, 6600456.0), "EPSG:3413": (123456.0, -1654321.0), "EPSG:5070": (100000.0, 1500000.0), "EPSG:2056": (2600100.0, 1200300.0)}
    for crs, (x, y) in points.items():
        truth = folder / f"{crs.replace(':', '')}.geojson"
        pyogrio.raw.write(str(truth), np.array([shapely.to_wkb(shapely.Point(x, y))], dtype=object), [np.array([1])], np.array(["a"], dtype=object),
                          driver="GeoJSON", geometry_type="Point", crs=crs, layer_options={"RFC7946": "YES", "COORDINATE_PRECISION": "12"})
        reference = gdal.from_geojson(truth)[0]["geometry"].coords[0]
        for driver, ending in (("GPKG", ".gpkg"), ("FlatGeobuf", ".fgb"), ("ESRI Shapefile", ".shp")):
            stem = f"{crs.replace(':', '')}{driver.split()[0]}"
            path = folder / f"{stem}{ending}"
            pyogrio.raw.write(str(path), np.array([shapely.to_wkb(shapely.Point(x, y))], dtype=object), [np.array([1])], np.array(["a"], dtype=object),
                              driver=driver, geometry_type="Point", crs=crs)
            if ending == ".shp":
                packed = folder / f"{stem}.zip"
                with zipfile.ZipFile(packed, "w") as archive:
                    for part in folder.glob(f"{stem}.*"):
                        if part.suffix != ".zip":
                            archive.write(part, part.name)
                path = packed
            mapweave.run("import", f"crs/{stem}", path)
            [feature] = mapweave.features(f"crs/{stem}", folder)
            lon, lat = feature["geometry"].coords[0]
            close = abs(lon - reference[0]) < CLOSE_DEG and abs(lat - reference[1]) < CLOSE_DEG
            expect(f"{crs} by {driver}: {lon} {lat} near {reference}", close, True)


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        mapweave = Mapweave(binary, folder)
        steps = []
        for name, path in DATA.items():
            mapweave.run("import", name, path, "--layer", name)
            steps += [(f"we write {form}, GDAL reads equal: {name}", lambda n=name, p=path, f=form: we_write(mapweave, n, gdal.from_geojson(p), f, folder)) for form in OURS]
            steps += [(f"GDAL writes {form}, we read equal: {name}", lambda n=name, p=path, f=form: gdal_writes(mapweave, n, gdal.from_geojson(p), f, folder)) for form in THEIRS]
            steps += [(f"row numbers stay: {name}", lambda n=name, p=path: ids_stay(mapweave, n, gdal.from_geojson(p), folder))]
        steps += [("GPX both ways", lambda: gpx(mapweave, folder)), ("other reference systems", lambda: projected(mapweave, folder))]
        for title, step in steps:
            try:
                step()
                passed += 1
                print(f"ok      {title}", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAILED  {title}: {str(error)[:600]}", flush=True)
                if not isinstance(error, AssertionError):
                    print("".join(traceback.format_tb(error.__traceback__)[-2:]), flush=True)
    print(f"# pass {passed}\n# fail {failed}")
    sys.exit(1 if failed else 0)


main()
