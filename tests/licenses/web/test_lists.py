"""The list: what needs somebody, its order, its search, and the files of several at once."""

import io
import zipfile
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from licenses.models import CheckCount, KeyState, License, LicenseKey, Slot
from licenses.web.triage import BoundedCount, Count
from portal.activity.models import LogEntry
from portal.core.actors import SYSTEM
from portal.tenants.models import Tenant
from subscriptions.flows.activate import activate_subscription
from subscriptions.flows.annotate import annotate_subscription
from subscriptions.flows.suspend_resume_end import suspend_subscription
from subscriptions.models import Plan, State, Subscription
from tests.support.answers import messages_of
from tests.support.factories import make_key, make_license, make_subscription

LIST, DOWNLOAD = "/subscriptions/", "/subscriptions/download/"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def licensed(contoso: Tenant, signing_key: Any) -> Any:
    """Return `licensed(name, left=days, plan=…)`: a license whose keys expire in so many days."""

    def made(name: str, left: float = 31, plan: str = "smb-monthly", **fields: Any) -> License:
        subscription = make_subscription(tenant=contoso, name=name, plan=plan, **fields)
        license = make_license(subscription=subscription)
        expires_at = timezone.now() + left * DAY
        license.keys.update(issued_at=expires_at - 31 * DAY, expires_at=expires_at)
        return license

    return made


def names(answer: Any) -> list[str]:
    return [row.name for row in answer.context["page"].rows]


def needs(answer: Any) -> dict[str, str]:
    return {str(name): str(count) for name, _, count in answer.context["needs"] if count.number}


@pytest.fixture
def in_need(contoso: Tenant, licensed: Any) -> None:
    """Subscriptions in every need, and others that look like it."""
    licensed("next week", left=6)
    licensed("tomorrow", left=0.5)
    licensed("next month, yearly", left=40, plan="smb-yearly")
    licensed("next month, monthly", left=20)
    licensed("gone", left=-1)
    licensed("gone and ended", left=-1, ends_at=timezone.now())
    licensed("secondary gone").keys.filter(slot=Slot.SECONDARY).update(expires_at=timezone.now())
    licensed("primary revoked", left=2).keys.filter(slot=Slot.PRIMARY).update(
        revoked_at=timezone.now()
    )
    licensed("both revoked", left=2).keys.update(revoked_at=timezone.now())
    licensed("deleted", left=2)
    License.objects.filter(subscription__name="deleted").update(deleted_at=timezone.now())
    licensed("suspended", left=2, state=State.SUSPENDED)
    make_subscription(tenant=contoso, name="pending", state=State.PENDING)
    make_subscription(tenant=contoso, name="new")
    licensed("other plan", plan="smb-yearly", left=200)
    Subscription.objects.filter(name="other plan").update(plan=Plan.objects.get(code="isv-yearly"))
    now = timezone.now()
    old_key(licensed("asked"), stopped=now - 2 * DAY, asked=now - HOUR)
    old_key(licensed("asked before it stopped"), stopped=now - HOUR, asked=now - 2 * HOUR)
    old_key(licensed("asked long ago"), stopped=now - 5 * DAY, asked=now - 2 * DAY)
    older = licensed("asked with an older one")
    old_key(older, stopped=now - 9 * DAY, asked=now - HOUR)
    old_key(older, stopped=now - 8 * DAY, state=KeyState.REPLACED)
    old_key(licensed("overlap ends"), stopped=now + 4 * DAY, asked=now - HOUR)
    old_key(licensed("overlap goes on"), stopped=now + 8 * DAY, asked=now - HOUR)
    old_key(licensed("overlap of an old key that nobody uses"), stopped=now + DAY)


def old_key(
    license: License,
    *,
    stopped: datetime,
    asked: datetime | None = None,
    state: KeyState = KeyState.SUPERSEDED,
) -> None:
    """Give the primary slot an old key that works until then, and perhaps a check of it."""
    key = make_key(license=license, state=state)
    key.replaced_at, key.accepted_until = min(stopped, timezone.now()) - DAY, stopped
    key.save()
    if asked:
        CheckCount.objects.create(
            tenant_id=key.tenant_id,
            license_key=key,
            hour=asked.replace(minute=0, second=0, microsecond=0),
            result="replaced",
            count=3,
            last_at=asked,
        )


