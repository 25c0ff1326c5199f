"""Transactions of SQLite, each in its turn."""

import sqlite3
import threading
import time
from typing import Any, override

from django.db import OperationalError
from django.db.backends.sqlite3 import base

RETRY_SECONDS = 0.001
"""How often the one thread of a process whose turn it is asks for the write lock."""

_turns: dict[str, threading.Lock] = {}
"""By database, the lock of whoever writes in this process, or is the next to write."""


_Untyped: Any = base.DatabaseWrapper  # whose stubs leave out what is overridden here


class DatabaseWrapper(_Untyped):
    """A connection whose transactions wait for those of other threads before they ask SQLite.

    SQLite's own busy handler sleeps longer each time, and whoever happens to wake up gets the lock:
    some would wait for seconds while others come and go. Here the threads of a process queue, and
    the first of them asks at a steady pace, so that those of other processes have the same chance.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._turn: threading.Lock | None = None

    @override
    def _start_transaction_under_autocommit(self) -> None:
        """Raise OperationalError when the database stays locked for the busy time-out."""
        if self.transaction_mode != "IMMEDIATE":
            super()._start_transaction_under_autocommit()
            return
        [milliseconds] = self.connection.execute("PRAGMA busy_timeout").fetchone()
        end = time.monotonic() + milliseconds / 1000
        turn = _turns.setdefault(str(self.settings_dict["NAME"]), threading.Lock())
        if not turn.acquire(timeout=milliseconds / 1000):
            raise OperationalError("database is locked")
        try:
            self.connection.execute("PRAGMA busy_timeout = 0")
            self._begin(end)
        except BaseException:
            turn.release()
            raise
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {milliseconds:d}")
        self._turn = turn

    def _begin(self, end: float) -> None:
        while True:
            try:
                super()._start_transaction_under_autocommit()
            except OperationalError as error:
                if not _is_locked(error) or time.monotonic() >= end:
                    raise
                time.sleep(RETRY_SECONDS)
            else:
                return

    @override
    def _commit(self) -> None:
        super()._commit()
        self._end_turn()

    @override
    def _rollback(self) -> None:
        super()._rollback()
        self._end_turn()

    @override
    def _close(self) -> None:
        try:
            super()._close()
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.release()


def _is_locked(error: OperationalError) -> bool:
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY
