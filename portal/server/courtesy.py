"""How people's requests make way for terminals: fewer of them compute at once.

Each thread that computes is one more that the event loop has to share Python's lock with, several
times for each check: beside four of them checks kept a twelfth of their rate.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, sleep, thread_time

BUSY_SECONDS = 0.01
"""Terminals that ask again within this time keep the loop busy."""

PATIENCE_SECONDS = 0.25
"""How long a page waits for the one before it, which may be waiting for the database."""

MOST_REST_SECONDS = 0.05
"""How long no page computes after one that took longer than this."""


class Courtesy:
    """While terminals keep the loop busy, one page after the other, half of the time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._asked_at = self._rests_until = float("-inf")

    def note(self) -> None:
        """Note that a terminal asks."""
        self._asked_at = perf_counter()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Run what is inside when it is its turn, which is at once where the loop is not busy."""
        if perf_counter() - self._asked_at > BUSY_SECONDS:
            yield
            return
        has_turn = self._turn.acquire(timeout=PATIENCE_SECONDS)
        try:
            sleep(max(0.0, self._rests_until - perf_counter()))
            begun = thread_time()
            try:
                yield
            finally:
                used = thread_time() - begun
                self._rests_until = perf_counter() + min(used, MOST_REST_SECONDS)
        finally:
            if has_turn:
                self._turn.release()