LEFT = {
    "expiring": ["tomorrow", "primary revoked", "next week", "next month, yearly"],
    "expired": ["gone", "secondary gone"],
    "pending": ["pending"],
    "suspended": ["suspended"],
    "unlicensed": ["new", "deleted"],
    "revoked": ["both revoked", "primary revoked"],
    "refused": ["asked"],
    "overlap": ["overlap ends"],
    "plan_changed": ["other plan"],
    "ended": ["gone and ended"],
}
LABELS = {
    "expired": "Expired",
    "revoked": "Key revoked",
    "refused": "Terminals refused",
    "expiring": "Expires soon",
    "overlap": "Overlap ends soon",
    "plan_changed": "Plan changed",
    "suspended": "Suspended",
    "pending": "Pending",
    "unlicensed": "No keys",
    "ended": "Ended",
}


def test_each_need_is_a_filter_the_most_urgent_first_and_its_rows_say_it(viewer_client, in_need):
    for need, left in LEFT.items():
        assert (need, names(viewer_client.get(LIST, {"state": need}))) == (need, left)
    shown = {
        row.name: [badge.label for badge in row.badges]
        for row in viewer_client.get(LIST, {"rows": "100"}).context["page"].rows
    }
    said = {
        name: [label for need, label in LABELS.items() if name in LEFT[need]] or ["Active"]
        for name in shown
    }
    said |= {
        "secondary gone": ["1 of 2 valid"],
        "primary revoked": ["1 of 2 valid", "Expires soon"],
    }
    assert shown == said
    assert sum(labels == ["Active"] for labels in shown.values()) == 6


def test_the_needs_are_counted_as_their_filters_find_them(viewer_client, in_need):
    answer = viewer_client.get(LIST)
    counted = {need: str(len(left)) for need, left in LEFT.items() if need != "ended"}
    assert needs(answer) == counted
    html = answer.content.decode()
    assert [html.count(f'href="?state={need}"') for need in counted] == [1] * len(counted)
    assert (
        viewer_client.get(LIST, {"state": "expired"})
        .content.decode()
        .count('href="?state=expired" aria-current="true"')
    )


def test_the_banner_of_the_page_says_what_the_list_does(viewer_client, in_need):
    kinds = {
        "asked": "old_key",
        "other plan": "plan_changed",
        "both revoked": "revoked",
        "secondary gone": "expired",
        "overlap ends": "overlap",
    }
    rows = viewer_client.get(LIST, {"rows": "100"}).context["page"].rows
    listed = {row.name: row for row in rows}
    for name, kind in kinds.items():
        shown = viewer_client.get(listed[name].get_absolute_url()).context
        assert (name, shown["need"].kind) == (name, kind)
        assert shown["need"].tone == listed[name].badges[0].tone
        assert shown["subscription"].badges == listed[name].badges


def test_the_counts_follow_every_change(viewer_client, contoso):
    subscription = make_subscription(tenant=contoso, state=State.PENDING)
    assert needs(viewer_client.get(LIST))["pending"] == "1"
    activate_subscription(subscription=subscription, actor=SYSTEM)
    assert needs(viewer_client.get(LIST)) == {"unlicensed": "1"}
    suspend_subscription(subscription=subscription, actor=SYSTEM, reason="Unpaid")
    assert needs(viewer_client.get(LIST))["suspended"] == "1"


def test_counts_end_at_their_limit(contoso, licensed):
    for name in "abc":
        make_subscription(tenant=contoso, name=name)
    rows = Subscription.objects.for_tenant(contoso).values("pk")[:2]
    assert Tenant.objects.filter(pk=contoso.pk).values_list(BoundedCount(rows)).get() == (2,)
    told = [Count(number=n, is_more=more) for n, more in ((0, False), (26, False), (5000, True))]
    assert [str(count) for count in told] == ["0", "26", "5,000+"]
    assert [count.pages(25) for count in told] == [" of 1", " of 2", " of more than 200"]


def test_columns_sort_both_ways_and_their_pages_walk_all(viewer_client, contoso, licensed):
    for number, name in enumerate(["beta", "Alpha", "gamma", "Beta"]):
        licensed(name, left=10 - number, created_at=timezone.now() + number * DAY)
    ordered = {
        "name": ["Alpha", "beta", "Beta", "gamma"],
        "expiry": ["Beta", "gamma", "Alpha", "beta"],
        "added": ["beta", "Alpha", "gamma", "Beta"],
    }
    for sort, expected in ordered.items():
        assert [n.lower() for n in names(viewer_client.get(LIST, {"sort": sort}))] == [
            name.lower() for name in expected
        ]
        back = viewer_client.get(LIST, {"sort": f"-{sort}"})
        assert [n.lower() for n in names(back)] == [n.lower() for n in reversed(expected)]
        assert back.content.decode().count('aria-sort="descending"') == 1
    assert names(viewer_client.get(LIST)) == ordered["added"][::-1]


