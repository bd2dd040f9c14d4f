#!/usr/bin/env bash
# Makes the Python environment target/NAME with what REQUIREMENTS lists, unless it is there already.
# Usage: scripts/need-venv.sh NAME REQUIREMENTS "WHAT FOR"
set -euo pipefail
cd "$(dirname "$0")/.."
folder=target/$1 requirements=$2 purpose=$3
stamp=$folder/.ready
[ -e "$stamp" ] && [ "$stamp" -nt "$requirements" ] && exit 0

command -v python3 >/dev/null || { echo "The tests need Python 3 for $purpose: install it (on Debian: apt-get install python3 python3-venv), then run make test again." >&2; exit 1; }
if ! python3 -m venv --clear "$folder" >/dev/null 2>&1; then
  if ! command -v apt-get >/dev/null; then
    echo "The tests need Python's venv module for $purpose: install it, then run make test again." >&2
    exit 1
  fi
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "The tests need Python's venv module for $purpose: apt-get install python3-venv (as root), then run make test again." >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "Installing python3-venv for the tests."
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  python3 -m venv --clear "$folder"
fi
echo "Installing $purpose."
"$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
touch "$stamp"
