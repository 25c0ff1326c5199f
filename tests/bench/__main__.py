"""`python -m tests.bench [--quick] [SUBJECT ...]`: measure, and print tables in Markdown."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.api import api
from tests.bench.bench import FULL, QUICK, Bench
from tests.bench.changes import changes, sign_in
from tests.bench.checks import checks, scale
from tests.bench.lists import lists
from tests.bench.measuring import run_python
from tests.bench.pages import pages
from tests.bench.start import start
from tests.support.scratch import scratch

SUBJECTS = {
    "checks": checks,
    "scale": scale,
    "pages": pages,
    "changes": changes,
    "api": api,
    "sign_in": sign_in,
    "lists": lists,
    "start": start,
}


def machine() -> str:
    """Describe the machine in a line."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.split()[1]
    return (
        f"{os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, wrk {version}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller databases, shorter runs")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    options = parser.parse_args()
    unknown = set(options.subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"There is no {', '.join(sorted(unknown))}.")
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing: `make bench` installs it; on Debian, apt-get install wrk.")
    with scratch("portal-bench-", log_level="WARNING") as (folder, server):
        print(machine())
        run_python(["django", "collectstatic", "--no-input", "--verbosity=0"], {})
        bench = Bench(folder, QUICK if options.quick else FULL, server)
        for subject in options.subjects or SUBJECTS:
            SUBJECTS[subject](bench)


if __name__ == "__main__":
    main()