def test_pages_in_any_order_are_numbered(viewer_client, licensed):
    for number in range(27):
        licensed(f"{number % 3}", left=5 + number % 4)
    for sort in ("name", "-name", "expiry", "-expiry", "added"):
        first = viewer_client.get(LIST, {"sort": sort})
        older = str(first.context["page"].older)
        second = viewer_client.get(LIST, {"sort": sort, "after": older})
        assert [len(names(answer)) for answer in (first, second)] == [25, 2]
        seen = {row.pk for answer in (first, second) for row in answer.context["page"].rows}
        assert len(seen) == 27
        assert second.content.decode().count("Page 2 of 2") == 1
        back = str(second.context["page"].newer)
        again = viewer_client.get(LIST, {"sort": sort, "before": back})
        assert names(again) == names(first)
        assert again.content.decode().count("Page 1 of 2") == 1
        # A position in another order leads to some page of this one, not to an error.
        for other in ("name", "added"):
            answer = viewer_client.get(LIST, {"sort": other, "after": older})
            assert answer.status_code == 200
    assert len(names(viewer_client.get(LIST, {"rows": "100"}))) == 27


def test_the_list_begins_with_what_needs_somebody(viewer_client, contoso, in_need):
    for number in range(52):
        make_subscription(tenant=contoso, name=f"{number}")
    urgent = ["gone", "secondary gone", "primary revoked", "both revoked", "asked", "tomorrow"]
    urgent += ["next week", "next month, yearly", "overlap ends", "other plan"]
    first = viewer_client.get(LIST)
    assert names(first) == [*urgent, *(f"{51 - n}" for n in range(25 - len(urgent)))]
    second = viewer_client.get(LIST, {"after": str(first.context["page"].older)})
    third = viewer_client.get(LIST, {"after": str(second.context["page"].older)})
    walked = [row for answer in (first, second, third) for row in names(answer)]
    assert len(walked) == len(set(walked)) == 73
    assert names(viewer_client.get(LIST, {"before": str(second.context["page"].newer)})) == (
        names(first)
    )
    for asked, same in {"1": first, "2": second, "3": third, "9": third, "x": first}.items():
        jumped = viewer_client.get(LIST, {"page": asked})
        assert (asked, names(jumped)) == (asked, names(same))
        assert jumped.context["page"].number == same.context["page"].number
    back = viewer_client.get(LIST, {"before": str(jumped.context["page"].newer or "")})
    assert names(back) == names(first)
    assert names(viewer_client.get(LIST, {"sort": "-added"}))[:8] != urgent


def test_whole_identifiers_find_their_subscription(viewer_client, licensed, fabrikam):
    license = licensed("Field tools")
    licensed("Other")
    theirs = make_license(subscription=make_subscription(tenant=fabrikam, name="Theirs"))
    key = license.keys.first()
    for id in (license.authorized_application_id, key.jti, key.jti.hex, license.subscription_id):
        assert names(viewer_client.get(LIST, {"q": f" {id} "})) == ["Field tools"]
    for id in (theirs.authorized_application_id, theirs.keys.first().jti, theirs.subscription_id):
        assert names(viewer_client.get(LIST, {"q": str(id)})) == []


# Files of several


def files_of(answer: Any) -> dict[str, str]:
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    return {name: packed.read(name).decode() for name in packed.namelist()}


