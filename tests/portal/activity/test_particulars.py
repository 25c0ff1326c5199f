"""Details of the log in words, in every shape that a release has written."""

from datetime import UTC, datetime

import pytest

from portal.activity.actions import GROUPS, Action, grouped_choices
from portal.activity.particulars import particulars

LATE = datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def told(action, details):
    """Return (label, value), or (label, before, value) of a change."""
    return [
        (d.label, d.value) if d.before is None else (d.label, d.before, d.value)
        for d in particulars(action, details)
    ]


@pytest.mark.parametrize(
    ("details", "role"),
    [
        ({"before": "viewer", "after": "manager"}, ("Role", "Viewer", "Manager")),
        (
            {"before": {"role": "viewer"}, "after": {"role": "manager"}},
            ("Role", "Viewer", "Manager"),
        ),
        ({"role": {"before": "viewer", "after": "manager"}}, ("Role", "Viewer", "Manager")),
        ({"role": "manager"}, ("Role", "Manager")),
    ],
)
def test_a_change_reads_the_same_in_each_of_its_shapes(details, role):
    who = {"name": "Vera", "email": "vera@x.example"}
    assert told("member.role_changed", who | details) == [("Person", "Vera (vera@x.example)"), role]


@pytest.mark.parametrize(
    ("details", "person"),
    [
        ({"name": "Vera", "email": "vera@x.example"}, "Vera (vera@x.example)"),
        ({"email": "vera@x.example"}, "vera@x.example"),
        ({"of": "vera@x.example"}, "vera@x.example"),
        ({"user": "vera@x.example"}, "vera@x.example"),
        ({"account": "vera@x.example"}, "vera@x.example"),
    ],
)
def test_a_person_reads_the_same_in_each_of_its_shapes(details, person):
    assert told("member.left", details) == [("Person", person)]


@pytest.mark.parametrize(
    ("action", "details", "expected"),
    [
        ("subscription.renamed", {"before": "A", "after": "B"}, [("Name", "A", "B")]),
        ("of.a.later.release", {"before": 1, "after": 2}, [("Value", "1", "2")]),
        (
            "subscription.changed",
            {"before": {"ends_at": None}, "after": {"ends_at": "2027-01-31T23:59:59+00:00"}},
            [("End date", LATE)],
        ),
        (
            "tenant.changed",
            {
                "before": {"country": "USA", "requires_two_factor": False},
                "after": {"country": "DEU", "requires_two_factor": True},
            },
            [("Country", "United States", "Germany"), ("Second factor required", "no", "yes")],
        ),
        (
            "license_keys.generated",
            {"usage": "org", "jti": ["1", "2"]},
            [("Usage", "Organizational"), ("Key id (jti)", "1, 2")],
        ),
        (
            "person.sessions_ended",
            {"of": "a@x.example", "sessions": [f"2001:db8::1: {FIREFOX}"]},
            [("Person", "a@x.example"), ("Sessions", "Firefox on Linux at 2001:db8::1")],
        ),
        (
            "record.changed",
            {
                "record": "plan",
                "id": "7",
                "name": "Custom",
                "before": {"custom_claims": {}},
                "after": {"custom_claims": {"seats": 5, "sites": ["a", "b"], "from": None}},
            },
            [
                ("Plan", "Custom"),
                ("Identifier", "7"),
                ("Custom claims", "seats: 5; sites: a, b; from: none"),
            ],
        ),
        (
            "change.asked",
            {"of": "Contoso", "before": {}, "after": {"due": ["2027-01-31T23:59:59Z"]}},
            [("Concerns", "Contoso"), ("Due", "31 Jan 2027 at 23:59 UTC")],
        ),
        ("log.pruned", {}, []),
    ],
)
def test_details_are_words(action, details, expected):
    assert told(action, details) == expected


def test_every_action_of_a_tenant_is_in_one_group():
    grouped = [value for _, choices in grouped_choices() for value, _ in choices]
    of_the_vendor = {a for a in Action if a.startswith(("signing_key.", "operator.", "record."))}
    assert sorted(grouped) == sorted(set(Action) - of_the_vendor)
    assert all(choices for _, choices in grouped_choices())
    assert len(GROUPS) == len(grouped_choices())
