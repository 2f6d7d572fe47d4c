#!/usr/bin/env python3
"""psycopg 3 against the server: types in text and binary, parameters, error codes, COPY rows as they come, cancel."""

import datetime
import os
import sys

import psycopg

from checks import Checks, equal

CLIP = os.environ["CLIP"]
UTC = datetime.timezone.utc


def connect(**options):
    return psycopg.connect("", autocommit=True, connect_timeout=5, **options)


def one(sql, parameters=None, binary=False):
    """The first row of a query."""
    with connect() as connection:
        return connection.execute(sql, parameters, binary=binary).fetchone()


def types():
    for binary in (False, True):
        row = one("SELECT frame_no, ts, keyframe, width, source, frame FROM clip WHERE frame_no = 1", binary=binary)
        equal(row, (1, datetime.datetime(1970, 1, 1, 0, 0, 0, 40000, UTC), False, 1280, "clip", "clip#1 1280x720"))
        box, score = one("SELECT face.box, face.score FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE frame_no = 60", binary=binary)
        equal((sorted(box), 0.9 < score < 1, 0 < box["w"] < 1280), (["h", "w", "x", "y"], True, True))
        equal(one("SELECT jpeg(frame, 64) FROM clip WHERE frame_no = 0", binary=binary)[0][:3], b"\xff\xd8\xff")
        equal(one("SELECT NULL::bigint, 1.5::float8, 'é', ARRAY[1, 2]::bigint[]", binary=binary), (None, 1.5, "é", [1, 2]))


def parameters():
    equal(one("SELECT count(*) FROM clip WHERE frame_no < %s AND source = %s", (10, "clip")), (10,))
    with connect() as connection:
        for n in range(8):
            # From the fifth time on psycopg prepares the statement.
            equal(connection.execute("SELECT frame_no FROM clip WHERE frame_no = %s", (n,)).fetchall(), [(n,)])
        with connection.cursor() as cursor:
            equal(cursor.execute("SELECT window_start, frames FROM whole ORDER BY 1 LIMIT %s", (2,)).rowcount, 2)
            equal([column.name for column in cursor.description], ["window_start", "frames"])


def errors():
    with connect() as connection:
        for sql, kind in [
            ("SELECT * FROM nothing", psycopg.errors.UndefinedTable),
            ("SELECT 1/0", psycopg.errors.DivisionByZero),
            ("SELEC", psycopg.errors.SyntaxError),
            ("CREATE SOURCE clip FROM 'pattern:'", psycopg.errors.DuplicateTable),
        ]:
            try:
                connection.execute(sql)
            except kind:
                pass
            else:
                raise AssertionError(f"{sql} has no error")
            equal(connection.execute("SELECT 1").fetchone(), (1,))


def transactions():
    with psycopg.connect("") as connection:
        equal(connection.execute("SELECT 1").fetchone(), (1,))
        try:
            connection.execute("SELECT * FROM nothing")
        except psycopg.errors.UndefinedTable:
            pass
        try:
            connection.execute("SELECT 1")
        except psycopg.errors.InFailedSqlTransaction:
            connection.rollback()
        else:
            raise AssertionError("a failed transaction goes on")
        equal(connection.execute("SELECT 1").fetchone(), (1,))


