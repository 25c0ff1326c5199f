"""The cache that processes share, and its replacement while it is away."""

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, override

from django.conf import settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache

from portal.metrics.instruments import CACHE_ERRORS
from portal.metrics.node import gauge

logger = logging.getLogger("portal.cache")

TIMEOUT_SECONDS = 0.25
"""Seconds that the cache gets to take a connection, and to answer."""

PROMPT_SECONDS = 0.05
"""Seconds that a program waits for the cache in all; people wait for TIMEOUT_SECONDS at each step.
"""

PAUSE_SECONDS = 2
"""Seconds for which a process does not use a cache that did not answer."""

WARNING_SECONDS = 60
"""Seconds between two lines in the log of one process while the cache is away."""

MAX_ENTRIES = 100_000
"""Entries that a process keeps: one for each client address and limit."""


class SharedCache(RedisCache):
    """Django's Redis cache that falls back to the memory of the process while Redis is away.

    Limits then count for each process alone, and everything else goes on.
    """

    def __init__(self, server: str | list[str], params: dict[str, Any]) -> None:
        # Seven megabytes that a process without a shared cache does not need.
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.exceptions import ConnectionError as RedisConnectionError  # noqa: PLC0415
        from redis.exceptions import RedisError  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415

        self._failures = (RedisError, OSError)
        options = {
            "socket_connect_timeout": TIMEOUT_SECONDS,
            "socket_timeout": TIMEOUT_SECONDS,
            # Once more on a new connection where the server has ended the one that was kept.
            "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
            **params.get("OPTIONS", {}),
        }
        super().__init__(server, params | {"OPTIONS": options})
        # LocMemCache shares what has the same name between the threads of this process.
        memory = {key: value for key, value in params.items() if key != "OPTIONS"}
        self._memory = LocMemCache(
            "while the shared cache is away", memory | {"OPTIONS": {"MAX_ENTRIES": MAX_ENTRIES}}
        )

    def _ask[T](self, shared: Callable[[], T], memory: Callable[[], T]) -> T:
        """Return the answer of the shared cache, or of the memory while that one is away."""
        if _absence.lasts():
            return memory()
        try:
            return shared()
        except self._failures as error:
            _absence.begin(error)
            return memory()

    @override
    def add(
        self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: Any = None
    ) -> bool:
        return self._ask(
            lambda: super(SharedCache, self).add(key, value, timeout, version),
            lambda: self._memory.add(key, value, timeout, version),
        )

    @override
    def get(self, key: str, default: Any = None, version: Any = None) -> Any:
        return self._ask(
            lambda: super(SharedCache, self).get(key, default, version),
            lambda: self._memory.get(key, default, version),
        )

    @override
    def set(
        self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: Any = None
    ) -> None:
        self._ask(
            lambda: super(SharedCache, self).set(key, value, timeout, version),
            lambda: self._memory.set(key, value, timeout, version),
        )

    @override
    def touch(self, key: str, timeout: float | None = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        return self._ask(
            lambda: super(SharedCache, self).touch(key, timeout, version),
            lambda: self._memory.touch(key, timeout, version),
        )

    @override
    def delete(self, key: str, version: Any = None) -> bool:
        return self._ask(
            lambda: super(SharedCache, self).delete(key, version),
            lambda: self._memory.delete(key, version),
        )

    @override
    def get_many(self, keys: Iterable[str], version: Any = None) -> dict[str, Any]:
        keys = list(keys)
        return self._ask(
            lambda: super(SharedCache, self).get_many(keys, version),
            lambda: self._memory.get_many(keys, version),
        )

    @override
    def has_key(self, key: str, version: Any = None) -> bool:
        return self._ask(
            lambda: super(SharedCache, self).has_key(key, version),
            lambda: self._memory.has_key(key, version),
        )

    @override
    def incr(self, key: str, delta: int = 1, version: Any = None) -> int:
        return self._ask(
            lambda: super(SharedCache, self).incr(key, delta, version),
            lambda: self._memory.incr(key, delta, version),
        )

    @override
    def set_many(
        self,
        data: dict[str, Any],
        timeout: float | None = DEFAULT_TIMEOUT,
        version: Any = None,
    ) -> list[str]:
        return self._ask(
            lambda: super(SharedCache, self).set_many(data, timeout, version),
            lambda: self._memory.set_many(data, timeout, version),
        )

    @override
    def delete_many(self, keys: Iterable[str], version: Any = None) -> None:
        keys = list(keys)
        self._ask(
            lambda: super(SharedCache, self).delete_many(keys, version),
            lambda: self._memory.delete_many(keys, version),
        )

    @override
    def clear(self) -> None:
        self._memory.clear()
        self._ask(super().clear, lambda: None)


class _Absence:
    """Until when this process does not use the cache, and logs nothing about it (monotonic)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = self._quiet_until = float("-inf")

    def lasts(self) -> bool:
        """Return whether the cache failed to answer less than PAUSE_SECONDS ago."""
        return monotonic() < self._until

    def begin(self, error: Exception) -> None:
        """Start a pause; log it when the last line is WARNING_SECONDS old."""
        CACHE_ERRORS.add()
        with self._lock:
            now = monotonic()
            self._until = now + PAUSE_SECONDS
            if now < self._quiet_until:
                return
            self._quiet_until = now + WARNING_SECONDS
        logger.warning(
            "The cache is away, each process counts for itself: %s: %s", type(error).__name__, error
        )


_absence = _Absence()
_asking = ThreadPoolExecutor(4, "cache")
gauge(
    "cache_fallback",
    "Whether a process counts for itself because the shared cache is away.",
    lambda: float(_absence.lasts()) if settings.CACHE_URL else None,
)


def promptly[T](ask: Callable[[], T]) -> T:
    """Return what `ask` makes of the cache, or of the memory where that takes PROMPT_SECONDS."""
    if not settings.CACHE_URL or _absence.lasts():
        return ask()
    answer = _asking.submit(ask)
    try:
        return answer.result(PROMPT_SECONDS)
    except TimeoutError:
        answer.cancel()
        _absence.begin(TimeoutError(f"no answer within {PROMPT_SECONDS} s"))
        return ask()
