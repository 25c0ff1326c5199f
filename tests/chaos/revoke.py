"""From the operator's click to the refusal: of one license key, and of a leaked signing key."""

import base64
import json
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlencode

from tests.bench.measuring import run_python
from tests.bench.people import CSRF
from tests.chaos.laboratory import Laboratory
from tests.chaos.load import CHECK, FORM, JSON, Asked, Wire, claims_of, told
from tests.chaos.nodes import Node

AT_ONCE_SECONDS = 2
LIST_SECONDS = 60
TOLD_SECONDS = 60
"""Promised: of online checks, the API and pages; of lists and the JWK Set; of the mails."""
LOOKS_SECONDS = 0.02
STAYS = 20
"""Times that is asked again after a refusal: no process of the node may accept the key any more."""
JWKS = "/.well-known/jwks.json"

INVALID = 1
"""The entry of a key that is refused (draft-ietf-oauth-status-list section 7.1)."""

type Look = Callable[[Wire], bool]
"""Asks in one way; returns whether the key is refused."""


@dataclass
class Measured:
    """Seconds from the click to the refusal, by way, and what was wrong."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def rows(self, database: str, what: str) -> Iterator[str]:
        for way, found in self.seconds.items():
            middle, worst = median(found), max(found)
            yield f"| {database} | {what} | {way} | {len(found)} | {middle:.2f} | {worst:.2f} |"


class Cache:
    """A verifier that keeps what it fetched for as long as `Cache-Control` says (RFC 9111 5.2)."""

    def __init__(self, path: str) -> None:
        self.path, self.fresh_until, self.body = path, 0.0, b""

    def get(self, wire: Wire) -> bytes:
        if monotonic() >= self.fresh_until:
            asked = wire.ask("list", "GET", self.path)
            if asked.status == 200:
                self.body = asked.body
                age = re.search(r"max-age=(\d+)", asked.headers["Cache-Control"])
                self.fresh_until = monotonic() + (int(age[1]) if age else 0)
        return self.body


def revoke(laboratory: Laboratory) -> Iterator[str]:
    """Revoke license keys, then disable the signing key; yield what came too late, in sentences."""
    count = 5 if laboratory.is_quick else 20
    print(f"\n## From the operator's click to the refusal: {count} license keys, one signing key\n")
    print("| database | withdrawn | seen by | times | median s | worst s |")
    print("| --- | --- | --- | ---: | ---: | ---: |", flush=True)
    for database, url in laboratory.databases("revoke"):
        file = laboratory.folder / "revoke.json"
        run_python(["tests.chaos.prepare_revoke", str(count + 1), str(file)], {"DATABASE_URL": url})
        drill = Drill(json.loads(file.read_text()))
        node = Node(folder=laboratory.folder, database_url=url)
        node.start()
        try:
            drill.port = node.port
            keys = drill.revoke_keys()
            leaked = drill.disable_signing_key()
        finally:
            node.stop()
        for what, measured in (("a license key", keys), ("the signing key", leaked)):
            print(*measured.rows(database, what), sep="\n", flush=True)
            for way, seconds in measured.seconds.items():
                late = LIST_SECONDS if way in LISTS else AT_ONCE_SECONDS
                limit = TOLD_SECONDS if way in TOLD else late
                if max(seconds) > limit:
                    yield f"{database}: {way}: {what} was refused in {max(seconds):.1f} s."
            yield from (f"{database}: {sentence}" for sentence in measured.wrong)


LISTS = {"status list", "JWK Set"}
TOLD = {"log and mail"}


@dataclass
class Drill:
    """What `prepare_revoke` made, on a node at `port`; the last key is kept for the signing key."""

    prepared: dict[str, Any]
    port: int = 0

    def revoke_keys(self) -> Measured:
        """Revoke all keys but the last, one after the other."""
        measured = Measured()
        lists = []
        for key in self.prepared["keys"][:-1]:
            looks = self.looks(key)
            verifier = looks.pop("status list")
            verifier(Wire([self.port]))  # which keeps what it has
            begun = self.click(
                "licensekey/do/revoke/", {"row": key["id"], "reason": "Drill"}, measured
            )
            self.watch(looks, begun, measured)
            lists.append(self.beside("status list", verifier, begun, measured))
        for thread in lists:
            thread.join()
        return measured

    def disable_signing_key(self) -> Measured:
        """Disable the active signing key in one step; see checks, lists, pages and mail follow."""
        measured, [*_, key] = Measured(), self.prepared["keys"]
        signing_key, looks = self.prepared["signing_key"], self.looks(key)
        slow = {"status list": looks.pop("status list"), "JWK Set": self.jwks(signing_key["kid"])}
        for look in slow.values():
            look(Wire([self.port]))
        form = {"reason": "Leaked: a drill", "confirmation": signing_key["kid"][:8]}
        begun = self.click(f"signingkey/{signing_key['id']}/disable/", form, measured)
        self.watch(looks, begun, measured)
        slow["log and mail"] = self.is_told
        threads = [self.beside(way, look, begun, measured) for way, look in slow.items()]
        for thread in threads:
            thread.join()
        return measured

    def click(self, path: str, form: dict[str, Any], measured: Measured) -> float:
        """Send the operator's confirmation; return when (monotonic)."""
        begun, wire = monotonic(), Wire([self.port])
        headers = FORM | {"Cookie": self.prepared["operator"]}
        asked = wire.ask(
            "admin", "POST", f"/admin/licenses/{path}", urlencode(CSRF | form).encode(), headers
        )
        wire.close()
        if asked.status != 200 or b"Done" not in asked.body:
            measured.wrong.append(f"The operator's confirmation was answered {told(asked)}.")
        return begun

    def watch(self, looks: dict[str, Look], begun: float, measured: Measured) -> None:
        """Ask in every way until each refuses, and then again: it must stay refused."""
        threads = [self.beside(way, look, begun, measured) for way, look in looks.items()]
        for thread in threads:
            thread.join()

    def beside(self, way: str, look: Look, begun: float, measured: Measured) -> threading.Thread:
        def run() -> None:
            end = begun + 2 * LIST_SECONDS
            while not self.once(look) and monotonic() < end:
                sleep(LOOKS_SECONDS)
            measured.seconds.setdefault(way, []).append(monotonic() - begun)
            if not all(self.once(look) for _ in range(STAYS)):
                measured.wrong.append(f"{way}: accepted again after it was refused.")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def once(self, look: Look) -> bool:
        """Look on a connection of its own: any process of the node may answer."""
        wire = Wire([self.port])
        try:
            return look(wire)
        finally:
            wire.close()

    def looks(self, key: dict[str, Any]) -> dict[str, Look]:
        """Return the ways to see that a license key is refused."""
        page = f"/subscriptions/{key['subscription']}/"
        api = f"/api/v1{page}keys/primary/check"
        owner = {"Cookie": self.prepared["owner"]}
        bearer = {"Authorization": f"Bearer {self.prepared['service_token']}"}

        def online(wire: Wire) -> bool:
            return refuses(wire.ask("check", "POST", CHECK, key["check"].encode(), JSON))

        def by_api(wire: Wire) -> bool:
            asked = wire.ask("API", "POST", api, b"", bearer)
            return asked.status == 200 and json.loads(asked.body)["passes"] is False

        def on_page(wire: Wire) -> bool:
            asked = wire.ask("page", "GET", page, None, owner)
            return bool(re.search(rb">\s*(Revoked|Withdrawn)\s*<", asked.body))

        verifier = Cache(key["list"])

        def in_list(wire: Wire) -> bool:
            token = verifier.get(wire).decode()
            status_list = claims_of(token)["status_list"] if token else None
            return status_list is not None and entry(status_list, key["index"]) == INVALID

        return {"online check": online, "API": by_api, "page": on_page, "status list": in_list}

    def jwks(self, kid: str) -> Look:
        verifier = Cache(JWKS)

        def without_it(wire: Wire) -> bool:
            body = verifier.get(wire)
            return bool(body) and kid not in {key["kid"] for key in json.loads(body)["keys"]}

        return without_it

    def is_told(self, wire: Wire) -> bool:
        """Return whether the log of the tenant has it: the mail is queued in that transaction."""
        asked = wire.ask("log", "GET", "/logs/", None, {"Cookie": self.prepared["owner"]})
        return b"License key withdrawn" in asked.body


def refuses(asked: Asked) -> bool:
    """Return whether a check was answered with a refusal of the key."""
    return asked.status == 401 and b'"result"' in asked.body


def entry(status_list: dict[str, Any], index: int) -> int:
    """Return an entry of a status list, read without code of the portal (section 8.3)."""
    bits = status_list["bits"]
    packed = zlib.decompress(base64.urlsafe_b64decode(status_list["lst"] + "=="))
    byte, place = divmod(index, 8 // bits)
    return packed[byte] >> (place * bits) & ((1 << bits) - 1)
