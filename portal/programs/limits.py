"""Limits on how often one client address, or one service token, may do something.

A limit never depends on what anybody can put into a request: a limit on a key or an account would
let others lock its owner out. Only the address counts, and of IPv6 its /64, which is what one
customer gets; or a token that has been authenticated, which nobody else has.
"""

import ipaddress
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

from portal.programs.client_address import client_address, parsed

WINDOW_SECONDS = 60
"""Seconds in which a limit counts; windows begin at full minutes."""

MAX_COUNTS = 100_000
"""Counts that a process keeps without a shared cache; where there are more, all begin anew."""


class Standing(NamedTuple):
    """How a client stands with a limit after a request that was counted."""

    left: int
    """Requests that it has left in this window."""
    seconds: int
    """Seconds until the next window begins."""
    is_exceeded: bool


@dataclass(slots=True)
class Limit:
    """At most `per_minute` times in a minute for one client; 0 stands for no limit."""

    name: str
    per_minute: int

    def exceeded(self, request: HttpRequest) -> int:
        """Count this request for its address; return 0, or in how many seconds it may come again.

        Counts are shared through CACHE_URL between processes; without it, and while that cache
        is away (portal.server.cache), each process counts for itself.
        """
        if not self.per_minute:
            return 0
        standing = self.count(client(client_address(request)))
        return standing.seconds if standing.is_exceeded else 0

    def count(self, who: str) -> Standing:
        """Count a request of `who`, as `exceeded` does, and return how that one stands."""
        now = time.time()
        window = int(now // WINDOW_SECONDS)
        if settings.CACHE_URL:
            count = _shared(f"limit:{self.name}:{window}:{who}")
        else:
            count = _own.count(window, (self.name, who))
        seconds = max(1, int((window + 1) * WINDOW_SECONDS - now) + 1)
        return Standing(max(0, self.per_minute - count), seconds, count > self.per_minute)


@lru_cache(maxsize=1024)
def client(address: str) -> str:
    """Return what stands for one client: the IPv4 address, or of IPv6 the /64."""
    found = parsed(address)
    if found is None:
        return "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.IPv6Network((found, 64), strict=False).network_address)


class _Own:
    """The counts of one process in one window."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window = 0
        self._counts: dict[tuple[str, str], int] = {}

    def count(self, window: int, what: tuple[str, str]) -> int:
        with self._lock:
            if window != self._window or len(self._counts) >= MAX_COUNTS:
                self._window, self._counts = window, {}
            count = self._counts[what] = self._counts.get(what, 0) + 1
        return count

    def clear(self) -> None:
        with self._lock:
            self._counts = {}


_own = _Own()


def clear() -> None:
    """Forget what this process has counted without a shared cache."""
    _own.clear()


def _shared(name: str) -> int:
    with suppress(ValueError):  # It is the first of its window.
        return cache.incr(name)
    if cache.add(name, 1, timeout=2 * WINDOW_SECONDS):
        return 1
    return cache.incr(name)
