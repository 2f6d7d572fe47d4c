"""Makes the files of rows that the tests read; needs pyarrow. Every value depends on its place alone."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
START = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)

# A vehicle a row: 24 reports of three trips, one a second, two of them out of order and one without a time.
rows = []
for n in range(24):
    second = {7: 3, 15: 4}.get(n, n)
    ts = None if n == 11 else START + timedelta(seconds=second)
    rows.append({"trip": "abc"[n % 3], "ts": ts, "speed": 10 + (n * 7) % 13 + 0.5, "doors": n % 5})

table = pa.table(
    {
        "trip": pa.array([r["trip"] for r in rows]).dictionary_encode(),
        "ts": pa.array([r["ts"] for r in rows], pa.timestamp("ns")),
        "speed": pa.array([r["speed"] for r in rows], pa.float32()),
        "doors": pa.array([r["doors"] for r in rows], pa.uint8()),
        "serial": pa.array([2**32 + n for n in range(24)], pa.uint64()),
    }
)
pq.write_table(table, HERE / "trips.parquet", row_group_size=6)

damaged = bytearray((HERE / "trips.parquet").read_bytes())
with pq.ParquetFile(HERE / "trips.parquet") as file:
    column = file.metadata.row_group(2).column(2)
    damaged[column.data_page_offset : column.data_page_offset + 16] = b"\xff" * 16
(HERE / "damaged.parquet").write_bytes(damaged)
(HERE / "cut.parquet").write_bytes((HERE / "trips.parquet").read_bytes()[:-40])


def csv_line(r):
    ts = "" if r["ts"] is None else r["ts"].strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{r['trip']},{ts},{r['speed']},{r['doors']}\n"


(HERE / "trips.csv").write_text("trip,ts,speed,doors\n" + "".join(map(csv_line, rows)))
for name, part in (("part2.csv", rows[:12]), ("part10.csv", rows[12:])):
    (HERE / "parts" / name).write_text("trip,ts,speed,doors\n" + "".join(map(csv_line, part)))

badges = [
    {"at": (START + timedelta(seconds=2 * n)).isoformat().replace("+00:00", "Z"), "door": {"name": "n" if n % 2 else "s", "floor": n}, "who": [n, n + 1]}
    for n in range(6)
]
del badges[3]["door"]
badges[4]["extra"] = "x"
(HERE / "badges.ndjson").write_text("".join(json.dumps(b) + "\n" for b in badges))
(HERE / "no_ending").write_text("".join(json.dumps(b) + "\n" for b in badges[:2]))

(HERE / "bad_number.csv").write_text("id,name\n1,one\n2,\"two\nlines\"\nthree,x\n4,\n\n5,five,more\n6,six\n")
(HERE / "semicolons.csv").write_text('at;lane;speed;note\n2026-05-01 12:00:00+00;1;12.5;"cut in; then\nbraked"\n2026-05-01 12:00:01+00;2;13;"a ""note"", with commas"\n')
(HERE / "bad_line.ndjson").write_text('{"id": 1}\n{"id": "one"}\n{"id": 3\n[4]\n{"id": 5}\n')
(HERE / "mixed" / "a.csv").write_text("id\n1\n")
(HERE / "mixed" / "b.ndjson").write_text('{"id": 1}\n')
