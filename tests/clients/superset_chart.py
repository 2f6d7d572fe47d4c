#!/usr/bin/env python3
"""Apache Superset against the server: a database added, its tables listed, a dataset of `faces_per_second`, a chart asked for by its API and drawn in Chromium.

WRITE=1 keeps the picture of the chart in docs/howto.
"""

import importlib.metadata
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

from checks import Checks, equal
from server import CLIP, ROOT, psql

LIMIT_SECONDS = 300
PICTURE = ROOT / "docs/howto/superset_chart.png"
MADE = [
    f"CREATE SOURCE visit FROM '{CLIP}' WITH (start_ts = '2026-05-01 12:00:00+00')",
    """CREATE MATERIALIZED VIEW faces_per_second AS
SELECT source, window_start, window_end, count(*) AS frames, sum(cardinality(detect_faces(frame))) AS faces
FROM TUMBLE(visit, ts, INTERVAL '1 second') GROUP BY source, window_start, window_end""",
]
NOON_MS = 1777636800000.0
# The bars grow: they are drawn when the canvas is the same in sixty frames.
STILL = """c => new Promise(done => {
    let last = "", same = 0;
    const look = () => {
        const now = c.toDataURL();
        same = now === last ? same + 1 : 0;
        last = now;
        same > 60 ? done() : requestAnimationFrame(look);
    };
    look();
})"""
FACES = {"expressionType": "SIMPLE", "column": {"column_name": "faces"}, "aggregate": "SUM", "label": "faces"}


