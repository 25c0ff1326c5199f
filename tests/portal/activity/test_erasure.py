"""Names in a tenant's log are replaced by pseudonyms; what was done to the log is still found."""

import json
import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from portal.activity import anchors, erasure
from portal.activity.actions import Action
from portal.activity.chain import erasure_signature
from portal.activity.entries import record
from portal.activity.models import LogChain, LogEntry
from portal.activity.prune import prune
from portal.activity.pseudonyms import PSEUDONYM, Pseudonyms
from portal.activity.triggers import CHAINS, TABLE, install_triggers, remove_triggers
from portal.activity.verify import verify
from portal.core.actors import SYSTEM, Actor, ActorKind
from tests.support.database import as_owner

pytestmark = pytest.mark.django_db(transaction=True)
ANNA = Actor(
    kind=ActorKind.MEMBER,
    name="Anna Amsel",
    user_id=uuid.UUID(int=7),
    email="anna@contoso.example",
    address="192.0.2.7",
)
OTTO = Actor(
    kind=ActorKind.OPERATOR,
    name="Otto",
    user_id=uuid.UUID(int=9),
    email="otto@vendor.example",
    address="198.51.100.9",
)
FORGED = "f" * 64


class Purchase:
    """A subscription, as far as the log copies it."""

    pk = uuid.UUID(int=5)
    name = "Tools of Anna"


ROWS = [
    (ANNA, Action.SIGNED_IN, {"details": {"how": "password"}}),
    (ANNA, Action.SUBSCRIPTION_RENAMED, {"details": {"before": "Old", "after": Purchase.name}}),
    (ANNA, Action.MEMBER_INVITED, {"details": {"email": "bob@x.example", "role": "viewer"}}),
    (SYSTEM, Action.SIGN_IN_FAILED, {"details": {"account": ANNA.email, "way": "password"}}),
    (OTTO, Action.MEMBER_ROLE_CHANGED, {"reason": "Anna called", "details": {}}),
    (
        ANNA,
        Action.MEMBER_ROLE_CHANGED,
        {
            "details": {
                "name": "Bob",
                "email": "Bob@x.example",
                "before": {"role": "viewer"},
                "after": {"role": "owner", "unknown": ["Eve", 3, None, True]},
            }
        },
    ),
    (OTTO, Action.RECORD_CHANGED, {"details": {"record": "user", "id": str(ANNA.user_id)}}),
]


def happened(tenant):
    for actor, action, more in ROWS:
        with transaction.atomic():
            record(actor=actor, action=action, tenant_id=tenant.pk, subscription=Purchase(), **more)


def erase(tenant, **options):
    names = erasure.prepare(tenant_id=tenant.pk, tenant_name=tenant.name, people=[])
    assert erasure.erase(tenant_id=tenant.pk, **options)
    return names


def rows(tenant):
    return list(LogEntry.objects.filter(tenant_id=tenant.pk).order_by("seq"))


@pytest.fixture
def erased(contoso):
    happened(contoso)
    return erase(contoso)


def test_no_name_is_left_and_the_story_stays_readable(contoso, erased):
    signed_in, renamed, invited, failed, by_otto, changed, recorded, last = rows(contoso)
    anna, bob = erased.person(ANNA.user_id), erased.text("bob@x.example")
    assert {row.actor_name for row in (signed_in, renamed, invited, changed)} == {anna}
    assert {row.actor_id for row in (signed_in, invited)} == {erased.person_id(ANNA.user_id)}
    assert signed_in.address == changed.address != ""
    assert (signed_in.actor_email, signed_in.details) == ("", {"how": "password"})
    assert renamed.details["after"] == renamed.subscription_name.replace("Subscription", "Text")
    assert invited.details == {"email": bob, "role": "viewer"}
    assert failed.details == {"account": anna, "way": "password"}
    assert (failed.actor_name, by_otto.actor_name) == ("System", "Otto")
    assert PSEUDONYM.fullmatch(by_otto.reason)
    eve = erased.text("Eve")
    assert changed.details == {
        "name": bob,
        "email": bob,
        "before": {"role": "viewer"},
        "after": {"role": "owner", "unknown": [eve, 3, None, True]},
    }
    assert recorded.details == {"record": "user", "id": anna}
    assert (last.action, last.details) == ("log.erased", {"up_to_row": 7})
    text = json.dumps(list(LogEntry.objects.values()), default=str)
    for name in ("Anna", "anna", "Bob", "bob@", "Eve", "192.0.2.7", str(ANNA.user_id), "Old"):
        assert name not in text, name


