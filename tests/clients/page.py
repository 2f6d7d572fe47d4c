"""The table of docs/clients.md: one row a client; what was not run keeps its row."""

import datetime
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs/clients.md"
BEGIN, END = "<!-- written by tests/clients/run --write -->", "<!-- end -->"
HEAD = ["| client | version | checks passed | run on |", "|---|---|---|---|"]
REFUSED = "What PostgreSQL allows and framesql refuses, or does not do yet, as these clients found it:"


def write(titles, results, heavy):
    """Puts the results, by name, into the page; `titles` names all clients in the order of the table, `heavy` those that show their day."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    written, after = rest.split(END)
    rows = {row.split("|")[1].strip(): row for row in written.splitlines() if row.startswith("| ")}
    refused = [line for line in written.splitlines() if line.startswith("- ")]
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%-d %B %Y")
    for name, result in results.items():
        title = titles[name]
        passed = f"{result.passed} of {result.passed + result.failed + len(result.not_yet)}"
        rows[title] = f"| {title} | {result.version or ''} | {passed} | {today if name in heavy else 'every change'} |"
        refused = [line for line in refused if not line.startswith(f"- {title}: ")]
        refused += [f"- {title}: {what}" for what in result.refused] + [f"- {title}: not yet: {what}" for what in result.not_yet]
    order = list(titles.values())
    table = HEAD + [rows[title] for title in order if title in rows]
    refused.sort(key=lambda line: next(at for at, title in enumerate(order) if line.startswith(f"- {title}: ")))
    listed = ["", REFUSED, "", *refused] if refused else []
    body = "\n".join(["", "", *table, *listed, "", ""])
    PAGE.write_text(before + BEGIN + body + END + after, encoding="utf-8")
