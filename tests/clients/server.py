"""The servers that clients are run against: framesql as it was built, and a PostgreSQL beside it; each on a free port of loopback, ended with its block."""

import os
import queue
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROGRAM = os.environ.get("FRAMESQL", str(TARGET / "debug/framesql"))
CLIP = f"file://{ROOT}/media/lobby.mp4"
START_SECONDS = 20
END_SECONDS = 20

WINDOWS = "SELECT window_start, count(*) AS frames FROM TUMBLE({}, ts, INTERVAL '1 second') GROUP BY window_start"
# What most clients read: the clip, the clip as a camera, views over both, and a table.
SCENE = [
    f"CREATE SOURCE clip FROM '{CLIP}'",
    f"CREATE SOURCE lobby FROM '{CLIP}' WITH (pace = 'realtime', loop = true)",
    "CREATE VIEW early AS SELECT frame_no, ts FROM clip WHERE frame_no < 3",
    f"CREATE MATERIALIZED VIEW whole AS {WINDOWS.format('clip')}",
    f"CREATE MATERIALIZED VIEW live AS {WINDOWS.format('lobby')}",
    "CREATE TABLE cameras (id int8 PRIMARY KEY, name text NOT NULL, height float8)",
    "INSERT INTO cameras VALUES (1, 'gate', 2.5), (2, 'lobby', NULL), (3, 'yard', 4)",
]


class Framesql:
    """`framesql serve`; by default it reads the bundled clips, with no data folder."""

    def __init__(self, *options):
        command = [PROGRAM, "serve", "--listen", "127.0.0.1:0", "--files", ROOT / "media", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(self.process.stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=START_SECONDS)
        except queue.Empty:
            line = ""
        if "listening on" not in line:
            self.stop()
            raise RuntimeError(f"the server says {line!r}")
        self.port = line.rstrip().rsplit(":", 1)[1]

    def environment(self):
        """How libpq finds it."""
        return {"PGHOST": "127.0.0.1", "PGPORT": self.port, "PGUSER": "framesql", "PGDATABASE": "framesql", "PGCONNECT_TIMEOUT": "5"}

    def scene(self):
        """Makes what most clients read."""
        psql(self.environment(), *SCENE)

    def stop(self):
        """Ctrl-C. Errs if that does not end it."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the server did not end within {END_SECONDS} s of Ctrl-C") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Postgres:
    """A PostgreSQL with an empty database, in a folder that goes with it. As root it runs as `postgres`, since it refuses to be root."""

    def __init__(self, programs, *settings):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        os.chmod(self.folder.name, 0o777)
        self.who = {"user": "postgres"} if os.geteuid() == 0 else {}
        data = f"{self.folder.name}/data"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = str(free.getsockname()[1])
        made = [f"{programs}/initdb", "-D", data, "-U", "framesql", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, timeout=60, cwd="/", **self.who)
        command = [f"{programs}/pg_ctl", "start", "--wait", "-D", data, "-l", f"{self.folder.name}/log"]
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder.name} -c fsync=off -c timezone=UTC " + " ".join(f"-c {s}" for s in settings)
        self.stopped = [f"{programs}/pg_ctl", "stop", "--wait", "-m", "fast", "-D", data]
        subprocess.run([*command, "-o", options], check=True, stdout=subprocess.DEVNULL, timeout=60, cwd="/", **self.who)

    def environment(self):
        """How libpq finds it."""
        return {"PGHOST": "127.0.0.1", "PGPORT": self.port, "PGUSER": "framesql", "PGDATABASE": "postgres", "PGCONNECT_TIMEOUT": "5"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(self.stopped, check=True, stdout=subprocess.DEVNULL, timeout=60, cwd="/", **self.who)
        self.folder.cleanup()


def psql(environment, *statements, limit_seconds=60):
    """The lines that psql prints for the statements, unaligned. Errs at the first error."""
    command = ["psql", "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1"]
    script = ";\n".join(statements) + ";"
    done = subprocess.run(command, input=script, env=os.environ | environment, capture_output=True, text=True, timeout=limit_seconds)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return done.stdout.splitlines()


def psql_version():
    """Of psql, as it says."""
    return subprocess.run(["psql", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
