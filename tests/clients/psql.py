#!/usr/bin/env python3
"""psql against the server: every SQL line of the README's first job, the meta-commands, Ctrl-C, and rows that come while a query runs."""

import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time

from checks import Checks, equal
from server import psql_version

CLIP = os.environ["CLIP"]
PROGRAM = os.environ["FRAMESQL"]
LIMIT_SECONDS = 60
FACES = """SELECT source, window_start, window_end, count(*) AS frames, sum(cardinality(detect_faces(frame))) AS faces
           FROM TUMBLE({}, ts, INTERVAL '1 second') GROUP BY source, window_start, window_end"""


def psql(script, *options):
    """Output and errors of a script given on standard input, unaligned, without headers."""
    command = ["psql", "-X", "-A", "-t", "-q", *options]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    return done.stdout.strip(), done.stderr.strip()


def rows(script, *options):
    """The lines that it prints. Errs if it says an error."""
    out, err = psql(script, *options)
    if "ERROR" in err:
        raise AssertionError(err)
    return out.split("\n")


def code(script):
    """The SQLSTATE of its first error."""
    _, err = psql("\\set VERBOSITY verbose\n" + script)
    found = re.search(r"ERROR:\s+([0-9A-Z]{5}):", err)
    return found.group(1) if found else f"no error: {err}"


