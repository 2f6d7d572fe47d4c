#!/usr/bin/env python3
"""pgcli against the server: commands and meta-commands as typed, and what it looks up for its completion."""

import os
import re
import subprocess
import sys
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path

from pgcli.completion_refresher import CompletionRefresher
from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial
from prompt_toolkit.document import Document

from checks import Checks, equal

HOME = tempfile.TemporaryDirectory()
Path(HOME.name, "pgclirc").write_text("[main]\nuse_local_timezone = False\n", encoding="utf-8")


def pgcli(*commands, options=()):
    """What it prints for commands, without its start and end; its files go to a folder that goes with the script."""
    arguments = [word for command in commands for word in ("-c", command)]
    environment = os.environ | {"HOME": HOME.name, "XDG_CONFIG_HOME": HOME.name, "TERM": "dumb", "PAGER": "cat"}
    command = [Path(sys.executable).parent / "pgcli", "--less-chatty", "--pgclirc", f"{HOME.name}/pgclirc", *options, *arguments]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.stdout, done.stderr, done.returncode


def rows(*commands):
    """Rows only, stripped. Errs if one of the commands has an error."""
    out, err, code = pgcli(*commands, options=["-t"])
    if code != 0:
        raise AssertionError(out + err)
    return [re.split(r"\s{2,}", line.strip()) for line in out.splitlines() if line.strip()]


def has(found, *lines):
    """Errs with what is missing of the first columns."""
    if missing := [line for line in lines if line not in [row[: len(line)] for row in found]]:
        raise AssertionError(f"{missing} not in {found}")


def queries():
    equal(rows("SELECT count(*), sum(frames) FROM whole"), [["12", "300"]])
    out, _, _ = pgcli("SELECT frame_no, ts, frame FROM clip WHERE frame_no = 7")
    equal([word for word in ("| frame_no |", "clip#7 1280x720", "1970-01-01 00:00:00.28+00", "SELECT 1") if word not in out], [])
    out, err, _ = pgcli("SELECT * FROM nothing")
    equal('"nothing" does not exist' in out + err, True)


def relations():
    has(rows("\\d"), ["public", "clip", "table"], ["public", "early", "view"], ["public", "whole", "materialized view"])
    has(rows("\\dt"), ["public", "cameras", "table"])
    has(rows("\\dv"), ["public", "early", "view"])
    has(rows("\\dm"), ["public", "whole", "materialized view"])
    has(rows("\\d whole"), ["window_start", "timestamp with time zone"], ["frames", "bigint"])
    has(rows("\\d cameras"), ["id", "bigint", "not null"], ["name", "text", "not null"])
    has(rows("\\dn"), ["public"])
    has(rows("\\du"), ["framesql"])
    has(rows("\\df detect_faces"), ["public", "detect_faces"])
    equal(rows("\\dT jsonb")[0][0], "pg_catalog")


def options():
    out, err, code = pgcli(options=["--list"])
    equal(("framesql" in out, code), (True, 0))
    out, err, code = pgcli(options=["--ping"])
    equal(("PONG" in out, code), (True, 0))
    out, _, _ = pgcli("\\conninfo")
    equal('to database "framesql" as user "framesql"' in out, True)


def completion():
    """The words it offers come from its own look-ups of schemas, relations, columns, functions, types, keys and databases."""
    executor = PGExecute(os.environ["PGDATABASE"], os.environ["PGUSER"], "", os.environ["PGHOST"], os.environ["PGPORT"])
    there, completers = threading.Event(), []

    def took(completer):
        completers.append(completer)
        there.set()

    CompletionRefresher().refresh(executor, PGSpecial(), [took], history=[], settings={"single_connection": True})
    equal(there.wait(30), True)

    def offered(text):
        return {completion.text for completion in completers[0].get_completions(Document(text, len(text)), None)}

    equal({"whole"} - offered("SELECT * FROM wh"), set())
    equal({"frame_no", "frame"} - offered("SELECT * FROM clip WHERE fr"), set())
    equal({"early"} - offered("SELECT * FROM public.ea"), set())
    equal(any(text.startswith("detect_faces") for text in offered("SELECT detect_fa")), True)
    equal({"framesql"} - offered("\\c frame"), set())
    equal({"cameras"} - offered("INSERT INTO cam"), set())
    equal(sorted(name for schema, name in executor.tables() if schema == "public"), ["cameras", "clip", "lobby"])
    equal(sorted(name for schema, name in executor.views() if schema == "public"), ["early", "live", "whole"])


def main():
    checks = Checks(version("pgcli"))
    checks.run("queries and an error", queries)
    checks.run("\\d \\dt \\dv \\dm \\d NAME \\dn \\du \\df \\dT", relations)
    checks.run("--list, --ping, \\conninfo", options)
    checks.run("completion", completion)
    HOME.cleanup()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
