#!/usr/bin/env python3
"""pgbench against the server: a custom script on a view in the three protocol modes, pgbench's own -S on its own tables, and pipelines; no transaction fails."""

import os
import re
import subprocess
import sys
import tempfile

from checks import Checks, equal
from server import psql

PGBENCH = f"{os.environ['POSTGRES']}/pgbench"
SCRIPT = """\\set second random(0, 11)
SELECT frames FROM whole WHERE window_start = '1970-01-01 00:00:00+00'::timestamptz + :second * INTERVAL '1 second';
SELECT sum(frames) FROM whole;
"""
PIPELINE = """\\startpipeline
SELECT count(*) FROM whole;
SELECT name FROM cameras WHERE id = 2;
\\endpipeline
"""


def pgbench(*options, script=None):
    """Transactions done, and what it printed. Errs if one failed."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script or "")
        file.flush()
        named = ["-f", file.name] if script else []
        command = [PGBENCH, "-n", *options, *named]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    if done.returncode != 0:
        raise AssertionError(done.stderr.strip())
    equal(re.findall(r"number of failed transactions: (\d+)", done.stdout), ["0"])
    return int(re.search(r"number of transactions actually processed: (\d+)", done.stdout).group(1))


def custom(mode):
    equal(pgbench("-c", "8", "-j", "2", "-t", "50", "-M", mode, script=SCRIPT), 400)


def selects():
    """The tables of pgbench -i, as far as -S reads them."""
    psql(
        os.environ,
        "CREATE TABLE pgbench_branches (bid int4 PRIMARY KEY, bbalance int4, filler text)",
        "CREATE TABLE pgbench_accounts (aid int4 PRIMARY KEY, bid int4, abalance int4, filler text)",
        "INSERT INTO pgbench_branches VALUES (1, 0, '')",
        "INSERT INTO pgbench_accounts SELECT n, 1, 0, '' FROM generate_series(1, 100000) AS t(n)",
    )
    for mode in ("simple", "prepared"):
        equal(pgbench("-S", "-c", "4", "-t", "50", "-M", mode), 200)


def reconnects():
    equal(pgbench("-C", "-c", "4", "-t", "25", script="SELECT 1;\n"), 100)


def pipelines():
    equal(pgbench("-c", "4", "-t", "25", "-M", "extended", script=PIPELINE), 100)


def main():
    version = subprocess.run([PGBENCH, "--version"], capture_output=True, text=True, check=True).stdout
    checks = Checks(version.split()[2])
    for mode in ("simple", "extended", "prepared"):
        checks.run(f"a script on a view, -M {mode}", lambda mode=mode: custom(mode))
    checks.run("-S", selects)
    checks.run("a connection a transaction", reconnects)
    checks.run("pipelines", pipelines)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
