"""A server and its worker as one: they start together and end together."""

import logging
import signal
import subprocess
import threading

logger = logging.getLogger("portal.server")

LOOK_SECONDS = 1
"""Seconds between two checks that both are running."""

FROM_A_TERMINAL = {signal.SIGINT, signal.SIGHUP}
"""Signals that a terminal sends to all its processes: Ctrl-C, and being closed."""

MAX_STOP_SECONDS = 15
"""Seconds that a process gets to end by itself."""


def supervise(*, server: list[str], worker: list[str]) -> int:
    """Run both commands until the server ends or a signal arrives; return the server's status.

    A worker that ends earlier is started again. Both get SIGTERM at the end.
    """
    stop = threading.Event()
    for number in {signal.SIGTERM, *FROM_A_TERMINAL}:
        signal.signal(number, lambda *_: stop.set())
    serving, working = _start(server), _start(worker)
    while serving.poll() is None and not stop.wait(LOOK_SECONDS):
        if working.poll() is not None:
            logger.error("The worker ended with status %d; it is started again", working.returncode)
            working = _start(worker)
    for process in (serving, working):
        process.terminate()
    for process in (serving, working):
        _await_end(process)
    return serving.returncode


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # Child processes inherit the blocked signals, so that only this process stops them: a worker of
    # granian that gets two signals to stop never ends.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_A_TERMINAL)
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 (fixed program)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _await_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(MAX_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