def test_the_log_stays_whole_and_grows_on(contoso, erased):
    assert verify(contoso.pk) is None
    happened(contoso)
    assert verify(contoso.pk) is None


def test_it_agrees_with_earlier_anchors(contoso, tmp_path):
    happened(contoso)
    anchors.append(path=tmp_path / "anchors")
    erase(contoso)
    assert list(anchors.compare(anchors.read(tmp_path / "anchors"))) == []


def test_retention_removes_what_was_erased(contoso):
    happened(contoso)
    erase(contoso)
    later = timezone.now() + timedelta(days=40)
    with as_owner():
        removed = prune(
            tenant_id=contoso.pk, older_than=timedelta(days=30), actor=SYSTEM, now=later
        )
    assert removed == 8
    assert verify(contoso.pk) is None


def test_it_goes_on_where_it_was_stopped(contoso, monkeypatch):
    monkeypatch.setattr(erasure, "ROWS_PER_STEP", 2)
    happened(contoso)
    names = erasure.prepare(tenant_id=contoso.pk, tenant_name="Contoso", people=[])
    steps = iter([False, False, True])
    assert not erasure.erase(tenant_id=contoso.pk, stopped=lambda: next(steps))
    assert [row.seal is not None for row in rows(contoso)] == [True] * 4 + [False] * 4
    assert verify(contoso.pk) is None
    assert erasure.erase(tenant_id=contoso.pk)
    assert erasure.erase(tenant_id=contoso.pk)
    assert [row.action for row in rows(contoso)].count("log.erased") == 1
    assert rows(contoso)[5].actor_name == names.person(ANNA.user_id)
    assert LogChain.objects.get().erasing is None
    assert verify(contoso.pk) is None


def test_pseudonyms_are_keyed_and_differ_by_tenant(settings, contoso, fabrikam):
    in_contoso = Pseudonyms(contoso.pk, {}).person(ANNA.user_id)
    assert Pseudonyms(fabrikam.pk, {}).person(ANNA.user_id) != in_contoso
    settings.LOG_KEY = "another " * 8
    assert Pseudonyms(contoso.pk, {}).person(ANNA.user_id) != in_contoso


def test_a_pseudonym_stands_for_itself(contoso):
    names = Pseudonyms(contoso.pk, {})
    assert names.subscription(names.subscription("Tools")) == names.subscription("Tools")


def test_a_name_that_two_people_have_stands_for_neither(contoso):
    names = Pseudonyms(contoso.pk, {})
    people = [(uuid.UUID(int=n), "Sam", f"{n}@x.example") for n in (1, 2)]
    known = Pseudonyms(contoso.pk, names.known(people, tenant_name="Contoso"))
    assert known.text("sam").startswith("Text ")
    assert known.text("1@X.example") == known.person(uuid.UUID(int=1))
    assert known.text("Contoso") == known.tenant()


# What triggers refuse, and what is found where somebody has taken them away


