#!/usr/bin/env bash
# Serves ./data; on a first start with a demo map of the world's countries in it.
# Usage: scripts/run.sh BINARY DATA_FOLDER ADDRESS
set -euo pipefail
binary=$1 data=$2 listen=$3

if [ ! -e "$data" ]; then
  echo "First start: putting the countries of the world (Natural Earth, public domain) into the map “demo” in $data."
  # Into a folder beside it and then into place: an interrupted first start leaves no half of it.
  fresh="$data.new"
  rm -rf "$fresh"
  "$binary" import demo target/demo/countries.geojson --layer countries --data "$fresh"
  mv "$fresh" "$data"
elif ! maps=$("$binary" maps --json --data "$data"); then
  exit 1
elif ! grep -q '"name": *"demo"' <<<"$maps"; then
  echo "The map “demo” is not in $data: putting the countries of the world into it."
  "$binary" import demo target/demo/countries.geojson --layer countries --data "$data"
fi

echo "Serving $data. Open http://$listen/m/demo in two windows; Ctrl+C stops."
exec "$binary" serve --listen "$listen" --data "$data"
