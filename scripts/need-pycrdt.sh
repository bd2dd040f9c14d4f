#!/usr/bin/env bash
# The interop matrix runs the client of the Python package pycrdt-websocket.
exec "$(dirname "$0")/need-venv.sh" pycrdt tests/clients/python/requirements.txt "pycrdt-websocket for the tests with stock clients"
