#!/usr/bin/env bash
# The conformance tests of the sockets need kosoku, a runner of Autobahn's cases.
exec "$(dirname "$0")/need-venv.sh" kosoku tests/conformance/requirements.txt "kosoku for the conformance tests of the sockets"
