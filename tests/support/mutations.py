"""Tokens and bodies that were never issued or sent, made by chance from ones that were."""

import base64
import json
import random
from collections.abc import Callable

from tests.support.forge import b64

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0é"

type Mutation = Callable[[random.Random, str], str]


def _exchange(chance: random.Random, token: str) -> str:
    place = chance.randrange(len(token))
    return token[:place] + chance.choice(ALPHABET) + token[place + 1 :]


def _insert(chance: random.Random, token: str) -> str:
    place = chance.randrange(len(token) + 1)
    return token[:place] + chance.choice(ALPHABET) + token[place:]


def _cut(chance: random.Random, token: str) -> str:
    start, end = sorted(chance.randrange(len(token) + 1) for _ in range(2))
    return token[:start] + token[end:]


def _swap_parts(chance: random.Random, token: str) -> str:
    parts = token.split(".")
    chance.shuffle(parts)
    return ".".join(parts)


def _repeat(chance: random.Random, token: str) -> str:
    start, end = sorted(chance.randrange(len(token) + 1) for _ in range(2))
    return token[:end] + token[start:end] * chance.randrange(1, 3) + token[end:]


def _flip_a_bit(chance: random.Random, token: str) -> str:
    """Change one bit below the base64url of one part, which stays canonical."""
    parts = token.split(".")
    which = chance.randrange(3)
    data = bytearray(_decoded(parts[which]))
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    parts[which] = b64(bytes(data))
    return ".".join(parts)


def _change_a_member(chance: random.Random, token: str) -> str:
    parts = token.split(".")
    which = chance.randrange(2)
    members = json.loads(_decoded(parts[which]))
    name = chance.choice(list(members))
    members[name] = chance.choice(
        [None, True, -1, 2**63, 1e300, "", "none", "RS256", [], {}, [members[name]], "x" * 5000]
    )
    parts[which] = b64(json.dumps(members))
    return ".".join(parts)


MUTATIONS: list[Mutation] = [
    _exchange,
    _insert,
    _cut,
    _swap_parts,
    _repeat,
    _flip_a_bit,
    _change_a_member,
]


def mutated(chance: random.Random, issued: list[str]) -> str:
    """Return a token that differs from every issued one."""
    while True:
        token = chance.choice(issued)
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            try:
                token = chance.choice(MUTATIONS)(chance, token)
            except (ValueError, IndexError, AttributeError, TypeError, RecursionError):
                continue  # What an earlier mutation left is no token any more.
        if token not in issued:
            return token


def mutated_bytes(chance: random.Random, text: bytes) -> bytes:
    """Return other bytes: some flipped, cut out, put in or doubled, or another member in JSON."""
    place = chance.randrange(len(text) + 1)
    end = min(len(text), place + chance.choice([1, 1, 2, 5, 50, 500]))
    match chance.randrange(6):
        case 0:
            return text[:place] + chance.randbytes(end - place) + text[end:]
        case 1:
            return text[:place] + text[end:]
        case 2:
            return text[:place] + text[place:end] * 3 + text[end:]
        case 3:
            return text[:place] + chance.choice([*BYTES]) + text[place:]
        case 4:
            return text.replace(b'"', chance.choice([b"'", b'\\"', b"", b'""']), 1)
        case _:
            member = json.dumps({chance.choice(NAMES): chance.choice(VALUES)}).encode()
            return text.replace(b"{", member[:-1] + b", ", 1)


BYTES = (
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\0",
    b"\xff",
    b"\\u0000",
    b"\\ud800",
    b"\xef\xbb\xbf",
    b"1e999",
)
NAMES = ("key", "key_type", "subject", "issuer", "audience", "consumer_tenant_id", "", "__proto__")
VALUES: tuple[object, ...] = (
    None,
    "",
    "x" * 9_000,
    1,
    -1e300,
    True,
    [],
    {},
    [[]],
    "\ud800",
    "\0",
    "valid",
)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
