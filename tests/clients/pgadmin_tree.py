#!/usr/bin/env python3
"""pgAdmin 4 against the server: pgAdmin runs as it does on a desk; the server is registered and connected, the tree browsed, and a query run through its API."""

import http.cookiejar
import importlib.metadata
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pgadmin4

from checks import Checks, equal, raises

LIMIT_SECONDS = 180
# What hangs below a database, a schema and a table; a node that has none is asked all the same.
OF_DATABASE = ["cast", "catalog", "event_trigger", "extension", "foreign_data_wrapper", "language", "publication", "schema", "subscription"]
OF_SCHEMA = ["aggregate", "collation", "domain", "foreign_table", "fts_configuration", "fts_dictionary", "fts_parser", "fts_template", "function", "mview",
             "operator", "procedure", "sequence", "table", "trigger_function", "type", "view"]
OF_TABLE = ["column", "constraints", "exclusion_constraint", "foreign_key", "index", "primary_key", "row_security_policy", "rule", "trigger", "unique_constraint"]


class PgAdmin:
    """pgAdmin in a home of its own, and a browser's cookies."""

    def __init__(self, home):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.key, self.token = secrets.token_hex(), None
        settings = {"HOME": home, "PGADMIN_SERVER_MODE": "OFF", "PGADMIN_INT_PORT": str(self.port), "PGADMIN_INT_KEY": self.key}
        # What says where framesql is, is typed into pgAdmin, not taken from the environment.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | settings
        program = Path(pgadmin4.__path__[0], "pgAdmin4.py")
        self.process = subprocess.Popen([sys.executable, program], env=environment, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.server = self.database = self.schema = None

    def started(self):
        """Asks until it answers, as long as it runs."""
        for _ in range(LIMIT_SECONDS):
            try:
                self.process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                try:
                    self.asked(f"/?key={self.key}", parsed=False)
                    break
                except OSError:
                    continue
            raise AssertionError(f"pgAdmin ended with {self.process.returncode}")
        script = self.asked("/browser/js/utils.js", parsed=False)
        self.token = re.search(r"csrf_token'\] = '([^']+)'", script).group(1)
        self.asked("/browser/master_password", {"password": secrets.token_hex(), "submit_password": True})

    def asked(self, path, body=None, method=None, parsed=True):
        """What it answers. Errs with what it says."""
        headers = {"Content-Type": "application/json"} | ({"X-pgA-CSRFToken": self.token} if self.token else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        try:
            with self.browser.open(request, timeout=60) as response:
                text = response.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()[:600]}") from None
        return json.loads(text) if parsed else text

    def nodes(self, kind, *below):
        """The nodes of a kind below the server and what is named: label to number."""
        answer = self.asked("/".join(["", "browser", kind, "nodes", "1", *(str(part) for part in (self.server, *below))]) + "/")
        return {node["label"]: node["_id"] for node in answer["data"]}

    def registered(self):
        place = {"host": os.environ["PGHOST"], "port": int(os.environ["PGPORT"]), "db": os.environ["PGDATABASE"], "username": os.environ["PGUSER"]}
        rest = {"name": "framesql", "role": None, "sslmode": "prefer", "connect_now": False, "save_password": False}
        self.server = self.asked("/browser/server/obj/1/", place | rest)["node"]["_id"]
        found = self.asked(f"/browser/server/connect/1/{self.server}", {"password": "any"})["data"]
        equal((found["connected"], found["db"], found["user"]["name"], found["user"]["is_superuser"]), (True, "framesql", "framesql", True))
        self.database = self.nodes("database")["framesql"]
        equal(self.asked(f"/browser/database/connect/1/{self.server}/{self.database}", {})["data"]["connected"], True)
        self.schema = self.nodes("schema", self.database)["public"]

    def of_server(self):
        equal("framesql" in self.nodes("role"), True)
        self.nodes("tablespace")
        for kind in OF_DATABASE:
            self.nodes(kind, self.database)

    def of_schema(self):
        found = {kind: sorted(self.nodes(kind, self.database, self.schema)) for kind in OF_SCHEMA}
        equal((found["table"], found["view"], found["mview"]), (["cameras", "clip", "lobby"], ["early"], ["live", "whole"]))

    def of_table(self):
        below = (self.database, self.schema, self.nodes("table", self.database, self.schema)["cameras"])
        found = {kind: list(self.nodes(kind, *below)) for kind in OF_TABLE}
        equal((found["column"], found["primary_key"]), (["id", "name", "height"], ["cameras_pkey"]))
        for kind, name, columns in [("mview", "whole", ["window_start", "frames"]), ("view", "early", ["frame_no", "ts"])]:
            number = self.nodes(kind, self.database, self.schema)[name]
            equal(list(self.nodes("column", self.database, self.schema, number)), columns)

    def properties(self):
        """The pages "Properties" and "SQL"."""
        for kind, name, words in [
            ("table", "cameras", ["CREATE TABLE IF NOT EXISTS public.cameras", "id bigint NOT NULL", "PRIMARY KEY (id)"]),
            ("table", "clip", ["CREATE TABLE IF NOT EXISTS public.clip", "frame_no bigint"]),
            ("view", "early", ["CREATE OR REPLACE VIEW public.early", "frame_no"]),
            ("mview", "whole", ["CREATE MATERIALIZED VIEW IF NOT EXISTS public.whole", "TUMBLE"]),
        ]:
            number = self.nodes(kind, self.database, self.schema)[name]
            place = f"1/{self.server}/{self.database}/{self.schema}/{number}"
            equal(self.asked(f"/browser/{kind}/obj/{place}")["name"], name)
            sql = self.asked(f"/browser/{kind}/sql/{place}")
            equal([word for word in words if word not in sql], [])
        self.asked(f"/browser/database/obj/1/{self.server}/{self.database}")

    def polled(self, number):
        """The answer of the query tool, when it is done."""
        for _ in range(LIMIT_SECONDS):
            answer = self.asked(f"/sqleditor/poll/{number}")["data"]
            if answer["status"] != "Busy":
                return answer
        raise AssertionError("it is busy all the time")

    def queried(self):
        number = 4711
        who = {"user": os.environ["PGUSER"], "role": None, "password": None, "dbname": os.environ["PGDATABASE"]}
        self.asked(f"/sqleditor/initialize/sqleditor/{number}/1/{self.server}/{self.database}", who)
        start = f"/sqleditor/query_tool/start/{number}"
        self.asked(start, {"sql": "SELECT window_start, frames FROM whole ORDER BY 1 LIMIT 3", "explain_plan": None})
        found = self.polled(number)
        equal(([column["name"] for column in found["colinfo"]], found["rows_affected"]), (["window_start", "frames"], 3))
        equal(found["result"][0], ["1970-01-01 00:00:00+00", "25"])
        self.asked(start, {"sql": "SELECT nothing FROM whole", "explain_plan": None})
        equal('column "nothing" does not exist' in str(raises(AssertionError, lambda: self.polled(number))).replace("\\", ""), True)
        self.asked(start, {"sql": "EXPLAIN SELECT * FROM whole", "explain_plan": None})
        equal("whole" in str(self.polled(number)["result"]), True)
        equal("whole" in self.asked(f"/sqleditor/autocomplete/{number}", ["SELECT * FROM wh"] * 2)["data"]["result"], True)

    def viewed(self):
        """View Data of a materialized view and of a source."""
        for number, (kind, name, rows) in enumerate([("mview", "whole", 12), ("table", "cameras", 3)], 5000):
            node = self.nodes(kind, self.database, self.schema)[name]
            self.asked(f"/sqleditor/initialize/viewdata/{number}/3/{kind}/1/{self.server}/{self.database}/{node}", {"sql_filter": "", "server_cursor": False})
            self.asked(f"/sqleditor/view_data/start/{number}")
            equal(len(self.polled(number)["result"]), rows)

    def dashboard(self):
        charts = "session_stats,tps_stats,ti_stats,to_stats,bio_stats"
        found = self.asked(f"/dashboard/dashboard_stats/{self.server}/{self.database}?chart_names={charts}")
        equal(found["session_stats"]["Total"] >= 1, True)
        self.asked(f"/dashboard/activity/{self.server}/{self.database}")

    def gone(self):
        equal(self.asked(f"/browser/server/connect/1/{self.server}", method="DELETE")["success"], 1)
        equal(self.asked(f"/browser/server/obj/1/{self.server}", method="DELETE")["success"], 1)


def main():
    checks = Checks(importlib.metadata.version("pgadmin4"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        pgadmin = PgAdmin(home)
        try:
            for name, check in [
                ("it starts", pgadmin.started),
                ("a server registered and connected", pgadmin.registered),
                ("the tree: of the server and its database", pgadmin.of_server),
                ("the tree: of a schema", pgadmin.of_schema),
                ("the tree: of tables and views", pgadmin.of_table),
                ("properties and SQL", pgadmin.properties),
                ("the query tool", pgadmin.queried),
                ("view data", pgadmin.viewed),
                ("the dashboard", pgadmin.dashboard),
                ("disconnected and forgotten", pgadmin.gone),
            ]:
                checks.run(name, check)
        finally:
            pgadmin.process.terminate()
            pgadmin.process.wait(timeout=30)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
