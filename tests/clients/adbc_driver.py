#!/usr/bin/env python3
"""ADBC's PostgreSQL driver against the server: Arrow tables by binary COPY, parameters, the objects of the catalogue, schemas, ingestion into a table."""

import importlib.metadata
import os
import sys

import adbc_driver_postgresql.dbapi
import pyarrow

from checks import Checks, equal

URL = f"postgresql://framesql@{os.environ['PGHOST']}:{os.environ['PGPORT']}/framesql"


def connect():
    return adbc_driver_postgresql.dbapi.connect(URL, autocommit=True)


def tables():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT window_start, frames FROM whole ORDER BY 1")
        table = cursor.fetch_arrow_table()
        equal((table.num_rows, sum(table.column("frames").to_pylist())), (12, 300))
        equal([str(field.type) for field in table.schema], ["timestamp[us, tz=UTC]", "int64"])
        cursor.execute("SELECT frame_no, source, keyframe, jpeg(frame, 32) AS picture FROM clip WHERE frame_no < 2 ORDER BY 1")
        table = cursor.fetch_arrow_table()
        equal([str(field.type) for field in table.schema], ["int64", "string", "bool", "binary"])
        equal(table.column("picture")[0].as_py()[:2], b"\xff\xd8")
        cursor.execute("SELECT 1.5::float8, NULL::int4, ARRAY[1, 2]::int8[], '{\"a\": 1}'::jsonb, 1.25::numeric, 'x'::varchar, '2026-05-01'::date")
        equal([column[0].as_py() for column in cursor.fetch_arrow_table().columns][:3], [1.5, None, [1, 2]])


def parameters():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM clip WHERE frame_no < $1 AND source = $2", (10, "clip"))
        equal(cursor.fetchone(), (10,))


def objects():
    with connect() as connection:
        equal({"table", "view", "materialized view"} <= {name.lower().replace("_", " ") for name in connection.adbc_get_table_types()}, True)
        schema = connection.adbc_get_table_schema("whole")
        equal([(field.name, str(field.type)) for field in schema], [("window_start", "timestamp[us, tz=UTC]"), ("frames", "int64")])
        found = connection.adbc_get_objects(depth="columns", db_schema_filter="public").read_all().to_pylist()
        names = {table["table_name"]: table for catalog in found for schema in catalog["catalog_db_schemas"] for table in schema["db_schema_tables"]}
        equal({"cameras", "clip", "early", "live", "lobby", "whole"} <= set(names), True)
        columns = sorted(names["whole"]["table_columns"], key=lambda column: column["ordinal_position"])
        equal([column["column_name"] for column in columns], ["window_start", "frames"])
        equal(connection.adbc_get_info()["vendor_name"], "PostgreSQL")


def ingested():
    """Rows of Arrow go into a table that the driver makes, by binary COPY."""
    rows = pyarrow.table({"id": [1, 2, 3], "name": ["a", None, "c"], "share": [0.5, 1.0, None]})
    with connect() as connection, connection.cursor() as cursor:
        equal(cursor.adbc_ingest("ingested", rows, mode="create"), 3)
        equal(cursor.adbc_ingest("ingested", rows, mode="append"), 3)
        cursor.execute("SELECT count(*), count(name), sum(share) FROM ingested")
        equal(cursor.fetchone(), (6, 4, 3.0))
        cursor.execute("DROP TABLE ingested")


def main():
    checks = Checks(importlib.metadata.version("adbc-driver-postgresql"))
    checks.run("Arrow tables and their types", tables)
    checks.run("parameters", parameters)
    checks.run("objects, table types, schemas", objects)
    checks.run("ingestion", ingested)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
