"""One statement at framesql and at PostgreSQL: what of the two answers is compared, and where they differ."""

import collections
import dataclasses
import decimal
import re

import differences

# Types whose values name an object by its number: oid, regproc, regclass, regtype, regnamespace, regrole, oidvector, oid[].
NUMBERS = {26, 24, 2205, 2206, 4089, 4096, 30, 1028}
FLOATS = {700, 701, 1700}
# The user's objects, by their numbers.
NAMES = [
    "SELECT c.oid, n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid >= 16384",
    "SELECT oid, 'type ' || typname FROM pg_catalog.pg_type WHERE oid >= 16384",
    "SELECT oid, 'constraint ' || conname FROM pg_catalog.pg_constraint WHERE oid >= 16384",
    "SELECT oid, 'database ' || datname FROM pg_catalog.pg_database WHERE datname = 'framesql'",
    "SELECT oid, 'role ' || rolname FROM pg_catalog.pg_roles WHERE rolname = 'framesql'",
]


class Side:
    """One of the two servers, and how it numbers the user's objects."""

    def __init__(self, frontend):
        self.frontend = frontend
        self.names = {}
        for sql in NAMES:
            answer = frontend.simple(sql)
            if answer.code:
                raise RuntimeError(f"{sql}: {answer.message}")
            self.names |= {oid: f"<{name}>" for oid, name in answer.results[0].rows}

    def number(self, name):
        """The number of an object, by its name above."""
        return next(oid for oid, known in self.names.items() if known == f"<{name}>")

    def ask(self, sql, values):
        sql = differences.here(sql, self)
        return self.frontend.extended(sql, values) if re.search(r"\$\d", sql) else self.frontend.simple(sql)

    def out_of_transaction(self, status):
        """So that what comes next is not refused for what failed before."""
        if status == "E":
            self.frontend.simple("ROLLBACK")


@dataclasses.dataclass
class Found:
    """What was compared of a statement: `wrong` says what differs, `how` what its rows were compared by, `allowed` which differences may be."""

    sql: str
    wrong: list = dataclasses.field(default_factory=list)
    how: set = dataclasses.field(default_factory=set)
    allowed: set = dataclasses.field(default_factory=set)

    def differs(self, difference, text):
        """A difference that may be, or one that is wrong."""
        if difference:
            self.allowed.add(difference)
        else:
            self.wrong.append(text)


def compare(sql, ours, theirs):
    """Runs the statement on both, the parameters having the values that PostgreSQL's types ask for."""
    found, values = Found(sql), []
    there = theirs.ask(sql, lambda oids: values.extend(map(differences.value, oids)) or values)
    here = ours.ask(sql, lambda _: values)
    _answers(here, there, ours, theirs, found)
    ours.out_of_transaction(here.status)
    theirs.out_of_transaction(there.status)
    return found


def _answers(here, there, ours, theirs, found):
    if here.code != there.code:
        found.how.add("error")
        found.differs(differences.of_code(found.sql, here.code, there.code), f"error {here.code} {here.message!r}, not {there.code} {there.message!r}")
        return
    if there.code:
        found.how.add("error")
    if here.status != there.status:
        found.wrong.append(f"the transaction is {here.status}, not {there.status}")
    if len(here.results) != len(there.results):
        found.wrong.append(f"{len(here.results)} results, not {len(there.results)}")
    for mine, yours in zip(here.parameters or [], there.parameters or []):
        if mine != yours:
            found.differs(differences.of_parameter(found.sql, mine, yours), f"a parameter has type {mine}, not {yours}")
    if len(here.parameters or []) != len(there.parameters or []):
        found.wrong.append(f"parameters {here.parameters}, not {there.parameters}")
    for mine, yours in zip(here.results, there.results):
        _results(mine, yours, ours, theirs, found)


def _results(mine, yours, ours, theirs, found):
    if mine.copied != yours.copied:
        found.wrong.append(f"COPY gives {mine.copied!r}, not {yours.copied!r}")
    if (mine.columns is None) != (yours.columns is None):
        found.wrong.append("only one of the two has columns")
        return
    if yours.columns is None:
        found.how.add("no rows" if yours.copied is None else "rows")
        if mine.tag != yours.tag:
            found.wrong.append(f"tag {mine.tag!r}, not {yours.tag!r}")
        return
    names, expected = ([name for name, _ in result.columns] for result in (mine, yours))
    if names != expected:
        found.how.add("columns")
        found.differs(differences.of_names(found.sql), f"columns {names}, not {expected}")
        return
    for (name, a), (_, b) in zip(mine.columns, yours.columns):
        if a != b:
            found.differs(differences.of_type(found.sql, name, a, b), f"column {name} has type {a}, not {b}")
    _rows(mine, yours, ours, theirs, found)


def _rows(mine, yours, ours, theirs, found):
    here, there = _plain(mine, yours, ours, found), _plain(yours, yours, theirs, found)
    catalogue = differences.CATALOGUE.search(found.sql)
    # The catalogue is sorted by names that are not the only ones of a server.
    if catalogue or not re.search(r"\border\s+by\b", found.sql, re.IGNORECASE):
        here, there = sorted(here, key=repr), sorted(there, key=repr)
    if here == there:
        found.how.add("rows" if there else "no rows")
        return
    lacking, more = (collections.Counter(a) - collections.Counter(b) for a, b in ((there, here), (here, there)))
    if difference := differences.of_rows(found.sql, lacking, more):
        found.allowed.add(difference)
        found.how.add("rows")
        return
    if catalogue and not differences.OWN.search(found.sql):
        # A list of all that is there: what is not the user's is each server's own.
        here, there = _own(here), _own(there)
        if here == there:
            found.how.add("own rows" if there else "columns")
            return
        lacking, more = (collections.Counter(a) - collections.Counter(b) for a, b in ((there, here), (here, there)))
        if difference := differences.of_rows(found.sql, lacking, more):
            found.allowed.add(difference)
            found.how.add("own rows")
            return
    said = [f"{len(here)} rows, not {len(there)}"] if len(here) != len(there) else []
    said += [f"{what} {row}" for what, rows in (("lacks", lacking), ("has", more)) for row in list(rows)[:4]] or ["another order"]
    found.wrong.append("; ".join(said))


def _own(rows):
    """Those that are about the user's objects: a value is the name of one."""
    return [row for row in rows if any(value and differences.OWN_VALUE.fullmatch(value) for value in row)]


def _plain(result, described, side, found):
    """The rows with the user's objects by name, numbers of equal worth written alike, and what each server says of itself left out."""
    return [tuple(_value(value, name, oid, side, found) for (name, oid), value in zip(described.columns, row)) for row in result.rows]


def _value(value, name, oid, side, found):
    if difference := differences.of_value(found.sql, name):
        found.allowed.add(difference)
        return "*"
    if value is None:
        return None
    if oid in NUMBERS:
        return re.sub(r"\d+", lambda number: side.names.get(number[0], number[0]), value)
    if oid in FLOATS and re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", value):
        # A sum of floats depends on its order in the last digit.
        return str(decimal.Context(prec=14).create_decimal(value).normalize())
    return value
