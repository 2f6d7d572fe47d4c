#!/usr/bin/env python3
"""Runs windows over five million detections from Parquet, by framesql (continuously and as a SELECT) and by DuckDB, in turns, on one core.

    rows.py FRAMESQL [TURNS [ROWS]]

Each row is a detection (camera, ts, label, score, x, y, w, h), in time order, 500 a second, of 40 cameras. CPU time is what the system says of each process at its
end, start and reading included; the answers of all contestants are compared.
"""

import os
import statistics
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import numpy as np

WINDOWS = {
    "tumble 10 s": (
        "TUMBLE(detections, ts, INTERVAL '10 seconds')",
        """SELECT camera, time_bucket(INTERVAL '10 seconds', ts) AS w, count(*) AS n, avg(score) AS a FROM detections GROUP BY ALL""",
    ),
    "hop 2 s of 10 s": (
        "HOP(detections, ts, INTERVAL '2 seconds', INTERVAL '10 seconds')",
        """SELECT camera, time_bucket(INTERVAL '2 seconds', ts) - INTERVAL (2 * k) SECOND AS w, count(*) AS n, avg(score) AS a
           FROM detections, range(5) AS r(k) GROUP BY ALL""",
    ),
    "session of 100 ms": (
        "SESSION(detections PARTITION BY camera, ts, INTERVAL '100 milliseconds')",
        """SELECT camera, w, count(*) AS n, avg(score) AS a FROM (
             SELECT camera, score, sum(starts) OVER (PARTITION BY camera ORDER BY ts, id) AS w FROM (
               SELECT camera, ts, id, score, CASE WHEN ts < lag(ts) OVER (PARTITION BY camera ORDER BY ts, id) + INTERVAL '100 milliseconds' THEN 0 ELSE 1 END AS starts
               FROM (SELECT *, row_number() OVER () AS id FROM detections)))
           GROUP BY ALL""",
    ),
}
SUMS = "SELECT count(*) AS windows, sum(n) AS rows, round(sum(a), 3) AS averages FROM"


def make(path, n_rows):
    rng = np.random.default_rng(1)
    labels = np.array(["person", "car", "bicycle"])
    table = pa.table({
        "camera": pa.array(np.char.add("camera ", rng.integers(0, 40, n_rows).astype(str))),
        "ts": pa.array(np.arange(n_rows, dtype="int64") * 2000, pa.timestamp("us", "UTC")),
        "label": pa.array(labels[rng.integers(0, 3, n_rows)]),
        "score": pa.array(rng.random(n_rows)),
        **{name: pc.cast(pa.array(rng.random(n_rows) * 600), pa.float32()) for name in "xywh"},
    })
    pq.write_table(table, path)


def run(command):
    """What a command prints in its last line, and the CPU seconds it took on one core."""
    with tempfile.TemporaryFile("w+") as out:
        child = os.posix_spawnp("taskset", ["taskset", "-c", "0", *[str(word) for word in command]], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1)])
        _, status, usage = os.wait4(child, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
        out.seek(0)
        return out.read().strip().splitlines()[-1], usage.ru_utime + usage.ru_stime


def main(framesql, turns="3", n_rows="5000000"):
    n_rows = int(n_rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "detections.parquet")
        make(path, n_rows)
        source = f"CREATE SOURCE detections FROM 'file://{path}' WITH (event_time = 'ts', watermark_delay = '0 s');\n"
        rates = {}
        for turn in range(int(turns)):
            for name, (function, theirs) in WINDOWS.items():
                query = f"SELECT camera, window_start, count(*) AS n, avg(score) AS a FROM {function} GROUP BY camera, window_start, window_end"
                texts = {
                    "view": f"{source}CREATE MATERIALIZED VIEW v AS {query};\n{SUMS} v;",
                    "SELECT": f"{source}{SUMS} ({query}) AS v;",
                }
                answers = {}
                for way, text in texts.items():
                    file = Path(folder, f"{way}.sql")
                    file.write_text(text)
                    answers[way], cpu = run([framesql, "run", file, "--format", "csv"])
                    rates.setdefault((name, way), []).append(n_rows / cpu)
                code = f"""
import duckdb
db = duckdb.connect()
db.execute("SET threads = 1"); db.execute("SET TimeZone = 'UTC'")
db.execute("CREATE VIEW detections AS SELECT * FROM '{path}'")
print(*db.execute({f"{SUMS} ({theirs}) AS v"!r}).fetchone(), sep=",")
"""
                answers["DuckDB"], cpu = run([sys.executable, "-c", code])
                rates.setdefault((name, "DuckDB"), []).append(n_rows / cpu)
                counted = {way: [round(float(value), 1) for value in answer.split(",")] for way, answer in answers.items()}
                if len({tuple(c) for c in counted.values()}) != 1:
                    raise SystemExit(f"{name}: the answers differ: {answers}")
                print(f"turn {turn + 1}  {name}: {answers['view']}", flush=True)
        for (name, way), all_rates in rates.items():
            print(f"{name:20} {way:8} {statistics.median(all_rates) / 1e6:6.2f} million rows per CPU second")


if __name__ == "__main__":
    main(*sys.argv[1:])
