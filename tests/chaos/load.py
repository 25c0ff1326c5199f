"""Sixteen clients that generate, download, check and reset, each in a session of its own."""

import base64
import http.client
import json
import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Self
from urllib.parse import urlencode

from tests.bench.people import CSRF
from tests.chaos.ledger import Handed, Ledger

CLIENTS = 16
PAUSE_SECONDS = 0.05
"""Pause of a client between two requests: there is a load, not a queue."""
PAUSE_AFTER_FAILURE_SECONDS = 0.3
TIMEOUT_SECONDS = 15
RESETS = 8
"""Resets of a subscription before its client generates keys for the next one."""
SLOTS = ("primary", "secondary")
CHECK = "/public/checklicense"
JSON = {"Content-Type": "application/json; charset=utf-8"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GOOD = {200, 302}
NO_ANSWER = 0
"""Instead of a status: refused, cut or too late."""


@dataclass(frozen=True)
class Asked:
    """One request and what came of it; times of the monotonic clock in seconds."""

    what: str
    at: float
    seconds: float
    status: int
    headers: Any = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def is_good(self) -> bool:
        return self.status in GOOD

    @property
    def end(self) -> float:
        return self.at + self.seconds


class Wire:
    """A connection that is kept open, to one of several nodes: the next one where one is away."""

    def __init__(self, ports: Sequence[int], *, timeout: float = TIMEOUT_SECONDS) -> None:
        self.ports = ports
        self.place = random.randrange(len(ports))
        self.timeout = timeout
        self.connection: http.client.HTTPConnection | None = None

    def ask(
        self,
        what: str,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Asked:
        """Return the answer; no answer has the status NO_ANSWER."""
        begun = monotonic()
        try:
            if self.connection is None:
                port = self.ports[self.place % len(self.ports)]
                self.connection = http.client.HTTPConnection(
                    "127.0.0.1", port, timeout=self.timeout
                )
            self.connection.request(method, path, body, {"Host": "localhost", **(headers or {})})
            answer = self.connection.getresponse()
            told = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            self.place += 1
            return Asked(what, begun, monotonic() - begun, NO_ANSWER, body=repr(error).encode())
        return Asked(what, begun, monotonic() - begun, answer.status, answer.headers, told)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@dataclass(frozen=True)
class Person:
    """Whose session a client has, and subscriptions of theirs without license keys."""

    cookies: str
    subscriptions: list[str]
    check: dict[str, str]
    """A terminal's request but for what depends on the license key."""


class Load:
    """Clients that work on the nodes at these ports from `with` until its end."""

    def __init__(self, ports: Sequence[int], people: Iterable[Person], ledger: Ledger) -> None:
        self.ports = ports
        self.ledger = ledger
        self.asked: list[Asked] = []
        self.ended = threading.Event()
        self.clients = [Client(self, person) for person in people]

    def __enter__(self) -> Self:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for client in self.clients:
            client.join()

    def between(self, begin: float, end: float) -> list[Asked]:
        """Return the requests that were sent in that time."""
        return [asked for asked in self.asked if begin <= asked.at < end]

    def first_good_after(self, moment: float, of: Callable[[Asked], bool] = bool) -> float:
        """Return the seconds until the first good answer to a request that was sent later."""
        ends = [each.end for each in self.asked if each.at >= moment and each.is_good and of(each)]
        return min(ends, default=float("inf")) - moment


class Ended(Exception):
    """The load is over."""


class Client(threading.Thread):
    """One of them. What was not answered is looked at again, as a person would."""

    def __init__(self, load: Load, person: Person) -> None:
        super().__init__(daemon=True)
        self.load = load
        self.person = person
        self.wire = Wire(load.ports)
        self.has_answer = True

    def run(self) -> None:
        try:
            for subscription in self.person.subscriptions:
                self.work_on(subscription)
            raise AssertionError("Prepare more subscriptions: these are used up.")
        except Ended:
            pass
        finally:
            self.wire.close()

    def work_on(self, subscription: str) -> None:
        """Generate, and reset and check in turn."""
        self.post("generate", subscription, {"usage": "org", "holder_name": "Contoso"})
        keys = {slot: self.download(subscription, slot) for slot in SLOTS}
        for turn in range(RESETS):
            slot = SLOTS[turn % 2]
            old = keys[slot]
            self.check(keys[SLOTS[0]])
            self.check(keys[SLOTS[1]])
            self.ask("page", "GET", f"/subscriptions/{subscription}/")
            form = {"overlap": "now", "expected_jti": old.jti}
            reset = self.post(f"reset/{slot}", subscription, form)
            if reset.status == 302:
                self.load.ledger.reset.add(old.jti)
            keys[slot] = self.download(subscription, slot)
            if reset.status == 302 and keys[slot] == old:
                self.load.ledger.wrong.append(f"A reset of {old.jti} was lost.")
            self.check(keys[slot])

    def ask(self, what: str, method: str, path: str, *content: Any) -> Asked:
        """Ask and note it. Raises Ended when the load is over."""
        pause = PAUSE_SECONDS if self.has_answer else PAUSE_AFTER_FAILURE_SECONDS
        if self.load.ended.wait(pause):
            raise Ended
        body, headers = content or (None, {})
        cookies = {} if what == "check" else {"Cookie": self.person.cookies}
        asked = self.wire.ask(what, method, path, body, {**cookies, **headers})
        self.has_answer = asked.status not in {503, NO_ANSWER}
        self.load.asked.append(asked)
        return asked

    def post(self, action: str, subscription: str, form: dict[str, str]) -> Asked:
        """Send a form once: whether it was done is seen by Download."""
        what = action.partition("/")[0]
        path = f"/subscriptions/{subscription}/{action}/"
        asked = self.ask(what, "POST", path, urlencode(CSRF | form).encode(), FORM)
        if asked.status == 302 and what == "generate":
            self.load.ledger.generated.add(subscription)
        return asked

    def download(self, subscription: str, slot: str) -> Handed:
        """Return the key of the slot, and generate again what turns out not to be there."""
        while True:
            asked = self.ask("download", "GET", f"/subscriptions/{subscription}/download/{slot}/")
            if asked.status == 200:
                break
            if asked.status == 404:
                self.post("generate", subscription, {"usage": "org", "holder_name": "Contoso"})
        token = json.loads(asked.body)["key"]
        key = handed(token, subscription, slot, self.person.check)
        self.load.ledger.handed.setdefault(key.jti, key)
        return self.load.ledger.handed[key.jti]

    def check(self, key: Handed) -> Asked:
        """Have a key checked that is current; only an answer that says otherwise is wrong."""
        asked = self.ask("check", "POST", CHECK, key.check, JSON)
        if asked.status not in {200, 503, NO_ANSWER}:
            self.load.ledger.wrong.append(f"The check of {key.jti}: {told(asked)}")
        return asked


def handed(token: str, subscription: str, slot: str, check: dict[str, str]) -> Handed:
    """Return a key as the ledger has it; `check` is what does not depend on the key."""
    claims = claims_of(token)
    body = {
        **check,
        "key": token,
        "key_type": f"{slot}_key",
        "subject": subscription,
        "authorized_application_id": claims["auth_apps"],
    }
    wire = json.dumps(body).encode()
    return Handed(claims["jti"], token, subscription, slot, claims["iat"], wire)


def header_of(token: str) -> dict[str, Any]:
    return _decoded(token.split(".", maxsplit=1)[0])


def claims_of(token: str) -> dict[str, Any]:
    return _decoded(token.split(".")[1])


def _decoded(part: str) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return members


def told(asked: Asked) -> str:
    """Return status and the beginning of an answer: of a page its title."""
    text = asked.body.decode(errors="replace")
    title = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    return f"{asked.what} {asked.status} {' '.join((title[1] if title else text[:200]).split())}"


def refusals_of(ledger: Ledger, port: int) -> Iterator[str]:
    """Check every key that was handed out; yield what is no right verdict, in sentences.

    A key that was handed out last passes or was replaced by a reset that nobody answered; every
    other was replaced.
    """
    wire = Wire([port])
    last = {key.jti for key in ledger.last().values()}
    for key in list(ledger.handed.values()):
        asked = wire.ask("check", "POST", CHECK, key.check, JSON)
        result = json.loads(asked.body)["result"] if asked.body.startswith(b"{") else told(asked)
        if result != "replaced" and not (result == "valid" and key.jti in last):
            yield f"The check of {key.jti} says {result}."
    wire.close()


@contextmanager
def watching(port: int, path: str, seconds: float = 0.2) -> Iterator[list[Asked]]:
    """Ask for a path again and again on new connections; yield the growing list of answers."""
    found: list[Asked] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(seconds):
            wire = Wire([port], timeout=TIMEOUT_SECONDS)
            found.append(wire.ask(path, "GET", path))
            wire.close()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
