#!/usr/bin/env bash
# Checks what of docs/deploy/ no other test runs: the systemd unit and the alert rules, each where its checker is there.
# Usage: scripts/check-deploy.sh BINARY
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

if command -v systemd-analyze >/dev/null; then
  sed "s|/usr/local/bin/mapweave|$binary|; s|^User=.*|User=root|" docs/deploy/mapweave.service > "$folder/mapweave.service"
  systemd-analyze verify "$folder/mapweave.service" 2>&1 | grep -F mapweave.service && { echo "docs/deploy/mapweave.service has mistakes" >&2; exit 1; }
  echo "mapweave.service: no mistakes"
else
  echo "mapweave.service: not checked, systemd-analyze is not here"
fi
if command -v promtool >/dev/null; then
  promtool check rules docs/deploy/alerts.yml
else
  echo "alerts.yml: not checked by promtool, which is not here; a test compares its figures with those of the server"
fi
