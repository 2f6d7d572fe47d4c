#!/usr/bin/env python3
"""Statements that tools send, asked of framesql and of a PostgreSQL with the same objects and rows: the same columns, types, errors and rows.

They are those of ../shared/clients, which are not in the repository, and our own in tools/, after what is told of the tools that have none there. differences.py says
what may differ, and why. ONLY="grafana 003" picks statements by words, VERBOSE=1 shows those that differ.
"""

import collections
import itertools
import os
import re
import sys
from pathlib import Path

import beside
import differences
from checks import Checks, equal
from frontend import Frontend
from server import CLIP, ROOT, Postgres, psql

SHARED = Path(os.environ.get("SHARED", ROOT.parent / "shared")) / "clients"
OWN = ROOT / "tests/clients/tools"

SCENE = [
    "CREATE TABLE detections (camera text NOT NULL, ts timestamptz NOT NULL, frame int8, x int4, y int4, w int4, h int4, score float8, label text)",
    "CREATE TABLE cameras (id int8 PRIMARY KEY, name text NOT NULL, height float8, indoors bool)",
    "CREATE TABLE games (id int8, title text)",
    "CREATE TABLE tt (a int4)",
    "CREATE VIEW cars AS SELECT camera, ts, score FROM detections WHERE label = 'car'",
    "INSERT INTO cameras VALUES (1, 'gate', 2.5, false), (2, 'lobby', NULL, true), (3, 'yard', 4, NULL)",
    "INSERT INTO games VALUES (1, 'chess'), (2, NULL)",
    "COMMENT ON TABLE detections IS 'what was seen'",
    "COMMENT ON COLUMN detections.score IS '0 to 1'",
]
# The clip as a source, and a view over it; PostgreSQL has the same rows in a table and makes the same view of them.
WINDOWS = "CREATE MATERIALIZED VIEW visits AS SELECT window_start, count(*) AS n, min(frame_no)::float8 / 2 AS half, bool_or(keyframe) AS keyed, min(source) AS place FROM {}"
OURS = [f"CREATE SOURCE clip FROM '{CLIP}'", WINDOWS.format("TUMBLE(clip, ts, INTERVAL '1 second') GROUP BY window_start")]
THEIRS = WINDOWS.format("(SELECT *, date_trunc('second', ts) AS window_start FROM clip) AS w GROUP BY window_start")
COLUMNS = """SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = 'clip'::regclass AND attnum > 0"""


def detections():
    """Forty rows: three cameras, half a day, all values but the first two NULL at times."""
    rows = []
    for n in range(40):
        camera, label = ("gate", "lobby", "yard", "gate", "gate", "lobby")[n % 6], ("'person'", "'car'", "'Bus, big'", "NULL")[n % 4]
        at = f"2026-01-0{2 + n // 20} {n % 24:02}:{n * 7 % 60:02}:{n:02}.{n % 4 * 25:02}+00"
        x = "NULL" if n % 7 == 6 else n * 3
        score = "NULL" if n % 9 == 8 else n * 13 % 40 / 40
        rows.append(f"('{camera}', '{at}', {n}, {x}, {n + 5}, 20, 30, {score}, {label})")
    return f"INSERT INTO detections VALUES {', '.join(rows)}"


def scene(ours, theirs):
    """Makes the objects on both: what the clip is, PostgreSQL is told by framesql."""
    psql(ours, *OURS, "FLUSH")
    rows = psql(ours, "COPY clip TO STDOUT")
    psql(theirs, f"CREATE TABLE clip ({psql(ours, COLUMNS)[0]})", "COPY clip FROM STDIN;\n" + "\n".join(rows) + "\n\\.\n", THEIRS)
    for environment in (ours, theirs):
        psql(environment, *SCENE[:4], detections(), *SCENE[4:], "COMMENT ON MATERIALIZED VIEW visits IS 'how often'")


def recorded():
    """Tool, name and text of each statement: those of the shared folder, as they are known to be sent, and our own."""
    for path in sorted((SHARED / "recorded").glob("*/*.sql")):
        yield f"{path.parent.name}, recorded", path.stem, path.read_text(encoding="utf-8").strip()
    for path in [*sorted((SHARED / "captured").glob("*.sql")), *sorted(OWN.glob("*.sql"))]:
        # A line of a comment begins each.
        blocks = re.split(r"^-- .*\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
        for n, text in enumerate(blocks, 1):
            yield f"{path.stem}, {'own' if path.parent == OWN else 'captured'}", f"{n:03}", text.strip()


def check(statements, ours, theirs, used):
    """Compares the statements of one tool, and says of which no rows were compared, and why. Errs with all that differs."""
    sides = [beside.Side(Frontend(environment)) for environment in (ours, theirs)]
    how, reasons, wrong = collections.defaultdict(list), collections.defaultdict(list), []
    for name, sql in statements:
        found = beside.compare(sql, *sides)
        if found.wrong:
            wrong.append(f"{name}: {' | '.join(found.wrong)}")
            print(f"        differs: {wrong[-1]}" + (f"\n{sql}" if "VERBOSE" in os.environ else ""), flush=True)
        for by in found.how:
            how["plan" if differences.PLAN in found.allowed else by].append(name)
        for difference in found.allowed:
            reasons[difference.reason].append(name)
        used |= found.allowed
    for side in sides:
        side.frontend.close()
    said = {"rows": "all rows", "own rows": "the rows of the user's objects", "columns": "columns only", "plan": "columns only, of a plan"}
    said |= {"no rows": "no rows", "error": "the same error"}
    print("        " + ", ".join(f"{text}: {len(how[by])}" for by, text in said.items() if how[by]), flush=True)
    for by, why in [("columns", "no row is about the user's objects"), *((reason, "allowed") for reason in reasons)]:
        if names := how.get(by) or reasons.get(by):
            print(f"        {why}: {'columns only' if by == 'columns' else by}: {' '.join(names)}", flush=True)
    if wrong:
        raise AssertionError(f"{len(wrong)} differ, the first is {wrong[0]}")


def needed(used):
    """A difference that nothing shows any more goes."""
    equal([difference.reason for difference in differences.ALL if difference not in used], [])


def main():
    words = os.environ.get("ONLY", "").split()
    if not SHARED.is_dir():
        print(f"there is no {SHARED}: only our own statements are compared")
        if os.environ.get("CI") == "true":
            return 1
    ours, used = dict(os.environ), set()
    with Postgres(os.environ["POSTGRES"]) as server:
        checks = Checks(psql(server.environment(), "SHOW server_version")[0].split()[0])
        psql(server.environment(), "CREATE DATABASE framesql")
        theirs = server.environment() | {"PGDATABASE": ours["PGDATABASE"]}
        scene(ours, theirs)
        for tool, group in itertools.groupby(recorded(), key=lambda one: one[0]):
            chosen = [(name, sql) for _, name, sql in group if not words or any(word in f"{tool} {name}" for word in words)]
            if chosen:
                checks.run(f"{tool}: {len(chosen)} statements", lambda: check(chosen, ours, theirs, used))
        if SHARED.is_dir() and not words:
            checks.run("every difference that is allowed is there", lambda: needed(used))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
