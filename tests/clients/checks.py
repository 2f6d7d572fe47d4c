"""What the Python clients say: a line a check, a count at the end, and the exit code."""

import traceback


class Checks:
    """Runs named checks; one that raises has failed, and the next is run."""

    def __init__(self):
        self.passed = self.failed = 0

    def run(self, name, check):
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises is a failed check
            self.failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"FAILED  {name}: {type(error).__name__}: {str(error).strip()} ({where.name}, line {where.lineno})", flush=True)
        else:
            self.passed += 1
            print(f"ok      {name}", flush=True)

    def end(self):
        """The exit code."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def equal(found, expected):
    """Errs with both where they differ."""
    if found != expected:
        raise AssertionError(f"expected {expected!r}, found {found!r}")
