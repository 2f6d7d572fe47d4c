#!/usr/bin/env python3
"""psqlODBC by pyodbc against the server: UseDeclareFetch on and off, types, parameters, the catalogue functions of ODBC, errors, cancel by a time-out."""

import datetime
import decimal
import os
import subprocess
import sys
import uuid

import pyodbc

from checks import Checks, equal, raises

# The driver's own pool would keep connections that a check has closed.
pyodbc.pooling = False


def connect(autocommit=True, **options):
    """By the driver's own file, so that no odbcinst.ini is needed."""
    place = {"Driver": os.environ["ODBC_DRIVER"], "Server": os.environ["PGHOST"], "Port": os.environ["PGPORT"]}
    who = {"Database": os.environ["PGDATABASE"], "Uid": os.environ["PGUSER"], "BoolsAsChar": "0", "MaxVarcharSize": "1024"}
    return pyodbc.connect(";".join(f"{name}={value}" for name, value in (place | who | options).items()), autocommit=autocommit, timeout=5)


def types():
    connection = connect()
    row = connection.execute("SELECT frame_no, ts, keyframe, width, source, frame FROM clip WHERE frame_no = 1").fetchone()
    equal(tuple(row), (1, datetime.datetime(1970, 1, 1, 0, 0, 0, 40000), False, 1280, "clip", "clip#1 1280x720"))
    row = connection.execute("SELECT 1.5::float8, 1.25::numeric, '2026-05-01'::date, NULL::int4, 'é', '00000000-0000-0000-0000-000000000005'::uuid").fetchone()
    equal(tuple(row), (1.5, decimal.Decimal("1.25"), datetime.date(2026, 5, 1), None, "é", str(uuid.UUID(int=5))))
    picture, = connection.execute("SELECT jpeg(frame, 32) FROM clip WHERE frame_no = 0").fetchone()
    equal(picture[:2], b"\xff\xd8")
    described = connection.execute("SELECT window_start, frames, true AS yes FROM whole").description
    equal([(column[0], column[1]) for column in described], [("window_start", datetime.datetime), ("frames", int), ("yes", bool)])


def parameters():
    connection = connect()
    equal(connection.execute("SELECT count(*) FROM clip WHERE frame_no < ? AND source = ?", 10, "clip").fetchval(), 10)
    since = datetime.datetime(1970, 1, 1, 0, 0, 10)
    equal([row.frames for row in connection.execute("SELECT frames FROM whole WHERE window_start >= ? ORDER BY window_start", since)], [25, 25])
    for n in range(4):
        equal(connection.execute("SELECT frame_no FROM clip WHERE frame_no = ?", n).fetchall()[0][0], n)


def fetched():
    """UseDeclareFetch reads by a cursor, 100 rows at a time."""
    for autocommit in (True, False):
        connection = connect(autocommit=autocommit, UseDeclareFetch="1", Fetch="70")
        cursor = connection.execute("SELECT frame_no FROM clip ORDER BY frame_no")
        equal([row[0] for row in cursor.fetchmany(3)], [0, 1, 2])
        equal([row[0] for row in cursor], list(range(3, 300)))
        equal(connection.execute("SELECT count(*) FROM clip WHERE frame_no < ?", 10).fetchval(), 10)
        equal([column[0] for column in connection.execute("SELECT window_start, frames FROM whole WHERE frames > ?", 1).description], ["window_start", "frames"])
        connection.close()


def tables():
    """SQLTables, with kinds and patterns."""
    cursor = connect().cursor()
    found = {(row.table_schem, row.table_name): row.table_type for row in cursor.tables(schema="public")}
    kinds = {"clip": "TABLE", "lobby": "TABLE", "cameras": "TABLE", "early": "VIEW", "whole": "MATVIEW", "live": "MATVIEW"}
    equal(found, {("public", name): kind for name, kind in kinds.items()})
    equal([row.table_name for row in cursor.tables(table="ear%")], ["early"])
    equal([row.table_name for row in cursor.tables(tableType="VIEW", schema="public")], ["early"])
    equal("public" in [row.table_schem for row in cursor.tables(schema="%", table="", catalog="")], True)


