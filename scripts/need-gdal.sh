#!/usr/bin/env bash
# The acceptance tests of the formats need GDAL, which the Python package pyogrio brings along; makes an environment for it in target/gdal.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/gdal
stamp=$folder/.ready
[ -e "$stamp" ] && [ "$stamp" -nt tests/formats/requirements.txt ] && exit 0

command -v python3 >/dev/null || { echo "The tests of the formats need Python 3: install it (on Debian: apt-get install python3 python3-venv), then run make test again." >&2; exit 1; }
if ! python3 -m venv --clear "$folder" >/dev/null 2>&1; then
  if ! command -v apt-get >/dev/null; then
    echo "The tests of the formats need Python's venv module: install it, then run make test again." >&2
    exit 1
  fi
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "The tests of the formats need Python's venv module: apt-get install python3-venv (as root), then run make test again." >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "Installing python3-venv for the tests of the formats."
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  python3 -m venv --clear "$folder"
fi
echo "Installing GDAL (pyogrio) for the tests of the formats."
"$folder/bin/pip" install --quiet --disable-pip-version-check --requirement tests/formats/requirements.txt
touch "$stamp"
