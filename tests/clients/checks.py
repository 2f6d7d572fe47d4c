"""What the Python clients say: a line a check, a count at the end, and the exit code; the runner reads these lines."""

import traceback


class Checks:
    """Runs named checks; one that raises has failed, and the next is run."""

    def __init__(self, version=None):
        """The version of the client, where the runner cannot know it."""
        self.passed = self.failed = 0
        if version:
            print(f"version {version}", flush=True)

    def run(self, name, check):
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises is a failed check
            self._failed(name, error)
        else:
            self.passed += 1
            print(f"ok      {name}", flush=True)

    def refused(self, name, words, check):
        """What PostgreSQL allows and the server does not: the error has these words. When it is allowed one day, the check fails and becomes another."""
        try:
            check()
        except Exception as error:  # noqa: BLE001 - the driver's own class
            if words in str(error):
                self.passed += 1
                print(f"refused {name}: {words}", flush=True)
            else:
                self._failed(name, error)
        else:
            self._failed(name, AssertionError("it is no longer refused"))

    def _failed(self, name, error):
        self.failed += 1
        where = traceback.extract_tb(error.__traceback__)
        place = f" ({where[-1].name}, line {where[-1].lineno})" if where else ""
        said = " ".join(str(error).split())
        print(f"FAILED  {name}: {type(error).__name__}: {said}{place}", flush=True)

    def end(self):
        """The exit code."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def equal(found, expected):
    """Errs with both where they differ."""
    if found != expected:
        raise AssertionError(f"expected {expected!r}, found {found!r}")


def raises(kind, body):
    """The exception of that class, or one of those classes, that the body raises; errs where it raises none."""
    try:
        body()
    except kind as error:
        return error
    raise AssertionError(f"it raises no {kind}")
