#!/usr/bin/env python3
"""Runs the two commands of README.md as they are written there, the demo for five seconds; fails if they are not there or do not do what they say."""

import re
import subprocess
import sys
import time
from pathlib import Path

DEMO, TEST = "cargo run -- demo", "cargo test --workspace"
# For the whole demo, builds included; a demo that does not end by itself is a failure.
LIMIT_SECONDS = 3600


def written():
    """Every line of a block marked `sh` that starts with cargo."""
    text = Path("README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.startswith("cargo ")]


def demo(command):
    """The demo prints the rows of windows that closed within five seconds, and ends by itself."""
    build = subprocess.run(["cargo", "build"], timeout=LIMIT_SECONDS)
    if build.returncode != 0:
        return "the program does not build"
    began = time.monotonic()
    done = subprocess.run([*command.split(), "--for", "5s"], stdout=subprocess.PIPE, text=True, timeout=60)
    seconds = time.monotonic() - began
    print(done.stdout, flush=True)
    rows = [line for line in done.stdout.splitlines() if re.search(r"\blobby\b.*\|", line)]
    if done.returncode != 0:
        return f"it ended with {done.returncode}"
    if len(rows) < 3 or "psql " not in done.stdout:
        return f"it printed {len(rows)} rows in five seconds"
    if not 4 < seconds < 20:
        return f"it took {seconds:.1f} s"
    return None


def main():
    commands = written()
    for must in (DEMO, TEST):
        if must not in commands:
            print(f"README.md does not say `{must}`; it says {commands}")
            return 1
    for command in (DEMO, TEST):
        print(f"$ {command}", flush=True)
        reason = demo(command) if command == DEMO else None
        if command == TEST and subprocess.run(command.split()).returncode != 0:
            reason = "a test failed"
        if reason:
            print(f"`{command}`: {reason}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
