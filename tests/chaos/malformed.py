"""A million mutated tokens and bodies, and strange requests to every address as every role."""

import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from tests.bench.measuring import run_python
from tests.bench.people import CSRF
from tests.chaos.laboratory import Laboratory
from tests.chaos.nodes import Node
from tests.support.malformed import BODIES
from tests.support.mutations import mutated, mutated_bytes
from tests.support.strange import FIELDS, NASTY

CLIENTS = 4
PIPELINED = 16
"""Requests that a client sends at once; their answers come in the same order (RFC 9112 9.3.2)."""
MAX_GROWTH_MIB = 64
WARM_UP = 0.1
"""The share of the requests after which memory is measured first."""
MAX_VALUE = 4_000
"""Characters of a value in an address: the front refuses longer ones as a whole."""
METHODS = ("GET", "GET", "GET", "POST", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
ENDS_SESSIONS = ("accounts/logout", "end-session", "sessions", "delete-account", "password")
"""Parts of addresses that would make of a role an anonymous one."""


@dataclass
class Seen:
    """What came back: statuses, and in sentences what must not."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Sent:
    """One request, and whether 200 would be an acceptance of what was never issued."""

    wire: bytes
    about: str
    has_body: bool = True
    must_be_refused: bool = False


def malformed(laboratory: Laboratory) -> Iterator[str]:
    """Send them to both databases; yield what was accepted or failed, in sentences."""
    checks, others = (20_000, 4_000) if laboratory.is_quick else (1_000_000, 100_000)
    print(f"\n## {checks:,} malformed checks, {others:,} requests to every other address\n")
    print("| database | sent to | requests | a second | accepted | 5xx | memory MiB | statuses |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |", flush=True)
    for database, url in laboratory.databases("malformed"):
        file = laboratory.folder / "malformed.json"
        run_python(["tests.chaos.prepare_malformed", str(file)], {"DATABASE_URL": url})
        prepared = json.loads(file.read_text())
        limits = {"API_REQUESTS_PER_MINUTE": "0", "DATABASE_STATEMENT_SECONDS": "8"}
        node = Node(folder=laboratory.folder, database_url=url, **limits)
        node.start()
        try:
            for what, count, make in (
                ("the check", checks, check_requests),
                ("every other address", others, other_requests),
            ):
                begun = monotonic()
                send(node, int(count * WARM_UP), make, prepared)
                before = memory_of(node.processes)
                seen = send(node, count, make, prepared)
                growth = memory_of(node.processes) - before
                rate = count * (1 + WARM_UP) / (monotonic() - begun)
                failed = sum(n for status, n in seen.statuses.items() if status >= 500)
                statuses = ", ".join(
                    f"{status}: {n:,}" for status, n in seen.statuses.most_common()
                )
                accepted = sum("accepted" in sentence for sentence in seen.wrong)
                figures = f"{count:,} | {rate:,.0f} | {accepted} | {failed} | {growth:.0f}"
                print(f"| {database} | {what} | {figures} | {statuses} |", flush=True)
                yield from (f"{database}: {sentence}" for sentence in seen.wrong[:20])
                if growth >= MAX_GROWTH_MIB:
                    yield f"{database}: Memory grew by {growth:.0f} MiB at {what}."
            node.must_live()
        finally:
            node.stop()


def send(
    node: Node,
    count: int,
    make: Callable[[random.Random, dict[str, Any]], Sent],
    prepared: dict[str, Any],
) -> Seen:
    """Send so many requests from CLIENTS threads; return what came back."""
    seen, lock = Seen(), threading.Lock()

    def work(number: int) -> None:
        chance = random.Random(number)
        own, left, wire = Seen(), count // CLIENTS, None
        while left > 0:
            batch = [make(chance, prepared) for _ in range(min(PIPELINED, left))]
            left -= len(batch)
            waiting = batch
            while waiting:  # a connection that the front has closed is opened anew
                wire = wire or socket.create_connection(("127.0.0.1", node.port), timeout=30)
                waiting, wire = exchanged(wire, waiting, own)
        if wire:
            wire.close()
        with lock:
            seen.statuses += own.statuses
            seen.wrong += own.wrong

    threads = [threading.Thread(target=work, args=[number]) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def exchanged(
    wire: socket.socket, batch: list[Sent], seen: Seen
) -> tuple[list[Sent], socket.socket | None]:
    """Send a batch and read the answers; return what is left of it, and the wire if it is open."""
    answered = 0
    try:
        with wire.makefile("rb") as answers:
            wire.sendall(b"".join(sent.wire for sent in batch))
            for sent in batch:
                status, closes = one_answer(answers, has_body=sent.has_body)
                answered += 1
                judge(sent, status, seen)
                if closes:
                    wire.close()
                    return batch[answered:], None
    except (OSError, ValueError) as error:
        wire.close()
        seen.statuses[0] += 1
        if not answered:  # it was the first: nobody but this request is to blame
            seen.wrong.append(f"No answer ({error!r}) to {batch[0].about}")
            answered = 1
        return batch[answered:], None
    return [], wire


def one_answer(answers: BinaryIO, *, has_body: bool) -> tuple[int, bool]:
    """Read one answer; return its status, and whether the connection ends with it."""
    status = answers.readline().split(b" ", 2)
    if len(status) < 2:
        raise ValueError("The connection ended.")
    headers: dict[bytes, bytes] = {}
    while line := answers.readline().strip():
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    if has_body and int(status[1]) not in {204, 304}:
        if headers.get(b"transfer-encoding") == b"chunked":
            while size := int(answers.readline(), 16):
                answers.read(size + 2)
            answers.readline()
        else:
            answers.read(int(headers.get(b"content-length", b"0")))
    return int(status[1]), headers.get(b"connection", b"").lower() == b"close"


def judge(sent: Sent, status: int, seen: Seen) -> None:
    seen.statuses[status] += 1
    if status >= 500:
        seen.wrong.append(f"{status} for {sent.about}")
    elif status == 200 and sent.must_be_refused:
        seen.wrong.append(f"accepted: {sent.about}")


def check_requests(chance: random.Random, prepared: dict[str, Any]) -> Sent:
    """Return a check with a mutated token, a token of the corpus, or a mutated body."""
    valid: dict[str, Any] = prepared["body"]
    kind = chance.random()
    if kind < 0.6:
        token = mutated(chance, [valid["key"]])
        if chance.random() < 0.2:
            token = chance.choice(prepared["tokens"])
        body = json.dumps({**valid, "key": token}).encode("utf-8", "surrogatepass")
    elif kind < 0.98:
        body = json.dumps(valid).encode()
        for _ in range(chance.randint(1, 4)):
            body = mutated_bytes(chance, body)
    else:
        body = chance.choice([*BODIES.values()])
    return Sent(
        request("POST", "/public/checklicense", ["Content-Type: application/json"], body),
        f"a check with {body[:2_000]!r}",
        must_be_refused=differs(body, valid),
    )


def differs(body: bytes, valid: dict[str, Any]) -> bool:
    """Return whether a body says of the key what the valid one does not (contract.md section 3).

    The audience may be left out, and the object id of the consumer is not compared.
    """
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return True
    if not isinstance(read, dict):
        return True
    compared = [name for name in valid if name != "consumer_object_id"]
    if read.get("audience") is None:
        compared.remove("audience")
    return any(read.get(name) != valid[name] for name in compared)


def other_requests(chance: random.Random, prepared: dict[str, Any]) -> Sent:
    """Return a request to any other address, as any role, with values that nobody sends."""
    route = chance.choice(prepared["routes"])
    role = chance.choice([*prepared["roles"]])
    method = chance.choice(METHODS)
    if method != "GET" and any(part in route for part in ENDS_SESSIONS):
        method = "GET"
    path = "/" + filled(chance, route, prepared["values"])
    if chance.random() < 0.5:
        query = urlencode({chance.choice(FIELDS): value(chance) for _ in range(2)})
        path += f"?{query}"
    headers, body = [prepared["roles"][role]], b""
    if method in {"POST", "PUT", "PATCH"}:
        kind = chance.choice(["form", "json", "bytes"])
        if kind == "form":
            headers.append("Content-Type: application/x-www-form-urlencoded")
            names = chance.sample(FIELDS, 6)
            body = urlencode(CSRF | {name: value(chance) for name in names}).encode()
        elif kind == "json":
            headers.append("Content-Type: application/json")
            body = json.dumps({chance.choice(FIELDS): value(chance)}).encode()
        else:
            headers.append("Content-Type: multipart/form-data; boundary=x")
            body = chance.randbytes(chance.randint(0, 500))
        if chance.random() < 0.2:
            headers.append(f"X-CSRFToken: {CSRF['csrfmiddlewaretoken']}")
    return Sent(
        request(method, path, headers, body),
        f"{method} {path[:500]} of {role} with {body[:500]!r}",
        has_body=method != "HEAD",
    )


def filled(chance: random.Random, route: str, values: list[str]) -> str:
    """Return the route with a value in place of each argument: one that exists, or a nasty one."""
    path = ""
    while "<" in route:
        before, _, rest = route.partition("<")
        route = rest.partition(">")[2]
        is_real = chance.random() < 0.7
        path += before + quote(chance.choice(values) if is_real else value(chance), safe="")
    return path + route


def value(chance: random.Random) -> str:
    return chance.choice(NASTY)[:MAX_VALUE]


def memory_of(processes: list[int]) -> float:
    """Return the MiB that processes hold."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in processes]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in statuses) / 1024


def request(method: str, path: str, lines: list[str], body: bytes) -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", *lines]
    head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body
