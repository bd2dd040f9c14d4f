#!/usr/bin/env bash
# The browser tests need Chromium; installs Debian's if there is none.
set -euo pipefail
chromium=${CHROMIUM:-/usr/bin/chromium}
[ -x "$chromium" ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "The browser tests need Chromium: install it and say where it is, as in: make test CHROMIUM=/path/to/chromium" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "The browser tests need Chromium: apt-get install chromium (as root), then run make test again." >&2; exit 1; }
  as_root=(sudo)
fi
echo "Installing Chromium for the browser tests."
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
