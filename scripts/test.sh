#!/usr/bin/env bash
# Every check and test, cheap ones first; stops at the first step that fails and says which.
# Usage: scripts/test.sh [lint]      (lint: only what needs no running program)
set -uo pipefail
cd "$(dirname "$0")/.."

logs=target/test-logs
mkdir -p "$logs"
passed=0
failed=0
built=${CARGO_TARGET_DIR:-$PWD/target}/debug

# step NAME COMMAND…
step() {
  local name=$1 log="$logs/$1.log"
  shift
  echo "── $name"
  local start=$SECONDS
  "$@" 2>&1 | tee "$log"
  local code=${PIPESTATUS[0]}
  count "$log"
  if [ "$code" != 0 ]; then
    echo "── FAILED: $name (exit $code); its output is in $log"
    [ "$failed" = 0 ] && failed=1
    echo "$passed passed, $failed failed"
    exit 1
  fi
  echo "── $name: done in $((SECONDS - start)) s"
}

# Adds up what cargo ("12 passed; 0 failed"), vitest ("Tests  12 passed") and node ("# pass 12") say.
count() {
  local sums
  sums=$(sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
    /^test result:/ { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) p += $(i-1); if ($i ~ /^failed/) f += $(i-1) } }
    /^ *Tests +/    { for (i = 2; i <= NF; i++) { if ($i == "passed") p += $(i-1); if ($i == "failed") f += $(i-1) } }
    /^(# |ℹ )pass /   { p += $3 }
    /^(# |ℹ )fail /   { f += $3 }
    END { print p + 0, f + 0 }')
  passed=$((passed + ${sums% *}))
  failed=$((failed + ${sums#* }))
}

in_web() { (cd web && "$@"); }

step format cargo fmt --all --check
step web-lint in_web npm run --silent lint
step web-types in_web npm run --silent types
step defects scripts/check-defects.sh
step clippy cargo clippy --workspace --all-targets --locked -- -D warnings
step doc env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked
[ "${1:-}" = lint ] && exit 0

step web-test in_web npm run --silent test
step edit-vectors in_web node scripts/edit-vectors/main.mjs --check
# Stock clients and browsers come last, on their own.
step rust-test cargo test --workspace --locked
step fuzz-smoke env FUZZ_ITERATIONS="${FUZZ_ITERATIONS:-20000}" cargo test -p mapweave-fuzz --locked
step build cargo build --locked --bins --example echo
step conformance target/kosoku/bin/python tests/conformance/run.py "$built/examples/echo"
step deploy scripts/check-deploy.sh "$built/mapweave"
step formats target/gdal/bin/python tests/formats/run.py "$built/mapweave"
step clients env MAPWEAVE_BIN="$built/mapweave" MAPWEAVE_REPLICA_BIN="$built/mapweave-replica" npm --prefix tests/clients test --silent

echo "$passed passed, $failed failed"
