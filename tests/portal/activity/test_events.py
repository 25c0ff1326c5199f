"""One list of actions: docs/events.md is it, and nothing is recorded that it does not describe."""

import re

from portal.activity.actions import (
    EVENTS,
    GROUPS,
    MEANINGS,
    MEMBERS,
    STATE_EVENTS,
    Action,
    event_of,
    event_types,
)
from tests.support.repository import ROOT

BEGINNINGS = tuple(beginning for group in GROUPS.values() for beginning in group)


def told_by(action: Action) -> str:
    ways = {
        "log": True,
        "API": action.value.startswith(BEGINNINGS),
        "webhook": action in EVENTS,
        "counter": True,
    }
    return ", ".join(way for way, holds in ways.items() if holds)


def events_of(action: Action) -> str:
    names = [EVENTS[action]] if action in EVENTS else []
    if action == Action.SUBSCRIPTION_CHANGED:
        names += STATE_EVENTS.values()
    return ", ".join(f"`{name}`" for name in names)


def action_rows() -> list[str]:
    return [
        f"| `{action.value}` | {events_of(action)} | "
        f"{', '.join(f'`{name}`' for name in MEMBERS.get(action, ()))} | {told_by(action)} |"
        for action in Action
    ]


def member_rows() -> list[str]:
    return [f"| `{name}` | {meaning} |" for name, meaning in MEANINGS.items()]


def test_the_page_lists_every_action_with_its_members_and_who_is_told():
    page = (ROOT / "docs" / "events.md").read_text("utf-8")
    lines = re.findall(r"^\| `.*$", page, re.MULTILINE)
    assert lines == [*action_rows(), *member_rows()]


def test_every_member_has_one_meaning_and_no_other_is_described():
    assert sorted(MEANINGS) == sorted({name for names in MEMBERS.values() for name in names})


def test_webhooks_tell_what_was_promised():
    assert sorted(event_types()) == [
        "key.deleted",
        "key.expiring",
        "key.generated",
        "key.renewed",
        "key.reset",
        "key.revoked",
        "key.withdrawn",
        "overlap.ending",
        "rotation.completed",
        "subscription.activated",
        "subscription.changed",
        "subscription.ended",
        "subscription.resumed",
        "subscription.suspended",
    ]


def test_a_change_of_the_state_has_its_own_name():
    def of(**after):
        return event_of(Action.SUBSCRIPTION_CHANGED, {"before": {}, "after": after})

    assert [of(state="suspended"), of(state="active"), of(state="ended"), of(plan="x")] == [
        "subscription.suspended",
        "subscription.resumed",
        "subscription.ended",
        "subscription.changed",
    ]
