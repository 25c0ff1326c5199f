"""A server and its worker as one: they start together and end together."""

import logging
import os
import signal
import subprocess
import threading

logger = logging.getLogger("portal.server")

LOOK_SECONDS = 0.2
"""Seconds between two checks that both are running."""

FROM_A_TERMINAL = {signal.SIGINT, signal.SIGHUP}
"""Signals that a terminal sends to all its processes: Ctrl-C, and being closed."""

SI_KERNEL = 0x80
"""Sender of a signal: the terminal itself, not somebody who calls kill(2) (sigaction(2))."""

MAX_STOP_SECONDS = 15
"""Seconds that a process gets to end by itself."""


def supervise(*, server: list[str], worker: list[str]) -> int:
    """Run both commands until the server ends or a signal arrives; return the server's status.

    A worker that ends earlier is started again. Both get SIGTERM at the end. SIGHUP makes the
    server restart its processes one by one, and the worker start again; from a terminal that
    closes it is the end.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    had_terminal = _has_terminal()
    serving, working = _start(server), _start(worker)
    while serving.poll() is None and not stop.is_set():
        hung_up = signal.sigtimedwait({signal.SIGHUP}, LOOK_SECONDS)
        if hung_up is not None:
            if hung_up.si_code == SI_KERNEL or (had_terminal and not _has_terminal()):
                break
            serving.send_signal(signal.SIGUSR1)
            working.terminate()
            _await_end(working)
            working = _start(worker)
        elif working.poll() is not None:
            logger.error("The worker ended with status %d; it is started again", working.returncode)
            working = _start(worker)
    for process in (serving, working):
        process.terminate()
    for process in (serving, working):
        _await_end(process)
    return serving.returncode


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


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
