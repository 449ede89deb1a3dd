"""What the scripts of Python clients share.

A script is a list of cases. Each prints one line of JSON when it ends: its name, and why it failed.
"""

import inspect
import json
import os
import time
import traceback
import urllib.request

URL = os.environ["DIGITALOCEAN_API_URL"]
TOKEN = os.environ["DIGITALOCEAN_TOKEN"]

cases = []


def case(function):
    """Adds a case. It may be asynchronous where the script runs it so."""
    cases.append(function)
    return function


def run(call=lambda function: function()):
    """Runs every case in turn."""
    for function in cases:
        result = {"case": function.__name__}
        try:
            call(function)
        except Exception:
            result["error"] = traceback.format_exc()
        print(json.dumps(result), flush=True)


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def until(ask, what):
    """Asks until the answer is true, and returns it."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"waited too long for {what}")


class Watched:
    """A client, or a part of one, that remembers which of its methods were called."""

    def __init__(self, inner, used, path=""):
        self._inner, self._used, self._path = inner, used, path

    def __getattr__(self, name):
        inner, path = getattr(self._inner, name), self._path + name
        if inspect.ismethod(inner):
            self._used.add(path)
            return inner
        return Watched(inner, self._used, path + ".")


def methods(part, path=""):
    """Lists the public methods of a part of a client, with those of the parts within it."""
    for name in dir(type(part)):
        if name.startswith(("_", "with_")):
            continue
        inner = getattr(part, name)
        if inspect.ismethod(inner):
            yield path + name
        elif inspect.getattr_static(type(part), name).__class__.__name__ in ("cached_property", "property"):
            yield from methods(inner, path + name + ".")


def all_used(expected, used):
    """Fails for methods that no case has called."""
    missing = sorted(set(expected) - set(used))
    if missing:
        raise AssertionError("never called: " + ", ".join(missing))


def droplet(name, **more):
    return {"name": name, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64", **more}


def fault(operation, resource, error):
    """Makes the engine fail once, as a tester of error handling would."""
    body = json.dumps({"operation": operation, "resource": resource, "error": error, "times": 1}).encode()
    request = urllib.request.Request(URL + "/_sim/faults", body, {"Authorization": "Bearer " + TOKEN})
    urllib.request.urlopen(request, timeout=10).close()
