#!/usr/bin/env bash
# The acceptance tests of the formats need GDAL, which the Python package pyogrio brings along; makes an environment for it in target/gdal.
set -euo pipefail
cd "$(dirname "$0")/.."
exec scripts/need-venv.sh target/gdal tests/formats/requirements.txt "the tests of the formats"