REFUSED = {
    "before an erasure": f"UPDATE {TABLE} SET reason = 'x', seal = '{FORGED}' WHERE seq = 9",
    "without a seal": f"UPDATE {TABLE} SET reason = 'x' WHERE seq = 2",
    "twice": f"UPDATE {TABLE} SET reason = 'x', seal = '{FORGED}' WHERE seq = 1",
    "without its seal": f"UPDATE {TABLE} SET seal = NULL WHERE seq = 1",
    "with a short seal": f"UPDATE {TABLE} SET reason = 'x', seal = 'x' WHERE seq = 2",
    "with another time": (f"UPDATE {TABLE} SET at = '2020-01-01', seal = '{FORGED}' WHERE seq = 2"),
    "with another subscription": (
        f"UPDATE {TABLE} SET subscription_id = NULL, seal = '{FORGED}' WHERE seq = 2"
    ),
    "with the mark moved back": f"UPDATE {CHAINS} SET erased_to = 1",
    "with the mark moved on unsigned": f"UPDATE {CHAINS} SET erased_to = 8",
    "with the mark past the end": (
        f"UPDATE {CHAINS} SET erased_to = 99, erased_signature = '{FORGED}'"
    ),
    "with another signature": f"UPDATE {CHAINS} SET erased_signature = '{FORGED}'",
    "with no mark": f"UPDATE {CHAINS} SET erased_to = NULL",
    "with no signature": f"UPDATE {CHAINS} SET erased_signature = NULL",
}


@pytest.fixture
def half_erased(contoso, monkeypatch):
    """The first of eight rows is erased; a ninth came later."""
    monkeypatch.setattr(erasure, "ROWS_PER_STEP", 1)
    happened(contoso)
    erasure.prepare(tenant_id=contoso.pk, tenant_name="Contoso", people=[])
    steps = iter([False, True])
    erasure.erase(tenant_id=contoso.pk, stopped=lambda: next(steps))
    with transaction.atomic():
        record(actor=ANNA, action=Action.SIGNED_IN, tenant_id=contoso.pk)


@pytest.mark.parametrize("how", REFUSED)
def test_no_row_is_changed(how, half_erased):
    before = list(LogEntry.objects.values()), list(LogChain.objects.values())
    with (
        as_owner(),
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(REFUSED[how])
    assert (list(LogEntry.objects.values()), list(LogChain.objects.values())) == before


def pseudonym_changed(chain):
    LogEntry.objects.filter(seq=3).update(actor_name="Person 000000000000")


def seal_forged(chain):
    LogEntry.objects.filter(seq=3).update(reason="", seal=FORGED)


def seal_taken_away(chain):
    LogEntry.objects.filter(seq=3).update(seal=None)


def seal_of_another_row(chain):
    LogEntry.objects.filter(seq=3).update(seal=LogEntry.objects.get(seq=2).seal)


def action_changed(chain):
    LogEntry.objects.filter(seq=3).update(action="member.left")


def hash_changed(chain):
    LogEntry.objects.filter(seq=3).update(hash=FORGED)


def mark_taken_away(chain):
    LogChain.objects.update(erased_to=0, erased_signature="")


def mark_forged(chain):
    LogChain.objects.update(erased_to=8)


def mark_put_elsewhere(chain):
    """Put the mark where no row tells of an erasure, as who has the key but must not be seen."""
    chain.erased_to = 8
    chain.erased_signature = erasure_signature(chain)
    chain.save()


FAULTS = {
    pseudonym_changed: "row 3 was changed",
    seal_forged: "row 3 was changed",
    seal_taken_away: "row 3 was changed",
    seal_of_another_row: "row 3 was changed",
    action_changed: "row 3 was changed",
    hash_changed: "row 3 was changed",
    mark_taken_away: "names in row 1 were replaced without an erasure",
    mark_forged: "the mark of its erasure was forged",
    mark_put_elsewhere: "row 9 does not tell of the erasure before it",
}


@pytest.mark.parametrize("attack", FAULTS)
def test_what_was_done_to_an_erased_log_is_found(attack, contoso, erased, tables_owner):
    happened(contoso)
    remove_triggers()
    try:
        attack(LogChain.objects.get())
    finally:
        install_triggers()
    assert verify(contoso.pk).sentence == FAULTS[attack]
