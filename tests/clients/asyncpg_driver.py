#!/usr/bin/env python3
"""asyncpg against the server: binary results of the extended protocol, its own catalogue queries, fifty connections, cancel."""

import asyncio
import datetime
import json
import os
import sys
import uuid

import asyncpg

from checks import Checks, equal

CLIP = os.environ["CLIP"]
UTC = datetime.timezone.utc


async def connect():
    return await asyncpg.connect(timeout=5, command_timeout=60)


async def types():
    connection = await connect()
    row = await connection.fetchrow("SELECT frame_no, ts, keyframe, width, source FROM clip WHERE frame_no = 1")
    equal(tuple(row), (1, datetime.datetime(1970, 1, 1, 0, 0, 0, 40000, UTC), False, 1280, "clip"))
    row = await connection.fetchrow("SELECT face.box, face.score FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE frame_no = 60")
    equal(sorted(json.loads(row["box"])), ["h", "w", "x", "y"])
    equal((await connection.fetchval("SELECT jpeg(frame, 64) FROM clip WHERE frame_no = 0"))[:3], b"\xff\xd8\xff")
    equal(await connection.fetchval("SELECT NULL::bigint"), None)
    await connection.close()


async def parameters():
    connection = await connect()
    equal(await connection.fetchval("SELECT count(*) FROM clip WHERE frame_no < $1 AND source = $2", 10, "clip"), 10)
    statement = await connection.prepare("SELECT window_start, frames FROM whole WHERE window_start >= $1 ORDER BY 1")
    rows = await statement.fetch(datetime.datetime(1970, 1, 1, 0, 0, 10, tzinfo=UTC))
    equal([row["frames"] for row in rows], [25, 25])
    equal([column.name for column in statement.get_attributes()], ["window_start", "frames"])
    await connection.close()


async def arrays():
    """Its own look-up of types, which is recursive, and arrays both ways in binary."""
    connection = await connect()
    equal(await connection.fetchval("SELECT $1::int[]", [1, None, 3]), [1, None, 3])
    equal(await connection.fetchval("SELECT array[1.5::float8]"), [1.5])
    rows = await connection.fetch("SELECT frame_no FROM clip WHERE frame_no = ANY($1) ORDER BY frame_no", [3, 5])
    equal([row["frame_no"] for row in rows], [3, 5])
    equal(await connection.fetchval("SELECT count(*) FROM clip WHERE source = ANY($1)", ["clip", "other"]), 300)
    one = uuid.UUID(int=5)
    equal(await connection.fetchval("SELECT $1::uuid", one), one)
    equal(json.loads(await connection.fetchval("SELECT $1::jsonb", '{"a": [1]}')), {"a": [1]})
    await connection.close()


async def notify():
    """What another connection says on a channel comes while this one waits."""
    listener, speaker = await connect(), await connect()
    heard = asyncio.Queue()
    await listener.add_listener("faces", lambda *said: heard.put_nowait(said[1:]))
    await speaker.execute("NOTIFY faces, 'three'")
    equal(await asyncio.wait_for(heard.get(), 5), (speaker.get_server_pid(), "faces", "three"))
    async with speaker.transaction():
        await speaker.execute("NOTIFY faces, 'later'")
        equal(heard.qsize(), 0)
    equal((await asyncio.wait_for(heard.get(), 5))[2], "later")
    await listener.close()
    await speaker.close()


async def waiting():
    """pg_sleep waits, and pg_cancel_backend and pg_terminate_backend end what another connection does."""
    patient, other = await connect(), await connect()
    equal(await patient.fetchval("SELECT pg_sleep(0.01)"), None)
    for function, error in [("pg_cancel_backend", asyncpg.QueryCanceledError), ("pg_terminate_backend", (asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError))]:
        pause = asyncio.ensure_future(patient.fetchval("SELECT pg_sleep(60)"))
        while not pause.done():
            await other.fetchval(f"SELECT {function}({patient.get_server_pid()})")
            await asyncio.wait([pause], timeout=0.1)
        if not isinstance(pause.exception(), error):
            raise AssertionError(f"{function}: {pause.exception()!r}")
    await other.close()


async def cursor():
    """Rows by the row-limited Execute, inside a transaction."""
    connection = await connect()
    async with connection.transaction():
        seen = [row["frame_no"] async for row in connection.cursor("SELECT frame_no FROM clip ORDER BY frame_no", prefetch=7)]
    equal(seen, list(range(300)))
    await connection.close()


async def errors():
    connection = await connect()
    for sql, kind in [("SELECT * FROM nothing", asyncpg.UndefinedTableError), ("SELECT 1/0", asyncpg.DivisionByZeroError)]:
        try:
            await connection.fetch(sql)
        except kind:
            pass
        else:
            raise AssertionError(f"{sql} has no error")
    equal(await connection.fetchval("SELECT 1"), 1)
    await connection.close()


async def fifty():
    connections = await asyncio.gather(*(connect() for _ in range(50)))
    counts = await asyncio.gather(*(c.fetchval("SELECT count(*) FROM whole") for c in connections))
    equal(counts, [12] * 50)
    await asyncio.gather(*(c.close() for c in connections))


async def cancel():
    """A query that is given up is cancelled on the server within its second, and the connection goes on."""
    connection = await connect()
    try:
        await connection.fetch("SUBSCRIBE live", timeout=0.5)
    except asyncio.TimeoutError:
        pass
    else:
        raise AssertionError("it ended by itself")
    equal(await asyncio.wait_for(connection.fetchval("SELECT 1"), 2), 1)
    await connection.close()


async def prepare():
    connection = await connect()
    windows = "SELECT window_start, count(*) AS frames FROM TUMBLE({}, ts, INTERVAL '1 second') GROUP BY window_start"
    for sql in (
        f"CREATE SOURCE clip FROM '{CLIP}'",
        f"CREATE SOURCE lobby FROM '{CLIP}' WITH (pace = 'realtime', loop = true)",
        f"CREATE MATERIALIZED VIEW whole AS {windows.format('clip')}",
        f"CREATE MATERIALIZED VIEW live AS {windows.format('lobby')}",
    ):
        await connection.execute(sql)
    await connection.close()


def main():
    checks = Checks(asyncpg.__version__)
    for name, check in [
        ("sources and views", prepare),
        ("types in binary", types),
        ("parameters and prepared statements", parameters),
        ("arrays, ANY, uuid, jsonb", arrays),
        ("LISTEN and NOTIFY", notify),
        ("pg_sleep, cancelled and terminated", waiting),
        ("a cursor", cursor),
        ("errors by class", errors),
        ("fifty connections", fifty),
        ("a query that is given up", cancel),
    ]:
        checks.run(name, lambda check=check: asyncio.run(asyncio.wait_for(check(), 90)))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
