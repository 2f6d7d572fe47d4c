#!/usr/bin/env python3
"""Who gets in and what each may read, by psql: passwords, encryption, grants, a restart; on a server of its own with a data folder."""

import os
import subprocess
import sys
import tempfile

from checks import Checks, equal
from server import Framesql, psql_version

PROGRAM = os.environ["FRAMESQL"]
CLIP = os.environ["CLIP"]
LIMIT_SECONDS = 60


def psql(server, sql, user="framesql", password="", **variables):
    """Output and errors."""
    environment = {**os.environ, "PGPORT": server.port, "PGUSER": user, "PGPASSWORD": password, **variables}
    command = ["psql", "-X", "-A", "-t", "-q", "-w", "-v", "VERBOSITY=verbose"]
    done = subprocess.run(command, input=sql, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    return done.stdout.strip(), done.stderr.strip()


def answers(server, sql, expected, **who):
    equal(psql(server, sql, **who), (expected, ""))


def refused(server, sql, words, **who):
    out, err = psql(server, sql, **who)
    if words not in err:
        raise AssertionError(f"expected {words!r}, found {out!r} {err!r}")


ADMIN = {"user": "admin", "password": "secret"}
READER = {"user": "bi", "password": "other"}


def passwords(server):
    """Until somebody has a password anybody gets in; from then on everybody needs one."""
    answers(server, "SELECT current_user;", "anybody", user="anybody")
    refused(server, "CREATE ROLE bi LOGIN PASSWORD 'other';", "ERROR:  55000")
    answers(server, "CREATE ROLE admin SUPERUSER LOGIN PASSWORD 'secret';", "")
    answers(server, "SELECT current_user;", "admin", **ADMIN)
    for who in [{"user": "admin", "password": "wrong"}, {"user": "nobody", "password": "secret"}]:
        refused(server, "SELECT 1;", f'password authentication failed for user "{who["user"]}"', **who)
    refused(server, "SELECT 1;", "no password supplied")
    answers(server, "CREATE USER bi PASSWORD 'other';", "", **ADMIN)


def encryption(server, data):
    """The certificate that was made is shown, and trusted by name once it is the client's root."""
    answers(server, "SELECT 1;", "1", **ADMIN, PGSSLMODE="require")
    answers(server, "SELECT 1;", "1", **ADMIN, PGSSLMODE="verify-full", PGSSLROOTCERT=f"{data}/server.crt", PGHOST="localhost")
    refused(server, "SELECT 1;", "certificate verify failed", **ADMIN, PGSSLMODE="verify-full", PGSSLROOTCERT="/etc/ssl/certs/ca-certificates.crt")
    equal(os.stat(f"{data}/server.key").st_mode & 0o077, 0)


def grants(server):
    windows = "SELECT window_start, count(*) AS frames FROM TUMBLE(clip, ts, INTERVAL '1 second') GROUP BY window_start"
    answers(server, f"CREATE SOURCE clip FROM '{CLIP}'; CREATE MATERIALIZED VIEW whole AS {windows};", "", **ADMIN)
    answers(server, "CREATE VIEW first AS SELECT frame_no FROM clip WHERE frame_no = ANY(make_array(0, 1));", "", **ADMIN)
    for sql in ["SELECT * FROM whole;", "SELECT count(*) FROM clip;", "SELECT * FROM first;", "SUBSCRIBE whole;", "SELECT * FROM framesql.sources;", "SELECT * FROM framesql.late_rows;"]:
        refused(server, sql, "ERROR:  42501", **READER)
    for sql in ["CREATE SOURCE mine FROM 'pattern:';", "DROP VIEW first;", "CREATE ROLE x;", "GRANT SELECT ON clip TO bi;"]:
        refused(server, sql, "ERROR:  42501", **READER)
    answers(server, "GRANT SELECT ON whole, first TO bi; GRANT SELECT (frame_no, ts) ON clip TO bi;", "", **ADMIN)
    readable(server)


def readable(server):
    answers(server, "SELECT count(*) FROM whole;", "12", **READER)
    answers(server, "SELECT count(*) FROM first;", "2", **READER)
    answers(server, "SELECT max(frame_no) FROM clip;", "299", **READER)
    for sql in ["SELECT * FROM clip;", "SELECT jpeg(frame) FROM clip LIMIT 1;", "SELECT frame_no FROM clip WHERE width > 1;"]:
        refused(server, sql, "ERROR:  42501", **READER)


def loopback(data):
    """Nothing but loopback is served without passwords."""
    command = [PROGRAM, "serve", "--listen", "0.0.0.0:0", "--files", "media"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    equal((done.returncode != 0, "not a loopback address" in done.stderr), (True, True))
    with open(f"{data}/catalog.json", encoding="utf-8") as catalog:
        kept = catalog.read()
    equal(("SCRAM-SHA-256$4096:" in kept, "secret" in kept), (True, False))


def main():
    checks = Checks(psql_version())
    with tempfile.TemporaryDirectory() as data:
        server = Framesql("--data", data)
        checks.run("passwords", lambda: passwords(server))
        checks.run("encryption", lambda: encryption(server, data))
        checks.run("grants", lambda: grants(server))
        server.stop()
        checks.run("beyond loopback, and what is kept", lambda: loopback(data))
        again = Framesql("--data", data)
        checks.run("the same after a restart", lambda: readable(again))
        again.stop()
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