def tables():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE badges (id int8 PRIMARY KEY, name varchar(8), at timestamptz, level int2, share float8)")
        noon = datetime.datetime(2026, 5, 1, 12, tzinfo=UTC)
        cursor.executemany("INSERT INTO badges VALUES (%s, %s, %s, %s, %s)", [(n, f"n{n}", noon, n, n / 2) for n in range(8)])
        sql = "INSERT INTO badges (id, name) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET name = excluded.name || %s"
        equal(cursor.execute(sql, (3, "x", "!")).rowcount, 1)
        equal(cursor.execute("UPDATE badges SET level = %s WHERE id < %s", (9, 3)).rowcount, 3)
        equal(cursor.execute("DELETE FROM badges WHERE id = %s", (7,)).rowcount, 1)
        with cursor.copy("COPY badges (id, name, at) FROM STDIN") as copy:
            for n in (20, 21):
                copy.write_row((n, None, noon))
        equal(cursor.rowcount, 2)
        cursor.execute("SELECT id, name, at, level, share FROM badges WHERE id IN (2, 3, 20) ORDER BY id")
        equal(cursor.fetchall(), [(2, "n2", noon, 9, 1.0), (3, "x!", noon, 3, 1.5), (20, None, noon, None, None)])
        for sql, kind in [
            ("INSERT INTO badges (id) VALUES (3)", psycopg.errors.UniqueViolation),
            ("INSERT INTO badges (name) VALUES ('a')", psycopg.errors.NotNullViolation),
            ("INSERT INTO badges (id, name) VALUES (50, 'far too long')", psycopg.errors.StringDataRightTruncation),
        ]:
            try:
                cursor.execute(sql)
            except kind:
                pass
            else:
                raise AssertionError(f"{sql} has no error")
        cursor.execute("DROP TABLE badges")


def blocks():
    """ROLLBACK takes back what the block made and dropped, and its settings."""
    with connect() as connection:
        said = []
        connection.add_notice_handler(lambda notice: said.append((notice.severity, notice.message_primary)))
        connection.execute("BEGIN")
        connection.execute("CREATE VIEW fleeting AS SELECT frame_no FROM clip")
        connection.execute("SET application_name = 'fleeting'")
        equal(connection.execute("SELECT count(*) FROM fleeting").fetchone(), (300,))
        connection.execute("ROLLBACK")
        try:
            connection.execute("SELECT * FROM fleeting")
        except psycopg.errors.UndefinedTable:
            pass
        else:
            raise AssertionError("the view is still there")
        equal(connection.execute("SHOW application_name").fetchone(), ("",))
        connection.execute("CREATE VIEW fleeting AS SELECT frame_no FROM clip")
        connection.execute("BEGIN; DROP VIEW fleeting; ROLLBACK")
        equal(connection.execute("SELECT count(*) FROM fleeting").fetchone(), (300,))
        equal(said, [])
        connection.execute("BEGIN; SET LOCAL application_name = 'local'; COMMIT")
        equal(connection.execute("SHOW application_name").fetchone(), ("",))


def pipelines():
    """What a pipeline sends up to its sync is one transaction: an error undoes what came before it, and what comes behind it is not run."""
    with connect() as connection:
        connection.execute("CREATE TABLE piped (a int4 PRIMARY KEY)")
        with connection.pipeline() as pipeline:
            connection.execute("INSERT INTO piped VALUES (1)")
            two = connection.execute("INSERT INTO piped VALUES (%s) RETURNING a", (2,))
            pipeline.sync()
            equal(two.fetchone(), (2,))
        try:
            with connection.pipeline():
                connection.execute("INSERT INTO piped VALUES (3)")
                connection.execute("INSERT INTO piped VALUES (%s)", (2,))
                connection.execute("INSERT INTO piped VALUES (4)")
        except psycopg.errors.UniqueViolation:
            pass
        else:
            raise AssertionError("a key is there twice")
        try:
            connection.cursor().executemany("INSERT INTO piped VALUES (%s)", [(5,), (6,), (1,)])
        except psycopg.errors.UniqueViolation:
            pass
        else:
            raise AssertionError("a key is there twice")
        equal(connection.execute("SELECT array_agg(a ORDER BY a) FROM piped").fetchone(), ([1, 2],))
        connection.execute("DROP TABLE piped")


