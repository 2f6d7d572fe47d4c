#!/usr/bin/env python3
"""DuckDB's postgres extension against the server: ATTACH, sources, views and tables read by its binary COPY, joined with tables of its own, and written."""

import datetime
import glob
import os
import sys

import duckdb

from checks import Checks, equal, raises

PLACE = f"host={os.environ['PGHOST']} port={os.environ['PGPORT']} user={os.environ['PGUSER']} dbname={os.environ['PGDATABASE']}"
# Their packages lay the extensions among those of the environment: this one, and the one that knows time zones.
EXTENSIONS = glob.glob(f"{sys.prefix}/lib/python*/site-packages/duckdb_ext/extensions/*/*/*.duckdb_extension")


class Attached:
    """A DuckDB that has framesql as `film`."""

    def __init__(self):
        self.database = duckdb.connect()

    def rows(self, sql):
        return self.database.execute(sql).fetchall()

    def attach(self):
        equal(len(EXTENSIONS), 2)
        for extension in EXTENSIONS:
            self.database.execute(f"LOAD '{extension}'")
        self.database.execute("SET TimeZone = 'UTC'")
        self.database.execute(f"ATTACH '{PLACE}' AS film (TYPE postgres)")
        named = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'film' AND schema_name = 'public' UNION ALL SELECT view_name FROM duckdb_views() WHERE database_name = 'film' AND schema_name = 'public'"
        equal(sorted(name for name, in self.rows(named)), ["cameras", "clip", "early", "live", "lobby", "whole"])

    def views(self):
        equal(self.rows("SELECT count(*), sum(frames) FROM film.whole"), [(12, 300)])
        first = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        equal(self.rows("SELECT window_start, frames FROM film.whole ORDER BY 1 LIMIT 1"), [(first, 25)])
        equal(self.rows("SELECT frame_no FROM film.early ORDER BY 1"), [(0,), (1,), (2,)])
        equal(self.rows("SELECT count(*) >= 0 FROM film.live"), [(True,)])

    def tables(self):
        """A source and a table: by COPY, and with its scan by ctid switched off."""
        for ctid in ("true", "false"):
            self.database.execute(f"SET pg_use_ctid_scan = {ctid}")
            equal(self.rows("SELECT id, name, height FROM film.cameras ORDER BY id"), [(1, "gate", 2.5), (2, "lobby", None), (3, "yard", 4.0)])
            equal(self.rows("SELECT count(*), max(frame_no), min(source) FROM film.clip"), [(300, 299, "clip")])
            equal(self.rows("SELECT frame, width, keyframe FROM film.clip WHERE frame_no = 7"), [("clip#7 1280x720", 1280, False)])

    def pushed(self):
        self.database.execute("SET pg_experimental_filter_pushdown = true")
        equal(self.rows("SELECT frame_no FROM film.clip WHERE frame_no < 3 AND source = 'clip' ORDER BY 1"), [(0,), (1,), (2,)])
        sql = "SELECT frame_no, cardinality(detect_faces(frame)) AS faces FROM clip WHERE frame_no = 100"
        equal(self.rows(f"SELECT * FROM postgres_query('film', '{sql}')"), [(100, 2)])

    def joined(self):
        self.database.execute("CREATE TABLE seen AS SELECT 3::BIGINT AS frame_no, 'Ann' AS who UNION ALL SELECT 50, 'Bo'")
        equal(self.rows("SELECT who, frame FROM seen JOIN film.clip USING (frame_no) ORDER BY 1"), [("Ann", "clip#3 1280x720"), ("Bo", "clip#50 1280x720")])
        self.database.execute("CREATE TABLE copy AS FROM film.whole")
        equal(self.rows("SELECT sum(frames) FROM copy"), [(300,)])

    def written(self):
        self.database.execute("INSERT INTO film.cameras VALUES (7, 'roof', 9.5), (8, 'door', NULL)")
        equal(self.rows("SELECT name FROM film.cameras WHERE id > 6 ORDER BY id"), [("roof",), ("door",)])
        self.database.execute("CALL postgres_execute('film', 'DELETE FROM cameras WHERE id > 6')")
        equal(self.rows("SELECT count(*) FROM film.cameras"), [(3,)])
        self.database.execute("CREATE TABLE film.notes (id BIGINT, text VARCHAR)")
        self.database.execute("INSERT INTO film.notes SELECT n, 'n' || n FROM range(5000) AS t(n)")
        equal(self.rows("SELECT count(*), max(text) FROM film.notes"), [(5000, "n999")])
        self.database.execute("DROP TABLE film.notes")

    def errors(self):
        raises(duckdb.Error, lambda: self.rows("SELECT * FROM film.nothing"))
        equal("nothing" in str(raises(duckdb.Error, lambda: self.rows("SELECT * FROM postgres_query('film', 'SELECT nothing FROM clip')"))), True)
        equal(self.rows("SELECT count(*) FROM film.whole"), [(12,)])


def main():
    attached, checks = Attached(), Checks(duckdb.__version__)
    checks.run("ATTACH", attached.attach)
    checks.run("views", attached.views)
    checks.run("sources and tables", attached.tables)
    checks.run("conditions that are sent, postgres_query", attached.pushed)
    checks.run("joined with a table of its own", attached.joined)
    checks.run("written", attached.written)
    checks.run("errors", attached.errors)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
