#!/usr/bin/env bash
# A full disk makes builds and tests fail in places that do not say why: says it before they start.
# Usage: scripts/need-space.sh GIB FOLDER     (GIB that a build from nothing takes; FOLDER that holds what is built already)
set -euo pipefail
cd "$(dirname "$0")/.."
wanted_kib=$(($1 * 1024 * 1024))
built_kib=0
[ -d "$2" ] && built_kib=$(du -sk "$2" | cut -f 1)
free_kib=$(df -Pk . | awk 'NR == 2 { print $4 }')
missing_kib=$((wanted_kib - built_kib - free_kib))
[ "$missing_kib" -le 0 ] && exit 0
echo "The disk has $((free_kib / 1024 / 1024)) GiB free, and this needs $1 GiB with what it has built already: make $(((missing_kib + 1048575) / 1048576)) GiB of room, then run make again." >&2
exit 1