def cursors():
    """MOVE passes over rows; FETCH with a timeout gives what is there, and does not wait for more."""
    with connect() as connection:
        connection.execute("DECLARE c CURSOR WITH HOLD FOR SELECT frame_no FROM clip ORDER BY frame_no")
        equal(connection.execute("MOVE FORWARD 5 c").statusmessage, "MOVE 5")
        equal(connection.execute("FETCH 2 FROM c").fetchall(), [(5,), (6,)])
        connection.execute("CLOSE c")
        with connection.transaction(), connection.cursor("named") as cursor:
            cursor.execute("SELECT frame_no FROM clip WHERE frame_no > %s ORDER BY frame_no", (297,))
            equal(cursor.fetchmany(1), [(298,)])
            equal(cursor.fetchall(), [(299,)])
        connection.execute("DECLARE s CURSOR WITH HOLD FOR SUBSCRIBE live WITH (snapshot = false)")
        equal(connection.execute("FETCH 100 FROM s WITH (timeout = '0s')").fetchall(), [])
        equal(len(connection.execute("FETCH 100 FROM s WITH (timeout = '10s')").fetchall()), 1)
        try:
            connection.execute("FETCH 1 FROM s WITH (speed = 1)")
        except psycopg.errors.InvalidParameterValue as error:
            equal("timeout" in error.diag.message_hint, True)
        else:
            raise AssertionError("an unknown option is taken")


def forms():
    """Values as Postgres writes them: bytea, the reference of a frame, times in the session's zone, types in information_schema."""
    with connect() as connection:
        equal(connection.execute("SELECT '\\x00ff'::bytea").fetchone(), (b"\x00\xff",))
        equal(connection.execute("SELECT frame::text FROM clip WHERE frame_no = 7").fetchone(), ("clip#7 1280x720",))
        connection.execute("SET TIME ZONE 'Asia/Kolkata'")
        shown = connection.pgconn.exec_(b"SELECT ts FROM clip WHERE frame_no = 0").get_value(0, 0)
        equal(shown, b"1970-01-01 05:30:00+05:30")
        sql = "SELECT data_type, udt_name FROM information_schema.columns WHERE table_name = 'clip' AND column_name IN ('frame_no', 'ts') ORDER BY 2"
        equal(connection.execute(sql).fetchall(), [("bigint", "int8"), ("timestamp with time zone", "timestamptz")])
        equal(connection.execute("SELECT to_regtype('bigint')::oid, 'x' LIKE 'x%' ESCAPE '/'").fetchone(), (20, True))


def live_rows():
    """COPY hands over each row as its window closes; cancel ends it and the connection goes on."""
    with connect() as connection:
        with connection.cursor() as cursor:
            try:
                with cursor.copy("COPY (SUBSCRIBE live) TO STDOUT") as copy:
                    for n, row in enumerate(copy.rows()):
                        equal(row[1], "1")
                        if n == 1:
                            connection.cancel()
            except psycopg.errors.QueryCanceled:
                pass
            else:
                raise AssertionError("it ended without being cancelled")
        equal(connection.execute("SELECT 1").fetchone(), (1,))


def timeout():
    with connect() as connection:
        connection.execute("SET statement_timeout = '300ms'")
        try:
            with connection.cursor() as cursor, cursor.copy("COPY (SUBSCRIBE live) TO STDOUT") as copy:
                for _ in copy.rows():
                    pass
        except psycopg.errors.QueryCanceled as error:
            equal("statement timeout" in str(error), True)
        else:
            raise AssertionError("it has no end")


def main():
    checks = Checks(psycopg.__version__)
    with connect() as connection:
        connection.execute(f"CREATE SOURCE clip FROM '{CLIP}'")
        connection.execute(f"CREATE SOURCE lobby FROM '{CLIP}' WITH (pace = 'realtime', loop = true)")
        windows = "SELECT window_start, count(*) AS frames FROM TUMBLE({}, ts, INTERVAL '1 second') GROUP BY window_start"
        connection.execute(f"CREATE MATERIALIZED VIEW whole AS {windows.format('clip')}")
        connection.execute(f"CREATE MATERIALIZED VIEW live AS {windows.format('lobby')}")
    checks.run("types in text and in binary", types)
    checks.run("parameters and prepared statements", parameters)
    checks.run("errors by class", errors)
    checks.run("a failed transaction", transactions)
    checks.run("tables, parameters and COPY FROM STDIN", tables)
    checks.run("what a block made is undone", blocks)
    checks.run("a pipeline is one transaction up to its sync", pipelines)
    checks.run("MOVE, and FETCH with a timeout", cursors)
    checks.run("bytea, frames, zones, names of types", forms)
    checks.run("COPY rows as they come, and cancel", live_rows)
    checks.run("statement_timeout", timeout)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
