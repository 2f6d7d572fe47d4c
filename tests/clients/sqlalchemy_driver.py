#!/usr/bin/env python3
"""SQLAlchemy against the server: reflection of sources, views and tables, ORM reads and writes, nested transactions; by psycopg2, psycopg and asyncpg."""

import asyncio
import os
import sys

import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Session

from checks import Checks, equal, raises

AT = f"framesql@{os.environ['PGHOST']}:{os.environ['PGPORT']}/framesql"
URL = f"postgresql+psycopg2://{AT}"


class Base(DeclarativeBase):
    """The declared tables."""


class Window(Base):
    """A materialized view, read as a table; the ORM wants a key."""

    __tablename__ = "whole"
    window_start = sqlalchemy.Column(sqlalchemy.DateTime(timezone=True), primary_key=True)
    frames = sqlalchemy.Column(sqlalchemy.BigInteger)


class Camera(Base):
    """A table."""

    __tablename__ = "cameras"
    id = sqlalchemy.Column(sqlalchemy.BigInteger, primary_key=True, autoincrement=False)
    name = sqlalchemy.Column(sqlalchemy.Text, nullable=False)
    height = sqlalchemy.Column(sqlalchemy.Double)


def reflection():
    inspector = sqlalchemy.inspect(sqlalchemy.create_engine(URL))
    equal(sorted(inspector.get_table_names()), ["cameras", "clip", "lobby"])
    equal(inspector.get_view_names(), ["early"])
    equal(sorted(inspector.get_materialized_view_names()), ["live", "whole"])
    equal([(c["name"], str(c["type"])) for c in inspector.get_columns("whole")], [("window_start", "TIMESTAMP"), ("frames", "BIGINT")])
    equal(inspector.get_columns("whole")[0]["type"].timezone, True)
    equal(inspector.get_pk_constraint("cameras")["constrained_columns"], ["id"])
    equal([c["nullable"] for c in inspector.get_columns("cameras")], [False, False, True])
    equal(inspector.get_pk_constraint("clip")["constrained_columns"], [])
    equal((inspector.get_indexes("clip"), inspector.get_foreign_keys("clip"), inspector.get_check_constraints("clip")), ([], [], []))
    equal((inspector.has_table("whole"), inspector.has_table("nothing")), (True, False))
    equal("SELECT" in inspector.get_view_definition("early").upper(), True)
    equal(inspector.default_schema_name, "public")
    equal({"public", "information_schema"} <= set(inspector.get_schema_names()), True)


def whole_schema():
    """Everything at once, as a tool that draws a schema does."""
    found = sqlalchemy.MetaData()
    found.reflect(sqlalchemy.create_engine(URL), views=True)
    equal(sorted(found.tables), ["cameras", "clip", "early", "live", "lobby", "whole"])
    equal([c.name for c in found.tables["cameras"].primary_key], ["id"])


def core():
    with sqlalchemy.create_engine(URL).connect() as connection:
        equal(connection.scalar(sqlalchemy.text("SELECT count(*) FROM clip WHERE frame_no < :n"), {"n": 10}), 10)
        rows = connection.execution_options(stream_results=True, max_row_buffer=50).execute(sqlalchemy.text("SELECT frame_no FROM clip ORDER BY 1"))
        equal([row.frame_no for row in rows], list(range(300)))
        equal(connection.dialect.server_version_info >= (15,), True)


def orm():
    with Session(sqlalchemy.create_engine(URL)) as session:
        windows = session.scalars(sqlalchemy.select(Window).where(Window.frames.in_([25, 24])).order_by(Window.window_start).limit(2)).all()
        equal([window.frames for window in windows], [25, 25])
        with session.begin_nested():
            equal(session.scalar(sqlalchemy.select(sqlalchemy.func.count()).select_from(Window)), 12)
        hour = sqlalchemy.func.date_trunc("hour", Window.window_start)
        equal(session.execute(sqlalchemy.select(hour, sqlalchemy.func.sum(Window.frames)).group_by(hour)).one()[1], 300)


def written():
    with Session(sqlalchemy.create_engine(URL)) as session:
        session.add_all([Camera(id=10, name="roof", height=9.5), Camera(id=11, name="door")])
        session.commit()
        session.get(Camera, 11).name = "back door"
        session.commit()
        session.delete(session.get(Camera, 10))
        session.commit()
        equal([camera.name for camera in session.scalars(sqlalchemy.select(Camera).where(Camera.id > 9))], ["back door"])
        session.add(Camera(id=11, name="twice"))
        raises(sqlalchemy.exc.IntegrityError, session.commit)
        session.rollback()
        session.delete(session.get(Camera, 11))
        session.commit()


def created():
    """metadata.create_all looks for the table, then makes it; drop_all takes it away."""
    engine, metadata = sqlalchemy.create_engine(URL), sqlalchemy.MetaData()
    sqlalchemy.Table("visits", metadata, sqlalchemy.Column("id", sqlalchemy.BigInteger, primary_key=True, autoincrement=False), sqlalchemy.Column("who", sqlalchemy.String(20)))
    metadata.create_all(engine)
    metadata.create_all(engine)
    equal(sqlalchemy.inspect(engine).has_table("visits"), True)
    metadata.drop_all(engine)
    equal(sqlalchemy.inspect(engine).has_table("visits"), False)


def psycopg3():
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://{AT}")
    with engine.connect() as connection:
        equal(connection.scalar(sqlalchemy.text("SELECT sum(frames) FROM whole")), 300)
    equal(sqlalchemy.inspect(engine).get_view_names(), ["early"])


async def asynchronous():
    engine = create_async_engine(f"postgresql+asyncpg://{AT}")
    async with engine.connect() as connection:
        equal((await connection.scalars(sqlalchemy.select(Window.frames).limit(1))).all(), [25])
        equal(sorted(await connection.run_sync(lambda c: sqlalchemy.inspect(c).get_materialized_view_names())), ["live", "whole"])
    await engine.dispose()


def main():
    checks = Checks(sqlalchemy.__version__)
    checks.run("reflection", reflection)
    checks.run("reflection of the whole schema", whole_schema)
    checks.run("text, parameters, streamed rows", core)
    checks.run("ORM and a nested transaction", orm)
    checks.run("ORM writes to a table", written)
    checks.run("create_all and drop_all", created)
    checks.run("by psycopg 3", psycopg3)
    checks.run("by asyncpg", lambda: asyncio.run(asynchronous()))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
