#!/usr/bin/env bash
# Every test that docs/defects.md names exists: `functions` in Rust, “sentences” in the tests with stock clients.
set -euo pipefail
cd "$(dirname "$0")/.."
page=docs/defects.md
missing=0

while read -r name; do
  grep -rqE "fn $name\(" --include='*.rs' tests src proto storage fuzz || { echo "$page names $name, which is no test"; missing=1; }
done < <(grep -oE '`[a-z0-9_]{20,}`' "$page" | tr -d '`' | sort -u)

while read -r sentence; do
  grep -rqF -- "$sentence" tests/clients/test || { echo "$page names “$sentence”, which is no test"; missing=1; }
done < <(grep -oE '“[^”]+”' "$page" | sed 's/^“//; s/”$//' | sort -u)

[ "$missing" = 0 ] && echo "$page: all tests that it names are there"
exit "$missing"
