#!/usr/bin/env bash
# The conformance tests of the sockets need kosoku, a runner of Autobahn's cases from PyPI; makes an environment for it in target/kosoku.
set -euo pipefail
cd "$(dirname "$0")/.."
exec scripts/need-venv.sh target/kosoku tests/conformance/requirements.txt "the conformance tests of the sockets"
