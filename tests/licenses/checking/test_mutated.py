"""A hundred thousand tokens that were never issued, made from ones that were, by a seed."""

import random
import resource
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from licenses.checking.check import check
from licenses.models import License, Slot
from tests.support.factories import make_license
from tests.support.mutations import mutated

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SEED = 20_261_124
TOKENS = 100_000


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
