#!/usr/bin/env bash
# The acceptance tests of the formats need GDAL, which the Python package pyogrio brings along.
exec "$(dirname "$0")/need-venv.sh" gdal tests/formats/requirements.txt "GDAL (pyogrio) for the tests of the formats"
