"""A hundred thousand tokens that were never issued, made from ones that were, by a seed."""

import json
import random
import resource
from collections import Counter
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from licenses.checking.check import check
from licenses.models import License, Slot
from licenses.tokens import base64url, from_base64url
from tests.support.factories import make_license

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SEED = 20_261_124
TOKENS = 100_000
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
    data = bytearray(from_base64url(parts[which]))
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    parts[which] = base64url(bytes(data))
    return ".".join(parts)


def _change_a_member(chance: random.Random, token: str) -> str:
    parts = token.split(".")
    which = chance.randrange(2)
    members = json.loads(from_base64url(parts[which]))
    name = chance.choice(list(members))
    members[name] = chance.choice(
        [None, True, -1, 2**63, 1e300, "", "none", "RS256", [], {}, [members[name]], "x" * 5000]
    )
    parts[which] = base64url(json.dumps(members).encode())
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


@pytest.fixture
def issued(signing_key) -> list[str]:
    licenses: list[License] = [make_license(signing_key=signing_key) for _ in range(3)]
    return [li.keys.get(slot=slot).token or "" for li in licenses for slot in Slot]


@pytest.mark.sweep
def test_none_of_them_is_accepted_and_memory_does_not_grow(issued):
    chance = random.Random(SEED)
    results: Counter[str] = Counter()
    for number in range(TOKENS):
        verdict = check(mutated(chance, issued), expected={})
        results[verdict.result] += 1
        assert verdict.key is None
        if number == TOKENS // 10:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert set(results) == {"malformed", "signing_key_unknown", "signature_invalid"}
    assert min(results.values()) > 100
    assert grown < 20_000  # KiB


def test_nothing_is_written_for_them(issued):
    chance = random.Random(SEED)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(300):
            check(mutated(chance, issued), expected={})
    assert {query["sql"].split()[0] for query in queries} <= {"SELECT"}


def test_the_issued_ones_pass(issued):
    """The control."""
    assert [check(token, expected={}).result for token in issued] == ["valid"] * 6
