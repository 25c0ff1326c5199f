"""The machine: disks and open files."""

import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

from portal.diagnosis.findings import Finding, ok, reason, warning, wrong
from portal.server import conditions

NOTED_FREE_BYTES = 1024 * 1024 * 1024
"""Free bytes below which somebody should look."""


def disks() -> Iterator[Finding]:
    """Tell how much room there is where this process writes."""
    places = {**conditions.folders(), "temporary files": Path(tempfile.gettempdir())}
    for what, folder in places.items():
        try:
            free = conditions.free_bytes(folder)
        except OSError as error:
            yield wrong(f"{folder} ({what}) cannot be looked at: {reason(error)}.")
            continue
        sentence = f"{folder} ({what}) has {free / 2**30:.1f} GiB left"
        if not os.access(folder, os.W_OK):
            yield wrong(f"{folder} ({what}) cannot be written: give it to the portal's user.")
        elif free < conditions.MIN_FREE_BYTES:
            yield wrong(f"{sentence}: make room.")
        elif free < NOTED_FREE_BYTES:
            yield warning(f"{sentence}: make room.")
        else:
            yield ok(f"{sentence}.")


def open_files() -> Iterator[Finding]:
    """Tell whether the system allows as many files as the server needs."""
    from portal.server.node import NEEDED_FILES  # noqa: PLC0415 (loads granian)

    _, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)  # the server raises its limit to this
    if allowed != resource.RLIM_INFINITY and allowed < NEEDED_FILES:
        yield wrong(
            f"A process of this user may open {allowed} files, and the server needs "
            f"{NEEDED_FILES}: set LimitNOFILE={NEEDED_FILES} in systemd, or ulimit -n."
        )
    else:
        yield ok(f"A process may open {'any number of' if allowed < 0 else allowed} files.")
