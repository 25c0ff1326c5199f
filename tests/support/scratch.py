"""A place for commands that start portals of their own: `tests.bench` and `tests.chaos`."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import postgres


@contextmanager
def scratch(prefix: str, *, log_level: str) -> Iterator[tuple[Path, postgres.Server]]:
    """Yield a folder and a running PostgreSQL server that are gone afterwards.

    The environment of this process, and of those that it starts, is a demonstration's there.
    """
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root, PostgreSQL runs as a user of its own and passes through
        os.environ |= {
            "DEMONSTRATION": "true",
            "DATA_DIR": str(folder / "data"),  # which the portal closes to all others
            "LOG_LEVEL": log_level,
            "DJANGO_SETTINGS_MODULE": "portal.settings",
        }
        os.environ.pop("DATABASE_URL", None)
        server = postgres.Server(folder / "postgres")
        try:
            yield folder, server
        finally:
            server.stop()
