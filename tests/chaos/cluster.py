"""A PostgreSQL server of one experiment, which may be stopped, killed and frozen."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.chaos.nodes import family
from tests.support import postgres
from tests.support.server import free_port

MAX_CONNECTIONS = 200


class Cluster:
    """Listens on `port` of 127.0.0.1; what is committed is on the disk."""

    def __init__(self, folder: Path, programs: postgres.Server) -> None:
        self.folder = folder
        self.programs, self.user = programs.programs, programs.user
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def make(self, *options: str) -> None:
        """Make it empty, with these options of `initdb`."""
        self.folder.mkdir()
        if self.user:
            shutil.chown(self.folder, self.user)
        always = ("--auth=trust", "--encoding=utf8", "-U", "postgres")
        self.run("initdb", *always, *options, "-D", self.folder)

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run one of PostgreSQL's programs as the user who owns the server; return its output."""
        return subprocess.run(
            [self.programs / program, *arguments],
            check=True,
            user=self.user,
            cwd="/",
            capture_output=True,
            text=True,
        ).stdout

    def psql(self, command: str) -> str:
        return self.run("psql", "--no-psqlrc", "-Atqc", command, self.url)

    def copy(self, primary_port: int) -> None:
        """Make it a standby of the server on a port, which it follows when it is started."""
        self.folder.mkdir(mode=0o700)
        if self.user:
            shutil.chown(self.folder, self.user)
        source = f"host=127.0.0.1 port={primary_port} user=postgres"
        options = ["--write-recovery-conf", "--checkpoint=fast"]
        self.run("pg_basebackup", "-D", self.folder, "-d", source, *options)

    def promote(self) -> None:
        """Let a standby take changes, and return when it does."""
        self.run("pg_ctl", "-w", "-D", self.folder, "promote")

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "''",
            "max_connections": MAX_CONNECTIONS,
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = self.folder / "server.log"
        self.run("pg_ctl", "-w", "-D", self.folder, "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop it, which ends its connections."""
        self.run("pg_ctl", "-w", "-m", "fast", "-D", self.folder, "stop")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        first = int((self.folder / "postmaster.pid").read_text().split()[0])
        for pid in family(first):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def remove(self) -> None:
        """Stop it however it is, and remove its files."""
        with suppress(OSError):
            self.send(signal.SIGCONT)
            self.send(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
