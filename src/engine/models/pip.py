"""A wheel from a byte on, on standard output behind a line that says which byte is its first, fetched by the inside of pip as its user has configured it.

The arguments are those of pip download. FRAMESQL_PACKAGE is the package, FRAMESQL_VERSION its release, FRAMESQL_FROM the byte. Where nothing is printed this pip cannot do it, or
the index did not answer.
"""

import os
import sys

from pip._internal.cli.cmdoptions import make_target_python
from pip._internal.commands import create_command
from pip._internal.network.utils import raise_for_status
from pip._vendor.packaging.specifiers import SpecifierSet

BLOCK = 1 << 16


def main(package, version, start):
    command = create_command("download")
    with command.main_context():
        options, _ = command.parse_args(sys.argv[1:])
        session = command.get_default_session(options)
        finder = command._build_package_finder(options=options, session=session, target_python=make_target_python(options))
        best = finder.find_best_candidate(package, specifier=SpecifierSet(f"=={version}")).best_candidate
        address = best.link.url.split("#", 1)[0]

        def get(headers):
            return session.get(address, headers={"Accept-Encoding": "identity", **headers}, stream=True)

        answer = get({"Range": f"bytes={start}-"} if start else {})
        if answer.status_code == 416:
            # Nothing is behind that byte, so that the bytes that are there are of something else.
            answer = get({})
        raise_for_status(answer)
        first = answer.headers["Content-Range"].split()[1].split("-")[0] if answer.status_code == 206 else "0"
        out = sys.stdout.buffer
        out.write(f"{int(first)}\n".encode())
        while block := answer.raw.read(BLOCK):
            out.write(block)
        out.flush()


try:
    main(os.environ["FRAMESQL_PACKAGE"], os.environ["FRAMESQL_VERSION"], int(os.environ["FRAMESQL_FROM"]))
except Exception as error:
    sys.exit(str(error))
