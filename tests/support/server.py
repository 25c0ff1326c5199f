"""The portal as it runs for people: a server process of its own on the test database."""

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

from portal.server.serve import node

READY_WITHIN = 30
STOPPED_WITHIN = 10
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LivePortal:
    """A granian process with the portal, at `url`; its output goes to `log_path`."""

    root = Path(__file__).parents[2]
    """The folder of the code that runs."""

    def __init__(self, *, folder: Path, database_url: str, **variables: str) -> None:
        self.port = free_port()
        # `localhost`, not 127.0.0.1: passkeys need a name.
        self.url = f"http://localhost:{self.port}"
        self.log_path = folder / f"portal-{self.port}.log"
        self.environment = os.environ | {
            "DATABASE_URL": database_url,
            "MIGRATION_DATABASE_URL": "",
            "PORT": str(self.port),
            "PUBLIC_URL": self.url,
            **variables,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return the command of the process."""
        return node("127.0.0.1", self.port, 1)

    def start(self, *, until: str = "/healthz/ready") -> None:
        """Start the process and return when `until` answers 200."""
        self.launch()
        self.await_ready(until)

    def launch(self) -> None:
        """Start the process, and wait for nothing."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                env=self.environment,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def await_ready(self, path: str = "/healthz/ready") -> None:
        """Return when the path answers 200."""
        end = monotonic() + READY_WITHIN
        last = "no answer"
        while monotonic() < end:
            self.must_live()
            try:
                with _direct.open(f"{self.url}{path}", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as error:
                last = f"answer {error.code}"
                error.close()
            except OSError as error:
                last = str(error)
            sleep(0.1)
        log_text = self.log()
        self.stop()
        message = f"The portal was not ready in {READY_WITHIN} s ({last}). Its log:\n{log_text}"
        raise TimeoutError(message)

    def stop(self, *, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process and its children: politely, or with `how=SIGKILL` as a crash would."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)
        try:
            self.process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(STOPPED_WITHIN)
        self.process = None

    def must_live(self) -> None:
        """Raise an error with the log when the process has died."""
        if self.process is not None and self.process.poll() is not None:
            status = self.process.returncode
            raise RuntimeError(f"The portal died with status {status}. Its log:\n{self.log()}")

    def log(self, *, start: int = 0) -> str:
        """Return the output of the process, from a byte position on."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[start:].decode(errors="replace")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
