#!/usr/bin/env bash
# Drives Mapweave and other sync servers with one load generator in one run, durable acknowledgements on.
# Usage: LOADGEN=FOLDER benches/load.sh [SCENARIOS [PEERS]]     for example: LOADGEN=… benches/load.sh s1,s6 relay,yrs-warp
# FOLDER holds `bench.py`, whose `install` has built the other servers. Results: bench-results/load.jsonl and a table.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${LOADGEN:?say where the load generator is: LOADGEN=FOLDER}"
scenarios=${1:-s1,s2,s3,s4+s6+s7+idle,s5}
peers=${2:-relay,relay-batch,yrs-warp,hocuspocus,y-sweet,y-websocket}
binary=$PWD/${CARGO_TARGET_DIR:-target}/release/mapweave
case ${CARGO_TARGET_DIR:-} in /*) binary=$CARGO_TARGET_DIR/release/mapweave ;; esac
mkdir -p bench-results
exec python3 "$LOADGEN/bench.py" run --out bench-results/load.jsonl --scenarios "$scenarios" --peers "$peers" \
  --peer "mapweave:yws:echo102=ws://127.0.0.1:{port}/ws/{doc},$binary serve --listen 127.0.0.1:{port} --data {data} --set log.filter=warn"
