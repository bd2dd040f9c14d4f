#!/usr/bin/env bash
# Makes a Python environment with what a requirements file names, unless it is there already.
# Usage: scripts/need-venv.sh FOLDER REQUIREMENTS WHAT-FOR
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 requirements=$2 what=$3
stamp=$folder/.ready
[ -e "$stamp" ] && [ "$stamp" -nt "$requirements" ] && exit 0

command -v python3 >/dev/null || { echo "For $what Python 3 is needed: install it (on Debian: apt-get install python3 python3-venv), then run make test again." >&2; exit 1; }
if ! python3 -m venv --clear "$folder" >/dev/null 2>&1; then
  if ! command -v apt-get >/dev/null; then
    echo "For $what Python's venv module is needed: install it, then run make test again." >&2
    exit 1
  fi
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "For $what Python's venv module is needed: apt-get install python3-venv (as root), then run make test again." >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "Installing python3-venv for $what."
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  python3 -m venv --clear "$folder"
fi
echo "Installing what $requirements names, for $what."
"$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
touch "$stamp"