class Live:
    """A psql that runs a statement which does not end by itself."""

    def __init__(self, *arguments, script=None):
        # Into a pipe psql writes blocks; to a terminal, and under stdbuf, lines as they come.
        self.process = subprocess.Popen(["stdbuf", "-oL", "psql", "-X", "-A", "-t", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if script:
            self.process.stdin.write(script.encode())
            self.process.stdin.flush()
        self.read = b""

    def lines(self, n, seconds=20):
        """Its first n lines, as they come."""
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while self.read.count(b"\n") < n:
                if not selector.select(max(0, end - time.monotonic())):
                    raise AssertionError(f"{len(self.read.splitlines())} of {n} lines came in {seconds} s")
                part = os.read(self.process.stdout.fileno(), 65536)
                if not part:
                    raise AssertionError(f"it ended: {self.process.stderr.read().decode()}")
                self.read += part
        return self.read.decode().splitlines()

    def interrupt(self):
        """Ctrl-C: its last words, and the seconds until it ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        try:
            _, err = self.process.communicate(timeout=10)
        finally:
            self.process.kill()
        return err.decode(), time.monotonic() - began


def scalars():
    equal(rows("SELECT 1, 1;"), ["1|1"])
    equal(rows("SELECT 1; SELECT 2;"), ["1", "2"])
    equal(rows("SELECT 1\\; SELECT 2;")[-1], "2")
    equal(rows("SELECT version();")[0][:13], "PostgreSQL 16")
    equal(rows("SELECT current_database(), current_user;", "-d", "somewhere", "-U", "somebody"), ["somewhere|somebody"])
    equal(rows("SHOW search_path;"), ["public"])


def clip():
    equal(psql(f"CREATE SOURCE clip FROM '{CLIP}';"), ("", ""))
    equal(rows("SELECT count(*) FROM clip;"), ["300"])
    first = [f"{n}|1970-01-01 00:00:00{f'.{n * 4:02}'.rstrip('0') if n else ''}+00|0" for n in range(5)]
    equal(rows("SELECT frame_no, ts, cardinality(detect_faces(frame)) FROM clip LIMIT 5;"), first)


def faces():
    found = rows("SELECT c.frame_no, face.score, face.box FROM clip c CROSS JOIN UNNEST(detect_faces(frame)) AS face LIMIT 20;")
    equal([row.split("|")[0] for row in found], [str(n) for n in range(50, 70)])
    if not all(re.fullmatch(r'\d+\|0\.9\d*\|\{"x": ?[\d.]+, "y": ?[\d.]+, "w": ?[\d.]+, "h": ?[\d.]+\}', row) for row in found):
        raise AssertionError(found[0])


def live_view():
    equal(rows(f"CREATE SOURCE lobby FROM '{CLIP}' WITH (pace = 'realtime', loop = true);"), [""])
    equal(rows(f"CREATE MATERIALIZED VIEW faces_per_second AS {FACES.format('lobby')};"), [""])


def subscribe(statement):
    """Rows come while it runs; Ctrl-C ends it within a second with the words of Postgres."""
    live = Live("-c", statement)
    for line in live.lines(2):
        watermark, diff, source, *_ = line.split("\t" if "\t" in line else "|")
        equal((diff, source), ("1", "lobby"))
        equal(bool(re.match(r"\d{4}-\d\d-\d\d ", watermark)), True)
    err, seconds = live.interrupt()
    equal("canceling statement due to user request" in err, True)
    if seconds > 1.5:
        raise AssertionError(f"it took {seconds:.1f} s to end")


def newest():
    found = rows("SELECT * FROM faces_per_second ORDER BY window_start DESC LIMIT 10;")
    starts = [row.split("|")[1] for row in found]
    equal(starts, sorted(starts, reverse=True))
    # The first window is a part of one, and a machine under load sheds frames: never more than the clip has.
    equal(all(1 <= int(row.split("|")[3]) <= 25 for row in found), True)


def watch():
    live = Live(script="SELECT 'watched', count(*) FROM faces_per_second \\watch 1\n")
    live.lines(6)
    equal(live.read.count(b"watched|") >= 2, True)
    live.process.kill()
    live.process.communicate(timeout=10)


def relations():
    named = "\n".join(rows("\\d"))
    for name in ("clip", "lobby", "faces_per_second"):
        equal(f"|{name}|" in named, True)
    equal({"clip", "lobby"} <= {row.split("|")[1] for row in rows("\\dt")}, True)
    equal([row.split("|")[1] for row in rows("\\dm")], ["faces_per_second"])
    columns = {row.split("|")[0]: row.split("|")[1] for row in rows("\\d faces_per_second") if "|" in row}
    equal(columns, {
        "source": "text",
        "window_start": "timestamp with time zone",
        "window_end": "timestamp with time zone",
        "frames": "bigint",
        "faces": "bigint",
    })


def databases():
    equal("framesql" in [row.split("|")[0] for row in rows("\\l")], True)
    equal(any(row.startswith("Time: ") for row in rows("\\timing on\nSELECT 1;")), True)


def explained():
    plan = "\n".join(rows(f"EXPLAIN {FACES.format('clip')};"))
    equal([word for word in ("detect_faces", "clip") if word not in plan], [])
    equal("lobby" in "\n".join(rows("SHOW SOURCES;")), True)


def errors():
    for script, expected in [
        ("SELECT * FROM nothing;", "42P01"),
        ("SELECT nothing FROM clip;", "42703"),
        ("SELEC 1;", "42601"),
        ("SELECT 1/0;", "22012"),
        ("SELECT nothing(1);", "42883"),
        ("CREATE SOURCE clip FROM 'pattern:';", "42P07"),
        ("CREATE SOURCE x FROM 'file:///etc/hostname';", "42501"),
        ("CREATE SOURCE x FROM 'file:///no/such/clip.mp4';", "58P01"),
        ("CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM lobby;", "42P20"),
        ("DROP SOURCE lobby;", "2BP01"),
    ]:
        if (found := code(script)) != expected:
            raise AssertionError(f"{script} gives {found}, not {expected}")
    out, err = psql("SELECT nothing;\nSELECT 'still here';")
    equal((out, "ERROR" in err), ("still here", True))
    equal(code("SET statement_timeout = '300ms'; SELECT 1; COPY (SUBSCRIBE faces_per_second) TO STDOUT;"), "57014")


def vanished():
    """A client that is killed leaves nothing: others go on, and the view can be dropped."""
    live = Live("-c", "COPY (SUBSCRIBE faces_per_second) TO STDOUT")
    live.lines(1)
    live.process.kill()
    live.process.communicate(timeout=10)
    equal(rows("SELECT 1;"), ["1"])


def dropped():
    live = Live("-c", "COPY (SUBSCRIBE faces_per_second) TO STDOUT")
    live.lines(1)
    equal(rows("DROP MATERIALIZED VIEW faces_per_second;"), [""])
    _, err = live.process.communicate(timeout=10)
    equal(b"ERROR" in err, True)
    equal(code("SELECT * FROM faces_per_second;"), "42P01")
    equal(rows("CREATE VIEW v AS SELECT frame_no FROM lobby; DROP SOURCE lobby, clip CASCADE;"), [""])
    equal(code("SELECT * FROM v;"), "42P01")
    _, err = psql("DROP SOURCE IF EXISTS lobby;")
    equal("NOTICE" in err and "ERROR" not in err, True)


def tables():
    """INSERT, \\copy and COPY FROM STDIN, \\d of a table, and a COPY that fails and leaves the connection as it was."""
    out, err = psql("CREATE TABLE people (id int4 PRIMARY KEY, name text NOT NULL); INSERT INTO people VALUES (1, 'Ann');")
    equal((out, err), ("", ""))
    equal(rows("COPY people FROM STDIN;\n2\tBo\n3\tC\\tD\n\\.\nSELECT count(*), max(name) FROM people;"), ["3|C\tD"])
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write('id,name\n4,"D, E"\n')
        file.flush()
        equal(rows(f"\\copy people FROM '{file.name}' WITH (FORMAT csv, HEADER)\nSELECT name FROM people WHERE id = 4;"), ["D, E"])
    out, err = psql("COPY people FROM STDIN;\n5\tE\nsix\tF\n\\.\nSELECT count(*) FROM people;")
    equal((out, "invalid input syntax" in err, "COPY people, line 2, column id" in err), ("4", True, True))
    described = [line.split("|")[:2] for line in rows("\\d people")]
    equal(described, [["id", "integer"], ["name", "text"]])
    equal("public|people|table|" in "\n".join(rows("\\dt")), True)
    equal(psql("BEGIN; DELETE FROM people WHERE id = 4; DROP TABLE people; ROLLBACK;"), ("", ""))
    equal(rows("SELECT count(*) FROM people;"), ["4"])
    equal(rows("DROP TABLE people;"), [""])


def finite():
    """Over a source that ends, CREATE returns with the whole view, and SUBSCRIBE ends by itself."""
    equal(rows(f"CREATE SOURCE clip FROM '{CLIP}'; CREATE MATERIALIZED VIEW whole AS {FACES.format('clip')};"), [""])
    equal(rows("SELECT count(*), sum(frames), sum(faces) FROM whole;"), ["12|300|425"])
    copied = rows("COPY (SUBSCRIBE whole) TO STDOUT;")
    equal((len(copied), {line.split("\t")[1] for line in copied}), (12, {"1"}))
    header, *lines = rows("COPY (SELECT window_start, faces FROM whole ORDER BY 1) TO STDOUT WITH (FORMAT csv, HEADER);")
    equal((header, lines[2]), ("window_start,faces", "1970-01-01 00:00:02+00,25"))
    equal(rows("DROP SOURCE clip CASCADE;"), [""])


def macros():
    """What the macros of Grafana become: $__timeFilter, $__timeGroup, $__timeEpoch, $__unixEpochFilter, $__unixEpochGroup."""
    equal(rows(f"CREATE SOURCE clip FROM '{CLIP}'; CREATE MATERIALIZED VIEW whole AS {FACES.format('clip')};"), [""])
    part = "window_start BETWEEN '1970-01-01T00:00:04Z' AND '1970-01-01T00:00:07.999Z'"
    equal(rows(f"SELECT count(*), sum(frames) FROM whole WHERE {part};"), ["4|100"])
    grouped = "floor(extract(epoch from window_start)/5)*5"
    equal(rows(f'SELECT {grouped} AS "time", sum(frames) FROM whole WHERE {part} GROUP BY 1 ORDER BY 1;'), ["0|25", "5|75"])
    equal(rows('SELECT extract(epoch from window_start) as "time", faces FROM whole ORDER BY 1 DESC LIMIT 1;')[0].split("|")[0].split(".")[0], "11")
    seconds = "extract(epoch from window_start)"
    equal(rows(f"SELECT count(*) FROM whole WHERE {seconds} >= 4 AND {seconds} <= 7;"), ["4"])
    equal(rows(f"SELECT floor(({seconds})/300)*300 AS time, count(*) FROM whole GROUP BY 1;"), ["0|12"])
    equal(rows("DROP SOURCE clip CASCADE;"), [""])


def programs():
    """What the program says of itself, of a port in use and of a data folder in use."""
    def says(*arguments):
        done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout + done.stderr

    equal(bool(re.fullmatch(r"framesql \d+\.\d+\.\d+\n", says("--version")[1])), True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        exit_code, text = says("serve", "--listen", address)
        equal((exit_code, address in text), (1, True))
    exit_code, text = says("serve", "--listen", "0.0.0.0:0")
    equal((exit_code, "loopback" in text), (1, True))
    with tempfile.TemporaryDirectory() as data:
        first = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", data], stdout=subprocess.PIPE, text=True)
        try:
            equal("listening on" in first.stdout.readline(), True)
            exit_code, text = says("serve", "--listen", "127.0.0.1:0", "--data", data)
            equal((exit_code, data in text), (1, True))
        finally:
            first.send_signal(signal.SIGTERM)
            equal(first.wait(timeout=10), 0)


def restart():
    """What was created is there after a restart, and runs."""
    with tempfile.TemporaryDirectory() as data:
        def served(script):
            server = subprocess.Popen([PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", data, "--files", "media"], stdout=subprocess.PIPE, text=True)
            try:
                port = server.stdout.readline().rstrip().rsplit(":", 1)[1]
                return rows(script, "-p", port)
            finally:
                server.send_signal(signal.SIGTERM)
                server.wait(timeout=10)

        served(f"CREATE SOURCE clip FROM '{CLIP}'; CREATE MATERIALIZED VIEW whole AS {FACES.format('clip')};")
        equal(served("FLUSH; SELECT count(*), sum(faces) FROM whole;"), ["12|425"])


def main():
    checks = Checks(psql_version())
    checks.run("scalars, several statements, any user and database", scalars)
    checks.run("a clip is a table", clip)
    checks.run("a row for each face", faces)
    checks.run("a live source and a view over it", live_view)
    checks.run("COPY (SUBSCRIBE …) gives rows while it runs, until Ctrl-C", lambda: subscribe("COPY (SUBSCRIBE faces_per_second) TO STDOUT"))
    checks.run("SUBSCRIBE does the same", lambda: subscribe("SUBSCRIBE faces_per_second"))
    checks.run("the newest windows", newest)
    checks.run("\\watch", watch)
    checks.run("\\d \\dt \\dm \\d NAME", relations)
    checks.run("\\l \\timing", databases)
    checks.run("EXPLAIN, SHOW SOURCES", explained)
    checks.run("errors have their codes and do not end the connection", errors)
    checks.run("a client that vanishes", vanished)
    checks.run("DROP, CASCADE, IF EXISTS", dropped)
    checks.run("tables, COPY FROM STDIN", tables)
    checks.run("a view over a source that ends", finite)
    checks.run("what Grafana's macros become", macros)
    checks.run("--version, a port in use, a data folder in use", programs)
    checks.run("a restart", restart)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
