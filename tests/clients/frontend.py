"""A Postgres client of a few lines: one statement out, all that the server says of it in; it understands nothing that is not compared."""

import dataclasses
import socket
import struct

LIMIT_SECONDS = 60


@dataclasses.dataclass
class Result:
    """What one statement of a message gave: `columns` are names and oids of types, None where rows are not described."""

    columns: list = None
    rows: list = dataclasses.field(default_factory=list)
    copied: bytes = None
    tag: str = None


@dataclasses.dataclass
class Answer:
    """What a message gave until the server was ready again; `status` is I, T or E as in ReadyForQuery."""

    results: list = dataclasses.field(default_factory=list)
    parameters: list = None
    code: str = None
    message: str = None
    status: str = None


class Frontend:
    """A connection, by the variables that libpq reads; the server asks for no password."""

    def __init__(self, environment):
        self.socket = socket.create_connection((environment["PGHOST"], int(environment["PGPORT"])), timeout=LIMIT_SECONDS)
        self.file = self.socket.makefile("rb")
        words = ["user", environment["PGUSER"], "database", environment["PGDATABASE"], "client_encoding", "UTF8", ""]
        body = struct.pack("!i", 196608) + b"".join(word.encode() + b"\0" for word in words)
        self.socket.sendall(struct.pack("!i", len(body) + 4) + body)
        started = self._answer()
        if started.code:
            raise RuntimeError(started.message)

    def simple(self, sql):
        """The simple protocol."""
        self._send([b"Q", _text(sql)])
        return self._answer()

    def extended(self, sql, values):
        """The extended protocol, all as text; `values` gives the parameters' values for the oids of their types."""
        self._send([b"P", b"\0" + _text(sql) + struct.pack("!h", 0)], [b"D", b"S\0"], [b"S", b""])
        described = self._answer()
        if described.code:
            return described
        given = values(described.parameters)
        bound = b"\0\0" + struct.pack("!hh", 0, len(given))
        for value in given:
            bound += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value.encode())) + value.encode()
        self._send([b"B", bound + struct.pack("!h", 0)], [b"E", b"\0" + struct.pack("!i", 0)], [b"S", b""])
        ran = self._answer()
        ran.parameters = described.parameters
        # Described once, with the statement.
        ran.results = ran.results or [Result()]
        ran.results[0].columns = described.results[0].columns if described.results else None
        return ran

    def close(self):
        self._send([b"X", b""])
        self.socket.close()

    def _send(self, *messages):
        self.socket.sendall(b"".join(kind + struct.pack("!i", len(body) + 4) + body for kind, body in messages))

    def _message(self):
        head = self.file.read(5)
        if len(head) < 5:
            raise RuntimeError("the server closed the connection")
        return head[:1], self.file.read(struct.unpack("!i", head[1:])[0] - 4)

    def _answer(self):
        answer, result = Answer(), Result()
        while True:
            kind, body = self._message()
            match kind:
                case b"T":
                    result.columns = _columns(body)
                    if answer.parameters is not None:
                        answer.results.append(result)
                case b"t":
                    n = struct.unpack_from("!h", body)[0]
                    answer.parameters = list(struct.unpack_from(f"!{n}I", body, 2))
                case b"D":
                    result.rows.append(_row(body))
                case b"H":
                    result.copied = b""
                case b"d":
                    result.copied += body
                case b"C" | b"I":
                    result.tag = body[:-1].decode()
                    answer.results.append(result)
                    result = Result()
                case b"E":
                    fields = {field[:1]: field[1:].decode() for field in body.split(b"\0") if field}
                    answer.code, answer.message = fields[b"C"], fields[b"M"]
                case b"G":
                    self._send([b"f", _text("nothing is copied in")])
                case b"Z":
                    answer.status = body.decode()
                    return answer


def _text(text):
    return text.encode() + b"\0"


def _columns(body):
    """RowDescription: name and oid of the type."""
    columns, at = [], 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        end = body.index(b"\0", at)
        columns.append((body[at:end].decode(), struct.unpack_from("!I", body, end + 7)[0]))
        at = end + 19
    return columns


def _row(body):
    values, at = [], 2
    for _ in range(struct.unpack_from("!h", body)[0]):
        size = struct.unpack_from("!i", body, at)[0]
        at += 4
        values.append(None if size < 0 else body[at : at + size].decode())
        at += max(size, 0)
    return tuple(values)