class Superset:
    """Superset with a metadata database of its own, and a signed-in client of its API."""

    def __init__(self, home):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.root = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.password = secrets.token_hex()
        settings = Path(home, "superset_config.py")
        settings.write_text(
            f"SECRET_KEY = {secrets.token_hex()!r}\nSQLALCHEMY_DATABASE_URI = 'sqlite:///{home}/superset.db'\n"
            "WTF_CSRF_ENABLED = TALISMAN_ENABLED = RATELIMIT_ENABLED = False\n",
            encoding="utf-8",
        )
        # What says where framesql is, is typed into Superset, not taken from the environment.
        outer = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        self.environment = outer | {"SUPERSET_CONFIG_PATH": str(settings), "SUPERSET_HOME": home, "FLASK_APP": "superset"}
        self.home, self.token, self.process = home, None, None
        self.database = self.dataset = self.chart = None

    def command(self, *words):
        program = Path(sys.executable).with_name("superset")
        done = subprocess.run([program, *words], env=self.environment, cwd=self.home, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        if done.returncode != 0:
            raise AssertionError(done.stderr.strip()[-1000:])

    def started(self):
        self.command("db", "upgrade")
        who = {"username": "admin", "firstname": "a", "lastname": "b", "email": "admin@example.org", "password": self.password}
        self.command("fab", "create-admin", *(word for name, value in who.items() for word in (f"--{name}", value)))
        self.command("init")
        command = [Path(sys.executable).with_name("superset"), "run", "-p", self.root.rsplit(":", 1)[1], "--with-threads"]
        self.process = subprocess.Popen(command, env=self.environment, cwd=self.home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(LIMIT_SECONDS):
            try:
                self.process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                try:
                    urllib.request.urlopen(f"{self.root}/health", timeout=5).close()
                    break
                except OSError:
                    continue
            raise AssertionError(f"Superset ended with {self.process.returncode}")
        self.token = self.asked("security/login", {"username": "admin", "password": self.password, "provider": "db", "refresh": True})["access_token"]

    def asked(self, path, body=None):
        """What the API answers. Errs with what it says."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.root}/api/v1/{path}", data, headers), timeout=120) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()[:800]}") from None

    def added(self):
        place = f"{os.environ['PGUSER']}@{os.environ['PGHOST']}:{os.environ['PGPORT']}/{os.environ['PGDATABASE']}"
        body = {"database_name": "framesql", "sqlalchemy_uri": f"postgresql+psycopg2://{place}"}
        equal(self.asked("database/test_connection/", body)["message"], "OK")
        self.database = self.asked("database/", body | {"expose_in_sqllab": True})["id"]

    def listed(self):
        equal("public" in self.asked(f"database/{self.database}/schemas/")["result"], True)
        found = self.asked(f"database/{self.database}/tables/?q=(force:!t,schema_name:public)")["result"]
        kinds = {(row["value"], row["type"]) for row in found}
        expected = {("clip", "table"), ("cameras", "table"), ("early", "view"), ("faces_per_second", "materialized_view")}
        # What the kind of a materialized view is called has changed between versions.
        equal({name for name, _ in expected} - {name for name, _ in kinds}, set())
        equal({("clip", "table"), ("cameras", "table"), ("early", "view")} - kinds, set())
        described = self.asked(f"database/{self.database}/table_metadata/?name=faces_per_second&schema=public")
        columns = [(column["name"], column["type"]) for column in described["columns"]]
        equal(columns, [("source", "TEXT"), ("window_start", "TIMESTAMP"), ("window_end", "TIMESTAMP"), ("frames", "BIGINT"), ("faces", "BIGINT")])

    def laboratory(self):
        """SQL Lab, with a limit that it adds itself, and an error."""
        body = {"database_id": self.database, "schema": "public", "runAsync": False, "queryLimit": 5, "client_id": secrets.token_hex(5)}
        found = self.asked("sqllab/execute/", body | {"sql": "SELECT frame_no, ts, frame FROM clip ORDER BY frame_no"})
        equal([row["frame_no"] for row in found["data"]], [0, 1, 2, 3, 4])
        equal(found["data"][1]["frame"], "clip#1 1280x720")
        try:
            self.asked("sqllab/execute/", body | {"sql": "SELECT nothing FROM clip", "client_id": secrets.token_hex(5)})
        except AssertionError as error:
            equal("nothing" in str(error), True)
        else:
            raise AssertionError("a column that is not there is read")

    def dataset_made(self):
        self.dataset = self.asked("dataset/", {"database": self.database, "schema": "public", "table_name": "faces_per_second"})["id"]
        found = self.asked(f"dataset/{self.dataset}")["result"]
        columns = {column["column_name"]: column["is_dttm"] for column in found["columns"]}
        equal(columns, {"source": False, "window_start": True, "window_end": True, "frames": False, "faces": False})

    def rows(self, **query):
        """What a chart would draw."""
        body = {"datasource": {"id": self.dataset, "type": "table"}, "queries": [query], "result_format": "json", "result_type": "full", "force": True}
        found = self.asked("chart/data", body)["result"][0]
        equal(found.get("error"), None)
        return found["data"]

    def charted(self):
        """By second, by minute, over a range of time, and by name."""
        second, minute = (
            {"timeGrain": grain, "columnType": "BASE_AXIS", "sqlExpression": "window_start", "label": "window_start", "expressionType": "SQL"} for grain in ("PT1S", "PT1M")
        )
        found = self.rows(columns=[second], metrics=[FACES], row_limit=1000, orderby=[["window_start", True]])
        equal((len(found), sum(row["faces"] for row in found), found[1]["window_start"]), (12, 425, NOON_MS + 1000))
        equal([row["faces"] for row in self.rows(columns=[minute], metrics=[FACES])], [425])
        part = [{"col": "window_start", "op": "TEMPORAL_RANGE", "val": "2026-05-01T12:00:04 : 2026-05-01T12:00:08"}]
        equal(len(self.rows(columns=[second], metrics=[FACES], filters=part)), 4)
        equal(self.rows(columns=["source"], metrics=["count"], filters=[{"col": "frames", "op": ">", "val": 10}]), [{"source": "visit", "count": 12}])

    def drawn(self):
        parameters = {
            "viz_type": "echarts_timeseries_bar", "datasource": f"{self.dataset}__table", "x_axis": "window_start", "time_grain_sqla": "PT1S", "metrics": [FACES],
            "groupby": [], "row_limit": 1000, "show_legend": True, "x_axis_title": "window_start", "y_axis_title": "faces", "x_axis_title_margin": 30, "y_axis_title_margin": 30,
        }
        body = {"slice_name": "Faces in every second", "viz_type": parameters["viz_type"], "datasource_id": self.dataset, "datasource_type": "table", "params": json.dumps(parameters)}
        self.chart = self.asked("chart/", body)["id"]
        with sync_playwright() as browsers:
            browser = browsers.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1100, "height": 600})
            page.set_default_timeout(LIMIT_SECONDS * 1000)
            page.goto(f"{self.root}/login/")
            page.locator("input[type=text]").last.fill("admin")
            page.locator("input[type=password]").fill(self.password)
            page.locator("button[type=submit]").click()
            page.wait_for_url(lambda url: "/login" not in url)
            answers = []
            page.on("response", lambda response: answers.append(response.status) if "/api/v1/chart/data" in response.url else None)
            page.goto(f"{self.root}/explore/?slice_id={self.chart}&standalone=1")
            page.locator("canvas").first.wait_for()
            page.wait_for_load_state("networkidle")
            page.locator("canvas").first.evaluate(STILL)
            equal(answers and set(answers), {200})
            picture = page.screenshot(path=PICTURE if os.environ.get("WRITE") == "1" else None)
            # Bars are drawn: a canvas without them has few colours.
            drawn = page.locator("canvas").first.evaluate("c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size")
            equal((picture[:4], drawn > 20), (b"\x89PNG", True))
            browser.close()


def main():
    psql(os.environ, *MADE)
    checks = Checks(importlib.metadata.version("apache-superset"))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        superset = Superset(home)
        try:
            for name, check in [
                ("it starts", superset.started),
                ("a database added", superset.added),
                ("schemas, tables, columns", superset.listed),
                ("SQL Lab", superset.laboratory),
                ("a dataset of faces_per_second", superset.dataset_made),
                ("a chart's queries", superset.charted),
                ("the chart drawn in Chromium", superset.drawn),
            ]:
                checks.run(name, check)
        finally:
            if superset.process:
                superset.process.terminate()
                superset.process.wait(timeout=30)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
