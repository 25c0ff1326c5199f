"""The clock of one of two nodes jumps: it writes nothing, and no expired key is accepted."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep, time
from urllib.parse import urlencode

from tests.bench.people import CSRF
from tests.chaos.laboratory import Laboratory
from tests.chaos.ledger import Ledger, differences
from tests.chaos.load import CHECK, FORM, JSON, Load, Person, Wire, claims_of, refusals_of, told
from tests.chaos.nodes import Node

JUMPS = {"+1 h": 3_600, "+1 day": 86_400, "-10 min": -600, "-1 day": -86_400}
NOTICED_WITHIN_SECONDS = 5
CHECKS = 20
HALF_A_DAY = 43_200
"""Seconds since which a status list may be signed (LIFETIME_SECONDS of lists, halved)."""


def clock(laboratory: Laboratory) -> Iterator[str]:
    """Let the clock of one node jump, with load on the other; yield what went wrong."""
    print("\n## The clock of one of two nodes jumps, on PostgreSQL\n")
    print("| jump | s until not ready | expired keys accepted | changes made | s until ready |")
    print("| --- | ---: | ---: | ---: | ---: |", flush=True)
    laboratory.server.psql("CREATE DATABASE clock")
    url, ledger = laboratory.server.url("clock"), Ledger()
    offset = laboratory.folder / "offset"
    offset.write_text("+0")
    right = Node(folder=laboratory.folder, database_url=url)
    wrong = Node(
        folder=laboratory.folder,
        database_url=url,
        LD_PRELOAD=str(_library()),
        FAKETIME_TIMESTAMP_FILE=str(offset),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    try:
        *people, other = laboratory.people(url)
        expired = laboratory.expired()
        right.start()
        wrong.start()
        with Load([right.port], people, ledger) as load:
            for title, seconds in JUMPS.items():
                offset.write_text(f"{seconds:+d}")
                yield from _jump(title, wrong.port, other, expired)
                offset.write_text("+0")
                begun = monotonic()
                wrong.await_ready()
                print(f" {monotonic() - begun:.1f} |", flush=True)
                sleep(2)
        lost = [*differences(ledger, url, laboratory.folder), *refusals_of(ledger, wrong.port)]
    finally:
        wrong.stop(how=signal.SIGKILL)  # what waits by a clock that jumped may wait on
        right.stop()
    print(f"\nAcknowledged: {ledger.counts()}; lost: {len(lost)}.")
    yield from lost
    yield from (told(asked) for asked in load.asked if not asked.is_good)
    yield from _backwards(ledger)


def _jump(title: str, port: int, person: Person, expired: str) -> Iterator[str]:
    """Ask the node whose clock has jumped, past any balancer."""
    begun, wire = monotonic(), Wire([port])
    is_told = False
    while not is_told and monotonic() < begun + NOTICED_WITHIN_SECONDS:
        ready = wire.ask("ready", "GET", "/healthz/ready")
        is_told = ready.status == 503 and b"The clock of this machine is" in ready.body
    noticed = monotonic() - begun
    if not is_told:
        yield f"Clock {title}: the node says nothing of its clock: {told(ready)}"
    checks = [wire.ask("check", "POST", CHECK, expired.encode(), JSON) for _ in range(CHECKS)]
    accepted = [asked for asked in checks if asked.status == 200]
    if accepted:
        yield f"Clock {title}: a key is accepted that expired: {told(accepted[0])}"
    headers = {**FORM, "Cookie": person.cookies}
    form = urlencode(CSRF | {"usage": "org", "holder_name": "Contoso"}).encode()
    subscription = person.subscriptions.pop()
    path = f"/subscriptions/{subscription}/"
    posted = wire.ask("generate", "POST", f"{path}generate/", form, headers)
    made = posted.status == 302 and posted.headers["Location"] == path
    if made:
        yield f"Clock {title}: the node has generated keys."
    fetched = wire.ask("list", "GET", "/public/status/1")
    if fetched.status == 200:
        issued_at = claims_of(fetched.body.decode())["iat"]
        if not -HALF_A_DAY < issued_at - time() < 60:
            yield f"Clock {title}: a status list was signed {issued_at - time():.0f} s from now."
    print(f"| {title} | {noticed:.1f} | {len(accepted)} | {int(made)} |", end="", flush=True)
    wire.close()


def _library() -> Path:
    """Return the library of the command faketime."""
    told = subprocess.run(
        ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"],
        check=True,
        capture_output=True,
        text=True,
    )
    return Path(told.stdout.strip())


def _backwards(ledger: Ledger) -> Iterator[str]:
    """Yield keys that were issued before one that was handed out earlier for the same slot."""
    newest: dict[tuple[str, str], int] = {}
    for key in ledger.handed.values():
        place = (key.subscription, key.slot)
        if key.issued_at < newest.get(place, 0):
            yield f"The iat of {key.jti} lies behind one that was issued earlier."
        newest[place] = key.issued_at
