"""Runs the scenarios of the scripts beside it, which tests/api/clients.rs starts.

Each scenario prints one line of JSON: its name, and what it returned or how it failed. The process
then stays until its standard input ends: what the server sees meanwhile is the client's doing, and
not the end of a process. It fails if a scenario did.
"""

import asyncio
import inspect
import json
import os
import sys
import traceback

URL = os.environ["CALLBOARD_URL"]
KEY = os.environ["CALLBOARD_KEY"]

QUESTION = [{"role": "user", "content": "Is all well?"}]

# Nothing here takes a tenth of it; a client that hangs is to fail, and not to wait for longer.
TIMEOUT = 30.0


def run(scenarios):
    """Runs those that are named on the command line."""
    failed = False
    for name in sys.argv[1:]:
        line = {"scenario": name}
        try:
            result = scenarios[name]()
            line["result"] = asyncio.run(result) if inspect.isawaitable(result) else result
        except Exception as error:
            failed = True
            line["failed"] = f"{type(error).__name__}: {error}"
            traceback.print_exc()
        print(json.dumps(line), flush=True)
    sys.stdin.read()
    sys.exit(1 if failed else 0)


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def raised(kind, call):
    """The exception of exactly this class that the call ends with."""
    try:
        result = call()
    except Exception as error:
        assert type(error) is kind, f"{type(error).__name__} is not {kind.__name__}: {error}"
        return error
    raise AssertionError(f"no {kind.__name__}, but {result!r}")
