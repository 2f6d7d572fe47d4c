"""Where framesql may answer otherwise than PostgreSQL, each with its reason; what is not here is an error, and what no statement shows any more is one too."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Difference:
    """What may differ: `where` is found in the statement, `column` is the whole name of a column, the others are what framesql and PostgreSQL answer."""

    reason: str
    where: str = ""
    column: str = ".*"
    ours: object = None
    theirs: object = None

    def holds(self, sql, name="", ours=None, theirs=None):
        """Whether it is this one; what is not said is any."""
        same = self.ours in (None, ours) and self.theirs in (None, theirs)
        return same and bool(re.fullmatch(self.column, name) and re.search(self.where, sql, re.IGNORECASE | re.DOTALL))


# What the statements name that is not here, and what stands for it; a number is that of an object, asked of each server.
STANDS_FOR = {"16386": "public.detections", "16384": "public.tt", "16385": "database framesql", "16417": "public.visits"}
WORDS = {"pg_sleep(30)": "pg_sleep(0)", "datname='postgres'": "datname='framesql'", "{schema}": "public"}
# Of a parameter, by the oid of its type; of another type, NULL.
VALUES = {16: "true", 20: "2", 21: "2", 23: "2", 26: "25", 700: "1.5", 701: "1.5", 1700: "1.5", 17: "\\x0001", 2205: "pg_class"}
VALUES |= {18: "r", 19: "detections", 25: "detections", 1042: "detections", 1043: "detections", 2950: "00000000-0000-0000-0000-00000000002a"}
VALUES |= {1082: "2026-01-02", 1083: "01:02:03", 1114: "2026-01-02 03:04:05", 1184: "2026-01-02 03:04:05+00", 1186: "1 day", 3802: '{"a": 1}'}
VALUES |= {1002: "{r,m}", 1007: "{1,2}", 1009: "{a,b}", 1016: "{1,2}", 1022: "{0.5,1.5}", 1028: "{16,25}"}

# The catalogue, and what of it is the user's.
CATALOGUE = re.compile(r"\b(pg_[a-z_]+|information_schema\.[a-z_]+)\b", re.IGNORECASE)
NAMES = "detections|cars|cameras|visits|cameras_pkey|games|tt|clip"
OWN = re.compile(rf"\b({NAMES}|16384|16386|16417)\b")
OWN_VALUE = re.compile(rf"(public\.)?({NAMES})|<(public\.|type |constraint ).*>")


def here(sql, side):
    """The statement with the numbers and words of that server."""
    for word, stands in WORDS.items():
        sql = sql.replace(word, stands)
    return re.sub(r"\b(16384|16385|16386|16417)\b", lambda number: side.number(STANDS_FOR[number[0]]), sql)


def value(oid):
    """The value of a parameter."""
    return VALUES.get(oid)


# `ours` and `theirs` are SQLSTATEs.
CODES = [
    Difference("framesql answers as PostgreSQL 16, which has this column", r"\bdaticurules\b", ours="", theirs="42703"),
]
COLUMNS = [
    Difference("pg_database has a column more in PostgreSQL 16", r"\bdb\.\*.*pg_database"),
]
PARAMETERS = [
    Difference("a parameter that is cast to regclass is the text of a name", r"\bregclass\b", ours=25, theirs=2205),
    Difference("a parameter of a function of the catalogue that takes any value is text", r"\bpg_get_(constraint|index)def\(", ours=25, theirs=16),
]
TYPES = [
    Difference("a name that is computed is text", CATALOGUE.pattern, ours=25, theirs=19),
    Difference("a letter that is computed is text", r"\bnullif\b", ours=25, theirs=18),
    Difference("an oid that is computed is an int4", CATALOGUE.pattern, ours=23, theirs=26),
    Difference("a function is kept by its name", r"\bpg_(type|proc)\b", ours=25, theirs=24),
    Difference("a relation that is shown by its name is text", r"::(pg_catalog\.)?regclass", ours=25, theirs=2205),
    Difference("what is unnested of names is text", r"\bunnest\(", ours=25, theirs=19),
    Difference("a look-up that is not planned is NULL", CATALOGUE.pattern, "is_inherited|defseqrelid|identity_options|collation|privileges|grantable", ours=25),
    Difference("a whole number beside an int4, and inside a query, is an int8", ours=20, theirs=23),
    Difference("a whole number beside an oid makes an int8 of it", r"\bcase\b", ours=20, theirs=26),
    Difference("extract gives float8", r"\bextract\b", ours=701, theirs=1700),
    Difference("the mean of whole numbers is a float8", r"\bavg\b", ours=701, theirs=1700),
    Difference("a row is jsonb", r"\brow\(", ours=3802, theirs=2249),
    Difference("arrays of names are text[]", ours=1009, theirs=1003),
]
# The rows of one are not compared, only its columns.
PLAN = Difference("a plan is another, and of more lines", r"^\s*explain\b", ours=".*", theirs=".*")
# `ours` and `theirs` are what is found in each row that only one of the two has.
ROWS = [
    Difference("PostgreSQL leaves materialized views out of information_schema.tables", r"information_schema\.tables", ours="^visits$"),
    Difference("a relation has no type of its own", r"pg_type", theirs="<type "),
    PLAN,
    Difference("a row is jsonb", r"\brow\(", ours=r"^\{", theirs=r"^\("),
    Difference("the search path is the one schema", r"search_path", ours="^public$", theirs="user"),
]
# `column` is one whose values are not compared.
HIDDEN = [
    Difference("what only a server itself can say", column="version|pg_backend_pid|pid|now"),
    Difference("framesql compiles nothing: jit is off", r"current_setting\('jit'\)", "cur"),
    Difference("a table is in memory, and has no size in pages", column="total_rel_size|rel_size|Size"),
    Difference("nobody counts the rows of a table", column="estimated_row_count"),
    Difference("a table is not split into pages: there is no TOAST", column="hastoasttable"),
    Difference("a look-up in a SELECT list of the catalogue is not planned everywhere", "INH_TABLES", "typnspname"),
    Difference("an array without an order, of more types than framesql has", "castsource AS main_oid", "edit_types"),
]
ALL = [*CODES, *COLUMNS, *PARAMETERS, *TYPES, *ROWS, *HIDDEN]


def of_code(sql, ours, theirs):
    """Why an error may be another; None is no error."""
    return next((one for one in CODES if one.holds(sql, "", ours or "", theirs or "")), None)


def of_names(sql):
    """Why the columns may be others."""
    return next((one for one in COLUMNS if one.holds(sql)), None)


def of_parameter(sql, ours, theirs):
    """Why a parameter may have another type."""
    return next((one for one in PARAMETERS if one.holds(sql, "", ours, theirs)), None)


def of_type(sql, name, ours, theirs):
    """Why a column may have another type."""
    return next((one for one in TYPES if one.holds(sql, name, ours, theirs)), None)


def of_rows(sql, lacking, more):
    """Why rows may be lacking, or more: `theirs` and `ours` are found in each."""
    said = [[" ".join(str(value) for value in row) for row in rows] for rows in (lacking, more)]
    full = [[one.theirs, one.ours] for one in ROWS]
    for one, patterns in zip(ROWS, full):
        if one.holds(sql, "", one.ours, one.theirs) and all(
            pattern is not None and re.search(pattern, text) for texts, pattern in zip(said, patterns) for text in texts
        ):
            return one
    return None


def of_value(sql, name):
    """Why the values of a column are not compared."""
    return next((one for one in HIDDEN if one.holds(sql, name)), None)
