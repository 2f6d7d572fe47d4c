#!/usr/bin/env python3
"""A real PostgreSQL reads framesql by postgres_fdw: IMPORT FOREIGN SCHEMA, conditions, sums and joins sent to framesql, a join with a table of its own."""

import os
import sys

from checks import Checks, equal, raises
from server import Postgres, psql

NO_JOINS = ["SET enable_hashjoin = off", "SET enable_mergejoin = off", "SET enable_nestloop = off"]


class Foreign:
    """The PostgreSQL, and what its psql prints."""

    def __init__(self, server):
        self.environment = server.environment()

    def rows(self, *statements):
        return psql(self.environment, *statements)

    def explained(self, sql):
        """What of the query PostgreSQL sends away, where it may not join by itself."""
        lines = self.rows(*NO_JOINS, f"EXPLAIN (VERBOSE, COSTS OFF) {sql}")
        return " ".join(line.split("Remote SQL: ")[1] for line in lines if "Remote SQL: " in line)

    def imported(self):
        here = f"host '{os.environ['PGHOST']}', port '{os.environ['PGPORT']}', dbname '{os.environ['PGDATABASE']}'"
        self.rows(
            "CREATE EXTENSION postgres_fdw",
            f"CREATE SERVER framesql FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({here})",
            f"CREATE USER MAPPING FOR CURRENT_USER SERVER framesql OPTIONS (user '{os.environ['PGUSER']}', password_required 'false')",
            "CREATE SCHEMA video",
            "IMPORT FOREIGN SCHEMA public FROM SERVER framesql INTO video",
        )
        named = "SELECT string_agg(foreign_table_name, ' ' ORDER BY foreign_table_name) FROM information_schema.foreign_tables"
        equal(self.rows(named), ["cameras clip early live lobby whole"])
        columns = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'video' AND table_name = '{}' ORDER BY ordinal_position"
        equal(self.rows(columns.format("whole")), ["window_start|timestamp with time zone|YES", "frames|bigint|YES"])
        equal(self.rows(columns.format("cameras")), ["id|bigint|NO", "name|text|NO", "height|double precision|YES"])
        equal("frame_no|bigint|YES" in self.rows(columns.format("clip")), True)

    def limited(self):
        self.rows("CREATE SCHEMA part", "IMPORT FOREIGN SCHEMA public LIMIT TO (whole) FROM SERVER framesql INTO part OPTIONS (import_default 'true')")
        equal(self.rows("SELECT count(*), sum(frames) FROM part.whole"), ["12|300"])

    def read(self):
        equal(self.rows("SELECT window_start, frames FROM video.whole ORDER BY 1 LIMIT 1"), ["1970-01-01 00:00:00+00|25"])
        equal(self.rows("SELECT count(*), sum(frame_no) FROM video.clip"), [f"300|{sum(range(300))}"])
        equal(self.rows("SELECT frame, ts FROM video.clip WHERE frame_no = 7"), ["clip#7 1280x720|1970-01-01 00:00:00.28+00"])
        equal(self.rows("SELECT name, height FROM video.cameras ORDER BY id"), ["gate|2.5", "lobby|", "yard|4"])

    def sent(self):
        """Conditions, sums, order and limit are computed by framesql."""
        for sql, part, rows in [
            ("SELECT frame_no FROM video.clip WHERE frame_no < 3 AND source = 'clip' ORDER BY 1", "WHERE ((frame_no < 3)) AND ((source = 'clip'))", ["0", "1", "2"]),
            ("SELECT frame_no FROM video.clip WHERE ts >= '1970-01-01 00:00:11.9+00' ORDER BY 1", "ts >= '1970-01-01 00:00:11.9+00'", ["298", "299"]),
            ("SELECT max(frame_no), count(*) FROM video.clip", "max(frame_no), count(*)", ["299|300"]),
            ("SELECT keyframe, count(*) FROM video.clip GROUP BY 1 HAVING count(*) > 100", "GROUP BY 1", None),
            ("SELECT frame_no FROM video.clip ORDER BY frame_no DESC LIMIT 2", "LIMIT", ["299", "298"]),
            ("SELECT frame_no FROM video.clip WHERE frame_no = ANY(ARRAY[3, 5]::bigint[]) ORDER BY 1", "ANY", ["3", "5"]),
            ("SELECT frame_no FROM video.clip WHERE source LIKE 'cl%' AND frame_no IN (1, 2) ORDER BY 1", "source ~~ 'cl%'", ["1", "2"]),
            ("SELECT a.frame_no FROM video.clip a JOIN video.early b ON a.frame_no = b.frame_no ORDER BY 1", "INNER JOIN", ["0", "1", "2"]),
        ]:
            if part not in (remote := self.explained(sql)):
                raise AssertionError(f"{sql} sends {remote!r}")
            found = self.rows(*NO_JOINS, sql)
            if rows is not None:
                equal(found, rows)

    def joined(self):
        """With a table that only PostgreSQL has."""
        self.rows("CREATE TABLE seen (frame_no int8, who text)", "INSERT INTO seen VALUES (3, 'Ann'), (50, 'Bo'), (3, 'Cy')")
        sql = "SELECT s.who, c.ts FROM seen s JOIN video.clip c USING (frame_no) ORDER BY 1"
        expected = ["Ann|1970-01-01 00:00:00.12+00", "Bo|1970-01-01 00:00:02+00", "Cy|1970-01-01 00:00:00.12+00"]
        equal(self.rows(sql), expected)

    def estimated(self):
        """The planner asks for the costs of framesql's plans."""
        self.rows("ALTER FOREIGN TABLE video.clip OPTIONS (ADD use_remote_estimate 'true')")
        try:
            self.rows("EXPLAIN SELECT * FROM video.clip WHERE frame_no = 7")
        finally:
            self.rows("ALTER FOREIGN TABLE video.clip OPTIONS (DROP use_remote_estimate)")

    def kept(self):
        """A local copy that REFRESH brings up to date, and ANALYZE of a foreign table."""
        self.rows("CREATE MATERIALIZED VIEW copy AS SELECT * FROM video.whole", "REFRESH MATERIALIZED VIEW copy")
        equal(self.rows("SELECT sum(frames) FROM copy"), ["300"])
        self.rows("ANALYZE video.whole")
        equal(self.rows("SELECT reltuples FROM pg_class WHERE oid = 'video.whole'::regclass"), ["12"])

    def written(self):
        self.rows("INSERT INTO video.cameras VALUES (7, 'roof', 9.5), (8, 'door', NULL)")
        equal(self.rows("UPDATE video.cameras SET height = 2 WHERE id = 8", "SELECT height FROM video.cameras WHERE id = 8"), ["2"])
        self.rows("DELETE FROM video.cameras WHERE id > 6")
        equal(self.rows("SELECT count(*) FROM video.cameras"), ["3"])

    def live(self):
        """A view that goes on is read as it stands; an error of framesql comes through."""
        equal(int(self.rows("SELECT count(*) FROM video.live")[0]) >= 0, True)
        self.rows("CREATE FOREIGN TABLE gone (a int8) SERVER framesql OPTIONS (schema_name 'public', table_name 'nothing')")
        equal("nothing" in str(raises(RuntimeError, lambda: self.rows("SELECT * FROM gone"))), True)
        equal(self.rows("BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT sum(frames) FROM video.whole", "SAVEPOINT a", "SELECT count(*) FROM video.whole", "COMMIT"), ["300", "12"])


def main():
    with Postgres(os.environ["POSTGRES"]) as server:
        foreign = Foreign(server)
        checks = Checks(foreign.rows("SHOW server_version")[0].split()[0])
        for name, check in [
            ("IMPORT FOREIGN SCHEMA", foreign.imported),
            ("IMPORT FOREIGN SCHEMA LIMIT TO", foreign.limited),
            ("sources, views and tables are read", foreign.read),
            ("conditions, sums, limits and joins are sent", foreign.sent),
            ("joined with a local table", foreign.joined),
            ("a local copy, ANALYZE", foreign.kept),
            ("a table is written", foreign.written),
            ("a live view, an error, a transaction", foreign.live),
        ]:
            checks.run(name, check)
        checks.refused("the costs of a plan (use_remote_estimate)", "could not interpret EXPLAIN output", foreign.estimated)
        return checks.end()


if __name__ == "__main__":
    sys.exit(main())
