#!/usr/bin/env python3
"""pandas against the server: read_sql, read_sql_table and chunks by SQLAlchemy, to_sql into a table, and an Arrow-backed frame by ADBC."""

import os
import sys

import adbc_driver_postgresql.dbapi
import pandas
import sqlalchemy

from checks import Checks, equal

AT = f"framesql@{os.environ['PGHOST']}:{os.environ['PGPORT']}/framesql"
ENGINE = sqlalchemy.create_engine(f"postgresql+psycopg2://{AT}")


def read():
    frame = pandas.read_sql("SELECT window_start, frames FROM whole ORDER BY 1", ENGINE)
    equal((len(frame), int(frame["frames"].sum()), str(frame["frames"].dtype)), (12, 300, "int64"))
    equal(str(frame["window_start"].dt.tz), "UTC")
    parameters = {"n": 3}
    equal(list(pandas.read_sql(sqlalchemy.text("SELECT frame_no FROM clip WHERE frame_no < :n ORDER BY 1"), ENGINE, params=parameters)["frame_no"]), [0, 1, 2])


def tables():
    equal(len(pandas.read_sql_table("early", ENGINE)), 3)
    whole = pandas.read_sql_table("whole", ENGINE, index_col="window_start", columns=["frames"])
    equal(int(whole["frames"].sum()), 300)


def chunks():
    sizes = [len(chunk) for chunk in pandas.read_sql("SELECT frame_no FROM clip ORDER BY 1", ENGINE, chunksize=70)]
    equal(sizes, [70, 70, 70, 70, 20])


def written():
    people = pandas.DataFrame({"id": [1, 2, 3], "name": ["Ann", None, "Cy"], "share": [0.5, 1.0, None]})
    equal(people.to_sql("people", ENGINE, index=False), 3)
    equal(people.to_sql("people", ENGINE, index=False, if_exists="append", method="multi"), 3)
    again = pandas.read_sql("SELECT * FROM people WHERE id = 3", ENGINE)
    equal((list(again["name"]), again["share"].isna().all()), (["Cy", "Cy"], True))
    equal(people.to_sql("people", ENGINE, index=False, if_exists="replace"), 3)
    equal(len(pandas.read_sql_table("people", ENGINE)), 3)
    with ENGINE.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE people"))


def arrow():
    with adbc_driver_postgresql.dbapi.connect(f"postgresql://{AT}") as connection:
        frame = pandas.read_sql("SELECT source, frame_no FROM clip", connection, dtype_backend="pyarrow")
        equal((len(frame), str(frame["frame_no"].dtype)), (300, "int64[pyarrow]"))


def main():
    checks = Checks(pandas.__version__)
    checks.run("read_sql", read)
    checks.run("read_sql_table", tables)
    checks.run("chunks", chunks)
    checks.run("to_sql", written)
    checks.run("a frame of Arrow columns", arrow)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
