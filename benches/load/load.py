#!/usr/bin/env python3
"""Short queries on a view while a view over a camera is kept up to date, in turns with a PostgreSQL that reads a table of the same rows.

    load.py [--turns N] [--seconds N] [--rate N] [--idle N] [--active N]

Both servers run all the time and framesql watches its camera in everybody's turn, so that neither has more of the machine. In a turn one of them has the idle
connections and pgbench's active ones, whose prepared queries come at a rate, not one when the other is answered: a latency counts from the moment a query was due.
It fails if a query failed, if framesql shed a frame, or if a window of the camera has not all its frames. FRAMESQL names the program.
"""

import argparse
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/clients"))

import install  # noqa: E402 - where the servers are described is said above
from server import CLIP, PROGRAM, Framesql, Postgres, psql  # noqa: E402

LIMIT_P99_MS = 50
WINDOWS = 1000
SCRIPT = f"""\\set n 25 * random(0, {WINDOWS - 1})
SELECT window_start, frames FROM seconds WHERE first_frame = :n;
"""
# A thousand windows of rows whose pixels nobody asks for, and a camera whose faces are counted.
FRAMESQL = [
    f"CREATE SOURCE pattern FROM 'pattern:' WITH (size = '64x48', fps = 25, frames = {WINDOWS * 25})",
    "CREATE MATERIALIZED VIEW seconds AS SELECT window_start, min(frame_no) AS first_frame, count(*) AS frames"
    " FROM TUMBLE(pattern, ts, INTERVAL '1 second') GROUP BY window_start",
    f"CREATE SOURCE lobby FROM '{CLIP}' WITH (pace = 'realtime', loop = true)",
    "CREATE MATERIALIZED VIEW faces AS SELECT window_start, count(*) AS frames, sum(cardinality(detect_faces(frame))) AS faces"
    " FROM TUMBLE(lobby, ts, INTERVAL '1 second') GROUP BY window_start",
]
POSTGRES = [
    "CREATE TABLE seconds (window_start timestamptz, first_frame int8 PRIMARY KEY, frames int8)",
    f"INSERT INTO seconds SELECT timestamptz '1970-01-01 00:00:00+00' + n * INTERVAL '1 second', n * 25, 25 FROM generate_series(0, {WINDOWS - 1}) AS n",
    "VACUUM ANALYZE seconds",
]


def connected(environment):
    """A connection that has said who it is and then says nothing, by the protocol's first message alone."""
    peer = socket.create_connection((environment["PGHOST"], int(environment["PGPORT"])), timeout=20)
    named = f"user\0{environment['PGUSER']}\0database\0{environment['PGDATABASE']}\0\0".encode()
    peer.sendall(struct.pack(">II", len(named) + 8, 3 << 16) + named)
    heard = b""
    while b"Z\0\0\0\5I" not in heard:
        part = peer.recv(4096)
        if not part:
            raise SystemExit(f"a connection is refused: {heard[-200:]!r}")
        heard += part
    return peer


def turn(environment, options, pgbench):
    """The latencies in ms, sorted, and the queries done a second."""
    idle = [connected(environment) for _ in range(options.idle)]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "script.sql").write_text(SCRIPT, encoding="utf-8")
        command = [pgbench, "-n", "-M", "prepared", "-c", options.active, "-j", 2, "-R", options.rate, "-T", options.seconds, "--log", "-f", "script.sql"]
        done = subprocess.run([str(word) for word in command], cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=options.seconds + 120)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
        lines = [line.split() for log in Path(folder).glob("pgbench_log.*") for line in log.read_text(encoding="utf-8").splitlines()]
    for peer in idle:
        peer.close()
    if any(not line[2].isdigit() for line in lines):
        raise SystemExit("a query failed")
    latencies = sorted(int(line[2]) / 1000 for line in lines)
    return latencies, len(latencies) / options.seconds


def watched(environment):
    """Frames shed, and frames a window of the camera's closed windows, the first left out: it may begin in the middle."""
    shed, = psql(environment, "SELECT frames_shed FROM framesql.source_stats WHERE source = 'lobby'")
    return int(shed), [int(line) for line in psql(environment, "SELECT frames FROM faces ORDER BY window_start")[1:]]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in [("turns", 3), ("seconds", 30), ("rate", 1000), ("idle", 500), ("active", 100)]:
        arguments.add_argument(f"--{name}", type=int, default=default)
    options = arguments.parse_args()
    install.psql()
    install.postgres()
    programs = install.server_programs()
    print(f"{PROGRAM}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.rate} queries a second, {options.active} active and {options.idle} idle connections")
    found = {"framesql": [], "PostgreSQL": []}
    with Framesql() as ours, Postgres(programs, f"max_connections={options.idle + options.active + 20}") as theirs:
        psql(ours.environment(), *FRAMESQL)
        psql(theirs.environment(), *POSTGRES)
        for server in (ours, theirs):
            if psql(server.environment(), "SELECT count(*), sum(frames) FROM seconds") != [f"{WINDOWS}|{WINDOWS * 25}"]:
                raise SystemExit("they have not the same rows")
        for number in range(options.turns):
            for name, server in [("framesql", ours), ("PostgreSQL", theirs)]:
                latencies, rate = turn(server.environment(), options, f"{programs}/pgbench")
                p50, p99 = (latencies[min(len(latencies) - 1, int(len(latencies) * share))] for share in (0.5, 0.99))
                found[name].append((statistics.fmean(latencies), p50, p99))
                mean = found[name][-1][0]
                print(f"turn {number + 1}  {name:10}  {rate:6.0f} a second, mean {mean:6.2f} ms, p50 {p50:6.2f}, p99 {p99:7.2f}, most {latencies[-1]:7.2f}", flush=True)
        shed, windows = watched(ours.environment())
    holes = [frames for frames in windows if frames != 25]
    print(f"the camera: {len(windows)} windows, {shed} frames shed, {len(holes)} windows that have not 25 frames")
    for at, what in enumerate(["mean", "p50", "p99"]):
        medians = {name: statistics.median(values[at] for values in turns) for name, turns in found.items()}
        ratio = statistics.median(a[at] / b[at] for a, b in zip(found["framesql"], found["PostgreSQL"]))
        print(f"{what:4}  framesql {medians['framesql']:7.2f} ms, PostgreSQL {medians['PostgreSQL']:7.2f} ms, ratio {ratio:.2f}")
    late = statistics.median(values[2] for values in found["framesql"]) > LIMIT_P99_MS
    return 1 if shed or holes or late else 0


if __name__ == "__main__":
    sys.exit(main())
