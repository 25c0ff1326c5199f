"""People make way for terminals, and still get their turn."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter, thread_time

import pytest

from portal.server import courtesy
from portal.server.courtesy import Courtesy

SOON = 5
"""Seconds after which something will not happen any more."""


@pytest.fixture
def long_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one terminal's request keep the loop busy for the whole test."""
    monkeypatch.setattr(courtesy, "BUSY_SECONDS", SOON)


@contextmanager
def another(way: Courtesy, *, while_terminals_ask: bool) -> Iterator[threading.Event]:
    """Let another thread ask for its turn; yield what is set when it has it."""
    has_turn = threading.Event()

    def ask() -> None:
        if while_terminals_ask:
            way.note()
        with way.turn():
            has_turn.set()

    thread = threading.Thread(target=ask)
    thread.start()
    yield has_turn
    thread.join(SOON)


def test_pages_are_made_together_while_no_terminal_asks() -> None:
    way = Courtesy()
    with way.turn(), another(way, while_terminals_ask=False) as has_turn:
        assert has_turn.wait(SOON)


def test_one_page_waits_for_the_other_while_terminals_ask(
    monkeypatch: pytest.MonkeyPatch, long_busy: None
) -> None:
    monkeypatch.setattr(courtesy, "PATIENCE_SECONDS", SOON)
    way = Courtesy()
    way.note()
    with ExitStack() as waiting:
        with way.turn():
            has_turn = waiting.enter_context(another(way, while_terminals_ask=True))
            assert not has_turn.wait(0.05)
        assert has_turn.wait(SOON)


def test_a_page_does_not_wait_for_one_that_takes_long(long_busy: None) -> None:
    way = Courtesy()
    way.note()
    with way.turn(), another(way, while_terminals_ask=True) as has_turn:
        assert has_turn.wait(SOON)


def test_no_page_is_made_for_as_long_as_one_has_computed(long_busy: None) -> None:
    way = Courtesy()
    way.note()
    with way.turn():
        end = thread_time() + 0.03
        while thread_time() < end:
            pass
    left = perf_counter()
    with way.turn():
        assert perf_counter() - left >= 0.029
