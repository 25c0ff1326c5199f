"""What a process tells of its pool of connections to PostgreSQL."""

from django.db import connection

from portal.metrics.instruments import POOL_TIMEOUTS
from portal.metrics.node import gauge

_stats: dict[str, int] = {}


def look() -> None:
    """Read what the pool counts; there is none on SQLite."""
    pool = getattr(connection, "pool", None)
    if pool is None:
        return
    before = _stats.get("requests_errors", 0)
    _stats.update(pool.get_stats())
    failed = _stats.get("requests_errors", 0) - before
    if failed:
        POOL_TIMEOUTS.add(count=failed)


def _told(name: str) -> float | None:
    return float(_stats.get(name, 0)) if _stats else None


gauge("database_pool_max", "Most connections that a process may open.", lambda: _told("pool_max"))
gauge("database_pool_open", "Connections that a process has open.", lambda: _told("pool_size"))
gauge(
    "database_pool_in_use",
    "Connections that are in use.",
    lambda: float(_stats["pool_size"] - _stats["pool_available"]) if _stats else None,
)
gauge(
    "database_pool_waiting",
    "Requests that wait for a connection.",
    lambda: _told("requests_waiting"),
)
