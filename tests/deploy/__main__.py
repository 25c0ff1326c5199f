"""`python -m tests.deploy`: run docs/deploy.md on an empty machine, and check the files of deploy/.

Needs root, the programs of `tests.deploy.machine.PROGRAMS`, and a
package index. Ends with status 1 and a sentence when something does not hold.
"""

import os
import sys
import tempfile
from pathlib import Path
from time import monotonic

os.environ |= {
    "DEMONSTRATION": "true",
    "DJANGO_SETTINGS_MODULE": "portal.settings",
    "LOG_LEVEL": "CRITICAL",
}
_data = tempfile.TemporaryDirectory(prefix="portal-deploy-")
os.environ["DATA_DIR"] = f"{_data.name}/data"

import django  # noqa: E402 (the settings need the environment)

django.setup()

from tests.deploy.journey import Journey  # noqa: E402
from tests.deploy.machine import Machine, missing_programs  # noqa: E402
from tests.deploy.written import checks  # noqa: E402


def main() -> None:
    missing = missing_programs()
    if missing:
        sys.exit("\n".join(missing))
    Path(_data.name).chmod(0o711)  # as root, PostgreSQL runs as a user of its own
    machine = Machine(Path(_data.name) / "machine")
    steps = Journey(machine).steps()
    try:
        for step in [*steps[:1], *checks(machine), *steps[1:]]:
            begun = monotonic()
            print(f"- {step.__name__.replace('_', ' ')}", flush=True)
            step()
            print(f"    {monotonic() - begun:.1f} s", flush=True)
    except AssertionError:
        for path in machine.logs():
            print(f"\n{path}:\n{path.read_text(errors='replace')[-1500:]}", file=sys.stderr)
        raise
    finally:
        machine.stop()
    print(f"{len(steps) + len(checks(machine))} passed, 0 failed")


if __name__ == "__main__":
    main()
