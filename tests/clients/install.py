"""How each client comes onto the machine: Debian's packages, PyPI and npm, each once, into the cache directory where they need no root.

Every function gives the command that runs a script and what its environment needs beside the server's address. What cannot be installed is an error.
"""

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "framesql/clients"
LIMIT_SECONDS = 1800

DRIVERS = [
    "psycopg[binary]==3.2.*",
    "asyncpg==0.30.*",
    "psycopg2-binary==2.9.*",
    "sqlalchemy[asyncio]==2.*",
    "pandas==2.*",
    "adbc-driver-postgresql==1.*",
    "pyarrow",
    "pyodbc==5.*",
    "pgcli==4.*",
]
# The extensions are packages of their own, for one version of DuckDB.
DUCKDB = ["duckdb==1.4.4", "duckdb-ext-postgres==1.4.4.*", "duckdb-ext-icu==1.4.4.*", "pytz"]
# With what its own list of requirements leaves out or too wide; playwright drives Debian's Chromium.
SUPERSET = ["apache-superset==6.1.*", "flask-caching==2.3.*", "rich", "cachetools", "wtforms-json==0.3.5", "psycopg2-binary==2.9.*", "playwright==1.*"]
PGADMIN = ["pgadmin4==9.*"]
NODE = ["pg@8", "postgres@3"]


def run(command, **options):
    """Installs quietly; what it said is in the error."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stdout.strip()[-2000:]}")


def debian(there, *packages):
    """Debian's packages, unless what they bring is there. Errs where it takes root and there is none."""
    if there():
        return
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if root and (not shutil.which("sudo") or subprocess.run([*root, "true"], capture_output=True).returncode != 0):
        raise RuntimeError(f"this takes root: apt-get install {' '.join(packages)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run([*root, "apt-get", "update", "-qq"], env=environment)
    run([*root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=environment)
    if not there():
        raise RuntimeError(f"apt-get has installed {' '.join(packages)}, and it is not there")


def environment_of(name, packages):
    """The interpreter of a Python environment with these packages; one whose list has changed is made anew."""
    venv = CACHE / name
    ready, wanted = venv / "ready", "\n".join(packages)
    if not ready.exists() or ready.read_text(encoding="utf-8") != wanted:
        run([sys.executable, "-m", "venv", "--clear", venv])
        run([venv / "bin/pip", "install", "--quiet", "--prefer-binary", *packages])
        ready.write_text(wanted, encoding="utf-8")
    return venv / "bin/python"


def server_programs():
    """The folder of PostgreSQL's own server, the newest there is; None without one."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    return Path(found[-1]).parent if found else None


def psql():
    debian(lambda: shutil.which("psql"), "postgresql-client")
    return [sys.executable], {}


def postgres():
    """psql and a PostgreSQL server; the package starts a cluster of its own, which nobody asks for."""
    debian(server_programs, "postgresql")
    return [sys.executable], {"POSTGRES": str(server_programs())}


def drivers():
    return [environment_of("python", DRIVERS)], {}


def odbc():
    debian(odbc_driver, "odbc-postgresql", "unixodbc")
    return [environment_of("python", DRIVERS)], {"ODBC_DRIVER": odbc_driver()}


def odbc_driver():
    return next(iter(glob.glob("/usr/lib/*/odbc/psqlodbcw.so")), None)


def duckdb():
    return [environment_of("duckdb", DUCKDB)], {}


def node():
    debian(lambda: shutil.which("node") and shutil.which("npm"), "nodejs", "npm")
    folder = CACHE / "node"
    ready, wanted = folder / "ready", "\n".join(NODE)
    if not ready.exists() or ready.read_text(encoding="utf-8") != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *NODE])
        ready.write_text(wanted, encoding="utf-8")
    return ["node"], {"NODE_DRIVERS": str(folder / "node_modules")}


def java():
    jar = Path("/usr/share/java/postgresql.jar")
    debian(jar.exists, "libpostgresql-jdbc-java")
    debian(lambda: shutil.which("javac"), "default-jdk-headless")
    return ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", str(jar)], {}


def rust():
    """Cargo builds the crate beside this file, with a lock file of its own, into the cache."""
    cargo = os.environ.get("CARGO", "cargo")
    command = [cargo, "build", "--quiet", "--locked", "--manifest-path", HERE / "rust/Cargo.toml", "--target-dir", CACHE / "rust"]
    run(command, env={name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"})
    return ["env"], {"PATH": f"{CACHE / 'rust/debug'}:{os.environ['PATH']}"}


def chromium():
    debian(lambda: shutil.which("chromium"), "chromium", "fonts-dejavu-core")
    return shutil.which("chromium")


def superset():
    return [environment_of("superset", SUPERSET)], {"CHROMIUM": chromium()}


def pgadmin():
    return [environment_of("pgadmin", PGADMIN)], {}