def test_the_files_of_several_come_as_one_archive_each_recorded(viewer, viewer_client, licensed):
    licenses = [licensed("Müller"), licensed("Müller"), licensed("Lab")]
    posted = {"subscription": [one.subscription_id for one in licenses], "keys": "secondary"}
    answer = viewer_client.post(DOWNLOAD, posted, REMOTE_ADDR="203.0.113.7")
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("application/zip", "no-store")
    files = files_of(answer)
    readme = files.pop("README.txt")
    assert sorted(files) == [
        "Lab-secondary.json",
        "Müller-2-secondary.json",
        "Müller-secondary.json",
    ]
    tokens = LicenseKey.objects.filter(slot=Slot.SECONDARY).values_list("token", flat=True)
    assert all(sum(token in file for file in files.values()) == 1 for token in tokens)
    assert all(str(one.subscription_id) in readme for one in licenses)
    rows = LogEntry.objects.filter(action="license_key.downloaded")
    assert {(row.slot, row.actor_email, row.address) for row in rows} == {
        ("secondary", viewer.email, "203.0.113.7")
    }
    assert (rows.count(), "Not included" in readme) == (3, False)


def test_what_is_refused_is_named_in_the_archive(viewer_client, contoso, licensed):
    good, gone = licensed("Good"), licensed("Gone", left=-1)
    none = make_subscription(tenant=contoso, name="None")
    posted = {
        "subscription": [good.subscription_id, gone.subscription_id, none.pk],
        "keys": "primary secondary",
    }
    files = files_of(viewer_client.post(DOWNLOAD, posted))
    assert sorted(files) == ["Good-primary.json", "Good-secondary.json", "README.txt"]
    refused = files["README.txt"].split("Not included:\r\n")[1].splitlines()
    told = "key has expired. Once a manager or owner has reset it, download the new one."
    assert sorted(refused) == [
        f"Gone ({gone.subscription_id}): The primary {told}",
        f"Gone ({gone.subscription_id}): The secondary {told}",
        f"None ({none.pk}): It has no license keys.",
    ]


def test_without_any_file_the_list_says_why(viewer_client, contoso, fabrikam, licensed):
    none = make_subscription(tenant=contoso, name="None")
    theirs = make_subscription(tenant=fabrikam)
    gone = "One of the chosen subscriptions does not exist any more."
    for chosen, sentence in (
        ([], "Choose the subscriptions first, then download their files."),
        ([theirs.pk], gone),
        (["nonsense"], gone),
        ([none.pk], "There is no file to download. None: It has no license keys."),
    ):
        posted = {"subscription": chosen, "keys": "secondary"}
        answer = viewer_client.post(f"{DOWNLOAD}?q=tools&sort=name", posted)
        kept = "".join(f"&chosen={id}" for id in chosen)
        assert answer.status_code == 302
        assert answer.url == f"{LIST}?q=tools&sort=name{kept}&files=secondary"
        assert messages_of(answer)[-1] == sentence
    assert not LogEntry.objects.exists()


def test_only_what_has_a_file_is_offered_and_what_was_chosen_stays_so(viewer_client, licensed):
    for gone in ("Gone", "Revoked", "Suspended"):
        licensed(gone, left=-1 if gone == "Gone" else 31)
    LicenseKey.objects.filter(license__subscription__name="Revoked").update(
        revoked_at=timezone.now()
    )
    Subscription.objects.filter(name="Suspended").update(state=State.SUSPENDED)
    html = viewer_client.get(LIST).content.decode()
    assert ('id="chosen"' in html, 'class="choose"' in html) == (False, False)
    half = licensed("Half")
    half.keys.filter(slot=Slot.PRIMARY).update(revoked_at=timezone.now())
    again = {"chosen": half.subscription_id, "files": "secondary"}
    html = viewer_client.get(LIST, again).content.decode()
    assert html.count('name="subscription"') == html.count('data-files="secondary"') == 1
    assert ("checked" in html, '"secondary" selected' in html) == (True, True)


def test_a_hundred_at_once_are_the_most(viewer_client, contoso):
    chosen = [make_subscription(tenant=contoso).pk for _ in range(101)]
    answer = viewer_client.post(DOWNLOAD, {"subscription": chosen, "keys": "primary"})
    assert messages_of(answer) == ["Choose at most 100 subscriptions at a time."]


def test_a_support_view_chooses_nothing(support_client, licensed):
    licensed("Field tools")
    assert 'name="subscription"' not in support_client.get(LIST).content.decode()


def test_labels_and_the_note_stand_in_the_list(viewer_client, contoso):
    subscription = make_subscription(tenant=contoso)
    annotate_subscription(
        subscription=subscription, actor=SYSTEM, labels="a&b, Lab", note="Room <7>"
    )
    html = viewer_client.get(LIST).content.decode()
    assert html.count('href="?q=a%26b">a&amp;b</a>') == html.count("Room &lt;7&gt;") == 1