def columns():
    """SQLColumns, SQLPrimaryKeys, SQLForeignKeys."""
    cursor = connect().cursor()
    found = [(row.column_name, row.type_name, row.ordinal_position, row.nullable) for row in cursor.columns(table="whole")]
    equal(found, [("window_start", "timestamptz", 1, 1), ("frames", "int8", 2, 1)])
    equal([(row.column_name, row.nullable) for row in cursor.columns(table="cameras", schema="public")], [("id", 0), ("name", 0), ("height", 1)])
    equal([(row.column_name, row.pk_name) for row in cursor.primaryKeys("cameras")], [("id", "cameras_pkey")])
    equal(cursor.foreignKeys("cameras").fetchall(), [])


def statistics():
    """In a process of its own: the driver crashes where it does not get what it expects."""
    if len(sys.argv) > 1:
        equal([row.column_name for row in connect().cursor().statistics("cameras", unique=True) if row.column_name], ["id"])
        return
    equal(subprocess.run([sys.executable, __file__, "statistics"], capture_output=True, timeout=60).returncode, 0)


def routines():
    """SQLProcedures, SQLGetTypeInfo, SQLGetInfo."""
    connection = connect()
    cursor = connection.cursor()
    equal("detect_faces" in [row.procedure_name for row in cursor.procedures(procedure="detect_faces")], True)
    equal({"int8", "text", "timestamptz"} <= {row.type_name for row in cursor.getTypeInfo()}, True)
    equal(connection.getinfo(pyodbc.SQL_DBMS_NAME), "PostgreSQL")
    equal(int(connection.getinfo(pyodbc.SQL_DBMS_VER).split(".")[0]) >= 15, True)


def written():
    connection = connect(autocommit=False)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE notes (id int8 PRIMARY KEY, text varchar(20), at timestamptz)")
    cursor.executemany("INSERT INTO notes VALUES (?, ?, ?)", [(n, f"n{n}", datetime.datetime(2026, 5, 1)) for n in range(20)])
    connection.commit()
    equal(cursor.execute("UPDATE notes SET text = ? WHERE id < ?", "x", 7).rowcount, 7)
    connection.commit()
    equal(cursor.execute("SELECT count(*) FROM notes WHERE text = 'x'").fetchval(), 7)
    equal("23505" in raises(pyodbc.Error, lambda: cursor.execute("INSERT INTO notes (id) VALUES (1)")).args[0], True)
    connection.rollback()
    cursor.execute("DROP TABLE notes")
    connection.commit()


def errors():
    connection = connect()
    for sql, state in [("SELECT * FROM nothing", "42P01"), ("SELECT nothing FROM clip", "42703"), ("SELEC", "42601"), ("SELECT 1/0", "22012")]:
        equal(raises(pyodbc.Error, lambda sql=sql: connection.execute(sql)).args[0], state)
    equal(connection.execute("SELECT 'on'").fetchval(), "on")
    connection = connect(autocommit=False, UseDeclareFetch="1")
    raises(pyodbc.Error, lambda: connection.execute("SELECT 1/0"))
    connection.rollback()
    equal(connection.execute("SELECT 'on'").fetchval(), "on")


def limited():
    connection = connect(ConnSettings="SET statement_timeout = 300")
    raises(pyodbc.Error, lambda: connection.execute("SELECT pg_sleep(30)").fetchall())
    equal(connection.execute("SELECT 'on'").fetchval(), "on")


def main():
    connection = connect()
    checks = Checks(f"{connection.getinfo(pyodbc.SQL_DRIVER_VER)}, pyodbc {pyodbc.version}")
    connection.close()
    checks.run("types", types)
    checks.run("parameters", parameters)
    checks.run("UseDeclareFetch", fetched)
    checks.run("SQLTables", tables)
    checks.run("SQLColumns, keys", columns)
    checks.run("SQLStatistics", statistics)
    checks.run("SQLProcedures, types, what the driver knows", routines)
    checks.run("writes to a table", written)
    checks.run("errors by state", errors)
    checks.run("a limit of time", limited)
    return checks.end()


if __name__ == "__main__":
    sys.exit(statistics() if len(sys.argv) > 1 else main())
