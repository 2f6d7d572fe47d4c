#!/usr/bin/env python3
"""psycopg2 against the server: parameters written into the text, cursors of both kinds, COPY, transactions, notices, errors by class, notifications."""

import datetime
import io
import os
import select
import sys
import threading

import psycopg2
import psycopg2.errors
import psycopg2.extras

from checks import Checks, equal, raises

CLIP = os.environ["CLIP"]


def one(sql, parameters=None):
    """The first row of a query."""
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchone()


def values():
    noon = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.timezone.utc)
    equal(one("SELECT %s, %s, %s, %s, %s", (1, "it's é \\", None, True, 1.5)), (1, "it's é \\", None, True, 1.5))
    equal(one("SELECT %s, %s, %s", (noon, noon.date(), [1, 2])), (noon, noon.date(), [1, 2]))
    equal(bytes(one("SELECT %s", (psycopg2.Binary(b"\x00\xff'"),))[0]), b"\x00\xff'")
    equal(one("SELECT ts, frame, width FROM clip WHERE frame_no = 1")[1:], ("clip#1 1280x720", 1280))
    box, = one("SELECT face.box FROM clip CROSS JOIN UNNEST(detect_faces(frame)) AS face WHERE frame_no = 60")
    equal(sorted(box), ["h", "w", "x", "y"])


def arrays():
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT frame_no, source FROM clip WHERE frame_no = ANY(%s) ORDER BY 1", ([2, 4],))
        equal(cursor.fetchall(), [(2, "clip"), (4, "clip")])
        cursor.execute("SELECT count(*) FROM clip WHERE frame_no IN %s", ((1, 2, 3),))
        equal(cursor.fetchone(), (3,))


def cursors():
    with psycopg2.connect("") as connection:
        with connection.cursor("named") as cursor:
            cursor.itersize = 50
            cursor.execute("SELECT frame_no FROM clip ORDER BY frame_no")
            equal([row[0] for row in cursor], list(range(300)))
        with connection.cursor("forward", scrollable=False) as cursor:
            cursor.execute("SELECT frame_no FROM clip ORDER BY frame_no")
            equal(cursor.fetchmany(2), [(0,), (1,)])
            cursor.scroll(5)
            equal(cursor.fetchone(), (7,))
        with connection.cursor(cursor_factory=psycopg2.extras.DictCursor) as cursor:
            cursor.execute("SELECT count(*) AS n FROM whole")
            equal(cursor.fetchone()["n"], 12)
        with connection.cursor() as cursor:
            cursor.execute("SELECT window_start, frames FROM whole")
            equal(([c.name for c in cursor.description], [c.type_code for c in cursor.description], cursor.rowcount), (["window_start", "frames"], [1184, 20], 12))


def scrolled():
    with psycopg2.connect("") as connection, connection.cursor("scrolled", scrollable=True) as cursor:
        cursor.execute("SELECT frame_no FROM clip ORDER BY frame_no")


def tables():
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE notes (id int8 PRIMARY KEY, text varchar(20), at timestamptz)")
        psycopg2.extras.execute_values(cursor, "INSERT INTO notes (id, text) VALUES %s", [(n, f"n{n}") for n in range(250)], page_size=100)
        cursor.copy_expert("COPY notes (id, text) FROM STDIN WITH (FORMAT csv)", io.StringIO("900,'a'\n901,\n"))
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT id, text FROM notes WHERE id > 248 ORDER BY id) TO STDOUT WITH (FORMAT csv)", out)
        equal(out.getvalue(), "249,n249\n900,'a'\n901,\n")
        connection.commit()
        cursor.execute("UPDATE notes SET text = %s WHERE id < %s", ("x", 7))
        equal((cursor.rowcount, cursor.statusmessage), (7, "UPDATE 7"))
        connection.commit()
        cursor.execute("DROP TABLE notes")


def errors():
    connection = psycopg2.connect("")
    cursor = connection.cursor()
    for sql, kind in [
        ("SELECT * FROM nothing", psycopg2.errors.UndefinedTable),
        ("SELECT nothing FROM clip", psycopg2.errors.UndefinedColumn),
        ("SELECT 1/0", psycopg2.errors.DivisionByZero),
        ("SELEC", psycopg2.errors.SyntaxError),
        ("INSERT INTO cameras VALUES (1, 'twice')", psycopg2.errors.UniqueViolation),
    ]:
        raises(kind, lambda sql=sql: cursor.execute(sql))
        raises(psycopg2.errors.InFailedSqlTransaction, lambda: cursor.execute("SELECT 1"))
        connection.rollback()
    cursor.execute("SELECT 'on'")
    equal(cursor.fetchone(), ("on",))
    connection.close()


def sessions():
    """What set_session sends, and what the connection knows of the server."""
    connection = psycopg2.connect("", options="-c statement_timeout=300ms -c TimeZone=UTC", application_name="bench")
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    cursor = connection.cursor()
    cursor.execute("SHOW statement_timeout")
    equal(cursor.fetchone(), ("300ms",))
    cursor.execute("SELECT current_setting('application_name')")
    equal((cursor.fetchone(), connection.get_parameter_status("server_encoding")), (("bench",), "UTF8"))
    equal((connection.server_version >= 150000, connection.info.transaction_status), (True, psycopg2.extensions.TRANSACTION_STATUS_INTRANS))
    raises(psycopg2.errors.QueryCanceled, lambda: cursor.execute("SELECT pg_sleep(30)"))
    connection.close()


def notifications():
    listener, speaker = psycopg2.connect(""), psycopg2.connect("")
    for connection in (listener, speaker):
        connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
    listener.cursor().execute("LISTEN gate")
    speaker.cursor().execute("SELECT pg_notify('gate', 'opened')")
    equal(select.select([listener], [], [], 5)[0], [listener])
    listener.poll()
    equal([(note.channel, note.payload) for note in listener.notifies], [("gate", "opened")])
    listener.close()
    speaker.close()


def cancel():
    """From another thread, as a shell does at Ctrl-C."""
    connection = psycopg2.connect("")
    cursor = connection.cursor()
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    raises(psycopg2.errors.QueryCanceled, lambda: cursor.copy_expert("COPY (SUBSCRIBE live) TO STDOUT", io.StringIO()))
    timer.join()
    connection.rollback()
    cursor.execute("SELECT 'on'")
    equal(cursor.fetchone(), ("on",))
    connection.close()


def main():
    checks = Checks(psycopg2.__version__.split()[0])
    checks.run("values both ways", values)
    checks.run("arrays, ANY and IN", arrays)
    checks.run("named and dictionary cursors", cursors)
    checks.refused("a cursor that goes back (scrollable=True)", "a SCROLL cursor is not supported", scrolled)
    checks.run("execute_values, COPY both ways, counts", tables)
    checks.run("errors by class, and a failed transaction", errors)
    checks.run("options, set_session, statement_timeout", sessions)
    checks.run("LISTEN, pg_notify", notifications)
    checks.run("cancel", cancel)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
