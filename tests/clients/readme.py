#!/usr/bin/env python3
"""The psql transcript of README.md, typed again: every command gives what the README shows. UPDATE=1 writes what it gives into the README.

A transcript is a fenced block marked `psql`; its commands stand behind the prompts `framesql=>` and, for more lines, `framesql->`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from checks import Checks, equal
from server import psql_version

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"(?<=^```psql\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


def steps(block):
    """The commands of a transcript, each with the output under it."""
    found = []
    for line in block.splitlines():
        if line.startswith("framesql=> "):
            found.append(([line], []))
        elif line.startswith("framesql-> "):
            found[-1][0].append(line)
        else:
            found[-1][1].append(line.rstrip())
    return found


def typed(lines):
    """What psql prints for a command."""
    command = "\n".join(line[len("framesql=> ") :] for line in lines)
    done = subprocess.run(["psql", "-X", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return [line.rstrip() for line in done.stdout.rstrip().splitlines()]


def main():
    checks = Checks(psql_version())
    text = README.read_text()

    def again(block):
        written = []
        for lines, output in steps(block.group()):
            while output and not output[-1]:
                output.pop()
            found = typed(lines)
            if os.environ.get("UPDATE") != "1":
                checks.run(lines[0][len("framesql=> ") :], lambda: equal(found, output))
            # psql leaves a line free behind a table.
            written += lines + found + ([""] if found[-1:] and found[-1].startswith("(") else [])
        return "\n".join(written).rstrip() + "\n"

    updated = BLOCK.sub(again, text)
    if os.environ.get("UPDATE") == "1":
        README.write_text(updated)
        checks.run("README.md written", lambda: equal(BLOCK.search(text) is not None, True))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
