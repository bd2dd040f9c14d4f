#!/usr/bin/env bash
# The tests of docs/deploy/ need HAProxy and nginx; installs Debian's if they are missing.
set -euo pipefail
missing=()
command -v haproxy >/dev/null || missing+=(haproxy)
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
[ "${#missing[@]}" = 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "The tests of docs/deploy/ need HAProxy and nginx: install ${missing[*]}, then run make test again." >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "The tests of docs/deploy/ need ${missing[*]}: apt-get install ${missing[*]} (as root), then run make test again." >&2; exit 1; }
  as_root=(sudo)
fi
echo "Installing ${missing[*]} for the tests of docs/deploy/."
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
