"""WebSocket conformance (RFC 6455): every case of Autobahn's suite, played by kosoku against the server's own sockets.

Usage: run.py ECHO [CASES]      ECHO: the built example `echo`; CASES: a pattern such as 7.*

Every case has to pass and every connection to close as it should. Cases of permessage-deflate (12, 13) are left out: the server does not
offer it, which tests/e2e/hostile checks. The report is kept in target/conformance.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
KOSOKU = pathlib.Path(sys.executable).parent / "kosoku"
# What Autobahn calls passed; informational cases have no right answer.
PASSED = {"OK", "INFORMATIONAL"}
CASES_MIN = 247


def main(echo: str, cases: str = "*") -> int:
    server = subprocess.Popen([echo], stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip().removeprefix("listening on ")
        failed = sum(conforms(address, path, cases) for path in ("ws/conformance", "hocuspocus"))
    finally:
        server.kill()
        server.wait()
    return 1 if failed else 0


def conforms(address: str, path: str, cases: str) -> int:
    """Plays the cases against one kind of socket; how many have failed."""
    report = ROOT / "target" / "conformance" / path.split("/")[0]
    subprocess.run(
        [KOSOKU, "-m", "fuzzingclient", "-i", cases, "-x", "12.*", "-x", "13.*", "-o", report, f"ws://{address}/{path}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    told = json.loads((report / "index.json").read_text())
    results = [(case, result) for agent in told.values() for case, result in agent.items()]
    bad = [
        f"/{path} case {case}: {result['behavior']}, close {result['behaviorClose']}"
        for case, result in results
        if result["behavior"] not in PASSED or result["behaviorClose"] not in PASSED
    ]
    if cases == "*" and len(results) < CASES_MIN:
        bad.append(f"/{path}: only {len(results)} cases were played")
    print("\n".join(bad))
    # As the other steps of `make test` count.
    print(f"# pass {len(results) - len(bad)}\n# fail {len(bad)}")
    return len(bad)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
