#!/usr/bin/env python3
"""What reads tables for people: psycopg2, SQLAlchemy (reflection and ORM), pandas, ADBC; each by its own way of asking."""

import os
import sys

import adbc_driver_postgresql.dbapi
import pandas
import psycopg2
import psycopg2.extras
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Session

from checks import Checks, equal

CLIP = os.environ["CLIP"]
URL = f"postgresql+psycopg2://framesql@{os.environ['PGHOST']}:{os.environ['PGPORT']}/framesql"


def prepare():
    connection = psycopg2.connect("")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SOURCE clip FROM '{CLIP}'")
        cursor.execute("CREATE VIEW early AS SELECT frame_no, ts FROM clip WHERE frame_no < 3")
        cursor.execute(
            "CREATE MATERIALIZED VIEW whole AS SELECT window_start, count(*) AS frames"
            " FROM TUMBLE(clip, ts, INTERVAL '1 second') GROUP BY window_start"
        )
    connection.close()


def psycopg2_reads():
    with psycopg2.connect("") as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT frame_no, source FROM clip WHERE frame_no = ANY(%s) ORDER BY 1", ([2, 4],))
            equal(cursor.fetchall(), [(2, "clip"), (4, "clip")])
        with connection.cursor("named") as cursor:
            cursor.itersize = 50
            cursor.execute("SELECT frame_no FROM clip ORDER BY frame_no")
            equal([row[0] for row in cursor], list(range(300)))
        with connection.cursor(cursor_factory=psycopg2.extras.DictCursor) as cursor:
            cursor.execute("SELECT count(*) AS n FROM whole")
            equal(cursor.fetchone()["n"], 12)


def reflection():
    inspector = sqlalchemy.inspect(sqlalchemy.create_engine(URL))
    equal(inspector.get_table_names(), ["clip"])
    equal(inspector.get_view_names(), ["early"])
    equal(inspector.get_materialized_view_names(), ["whole"])
    equal([(c["name"], str(c["type"])) for c in inspector.get_columns("whole")], [("window_start", "TIMESTAMP"), ("frames", "BIGINT")])
    equal(inspector.get_pk_constraint("clip")["constrained_columns"], [])
    equal((inspector.get_indexes("clip"), inspector.get_foreign_keys("clip")), ([], []))
    table = sqlalchemy.Table("clip", sqlalchemy.MetaData(), autoload_with=sqlalchemy.create_engine(URL))
    equal("frame_no" in table.columns, True)


class Base(DeclarativeBase):
    pass


class Window(Base):
    __tablename__ = "whole"
    window_start = sqlalchemy.Column(sqlalchemy.DateTime(timezone=True), primary_key=True)
    frames = sqlalchemy.Column(sqlalchemy.BigInteger)


def orm():
    with Session(sqlalchemy.create_engine(URL)) as session:
        windows = session.scalars(sqlalchemy.select(Window).where(Window.frames.in_([25, 24])).order_by(Window.window_start).limit(2)).all()
        equal([window.frames for window in windows], [25, 25])
        with session.begin_nested():
            equal(session.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(Window)), 12)


def frames_of_pandas():
    engine = sqlalchemy.create_engine(URL)
    frame = pandas.read_sql("SELECT window_start, frames FROM whole ORDER BY 1", engine)
    equal((len(frame), int(frame["frames"].sum()), str(frame["frames"].dtype)), (12, 300, "int64"))
    equal(len(pandas.read_sql_table("early", engine)), 3)


def adbc():
    with adbc_driver_postgresql.dbapi.connect(URL.replace("+psycopg2", "")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT window_start, frames FROM whole ORDER BY 1")
        table = cursor.fetch_arrow_table()
        equal((table.num_rows, sum(table.column("frames").to_pylist())), (12, 300))


def main():
    checks = Checks()
    for name, check in [
        ("sources and views", prepare),
        ("psycopg2: ANY, a named cursor, dictionaries", psycopg2_reads),
        ("SQLAlchemy: reflection", reflection),
        ("SQLAlchemy: ORM and a nested transaction", orm),
        ("pandas: read_sql, read_sql_table", frames_of_pandas),
        ("ADBC: an Arrow table", adbc),
    ]:
        checks.run(name, check)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
