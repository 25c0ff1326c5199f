"""Generate, End overlap and Delete over HTTP: as pages, as fragments, when stale."""

import re

import pytest
from django.urls import reverse

from licenses.flows.delete import delete_keys
from licenses.models import KeyState, License
from portal.activity.models import LogEntry
from portal.core.actors import Actor, ActorKind
from portal.core.dates import moment
from subscriptions.models import State, Subscription
from tests.support.answers import HTMX, WHOLE_PAGES, events, messages_of, refusals, shape, vary
from tests.support.factories import make_key, make_license, make_subscription

COLLEAGUE = Actor(kind=ActorKind.MEMBER, name="Colleague")
GENERATED = (
    "Both license keys were generated. Download one, and configure your terminal with the "
    "authorized application id."
)
MESSAGES = '<div id="messages" role="status" aria-label="Messages" hx-swap-oob="innerHTML">'
DELETED = (
    "Both license keys were deleted. The subscription stays: generate new keys to start its "
    "terminals again."
)


def url(name: str, subscription: Subscription, *slot: str) -> str:
    return reverse(f"licenses:{name}", args=[subscription.pk, *slot])


def detail(subscription: Subscription) -> str:
    return reverse("subscriptions:detail", args=[subscription.pk])


def actions() -> list[str]:
    return [*LogEntry.objects.order_by("id").values_list("action", flat=True)]


@pytest.fixture
def empty(contoso, signing_key) -> Subscription:
    return make_subscription(tenant=contoso, name="Field tools")


@pytest.fixture
def license(empty) -> License:
    return make_license(subscription=empty, holder_name="Contoso")


# Pages and fragments


@pytest.mark.parametrize("headers", WHOLE_PAGES.values(), ids=WHOLE_PAGES)
@pytest.mark.parametrize(
    ("name", "slot", "heading"),
    [
        ("reset", ["primary"], "Reset primary key"),
        ("end_overlap", ["primary"], "Stop the old primary key"),
        ("delete", [], "Delete both license keys"),
        ("generate", [], "Not possible now"),
    ],
)
class TestEveryDialog:
    def expected(self, name: str) -> int:
        return 422 if name == "generate" else 200

    def test_is_a_page_of_its_own(self, name, slot, heading, headers, manager_client, license):
        make_key(license=license, state=KeyState.SUPERSEDED)
        answer = manager_client.get(url(name, license.subscription, *slot), headers=headers)
        assert shape(answer) == (self.expected(name), "page", heading)

    def test_is_a_fragment_for_htmx(self, name, slot, heading, headers, manager_client, license):
        make_key(license=license, state=KeyState.SUPERSEDED)
        answer = manager_client.get(url(name, license.subscription, *slot), headers=HTMX)
        assert shape(answer) == (self.expected(name), "fragment", heading)

    def test_is_kept_by_no_cache(self, name, slot, heading, headers, manager_client, license):
        make_key(license=license, state=KeyState.SUPERSEDED)
        answer = manager_client.get(url(name, license.subscription, *slot), headers=headers)
        assert answer["Cache-Control"] == "no-store"
        assert vary(answer) == {"HX-Request", "Cookie"}


# Generate


def test_generate_is_filled_in_for_the_tenant(manager_client, empty):
    form = manager_client.get(url("generate", empty)).context["form"]
    assert [(field.label, field.value()) for field in form] == [
        ("Usage", "org"),
        ("Organization or Business Name", "Contoso"),
    ]


def test_generate_makes_both_keys_and_leads_back(manager_client, manager, empty):
    answer = manager_client.post(url("generate", empty), {"usage": "per", "holder_name": "Ann"})
    assert (answer.status_code, answer.url) == (302, detail(empty))
    assert answer["Cache-Control"] == "no-store"
    assert messages_of(answer) == [GENERATED]
    license = License.objects.get()
    assert (license.usage, license.holder_name, license.created_by_name) == (
        "per",
        "Ann",
        manager.name,
    )
    assert sorted(license.keys.values_list("slot", "state")) == [
        ("primary", "current"),
        ("secondary", "current"),
    ]
    assert actions() == ["license_keys.generated"]


def test_generate_tells_an_htmx_page_by_an_event(manager_client, empty):
    answer = manager_client.post(
        url("generate", empty), {"usage": "org", "holder_name": "Contoso"}, headers=HTMX
    )
    assert answer.status_code == 200
    assert events(answer) == ["close-dialog", "subscription-changed"]
    html = answer.content.decode()
    assert html[: len(MESSAGES)] == MESSAGES
    assert html.count(GENERATED) == 1
    assert messages_of(manager_client.get(detail(empty))) == []
    assert License.objects.count() == 1


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_generate_says_what_is_wrong_and_loses_nothing(headers, manager_client, empty):
    typed = {"usage": "per", "holder_name": "https://evil.example"}
    answer = manager_client.post(url("generate", empty), typed, headers=headers)
    kind = "fragment" if headers else "page"
    assert shape(answer) == (422, kind, "License Audience")
    form = answer.context["form"]
    assert list(form.errors) == ["holder_name"]
    assert {name: form[name].value() for name in typed} == typed
    assert not License.objects.exists()


def test_generate_knows_the_usages_of_the_plan_only(manager_client, empty):
    answer = manager_client.post(url("generate", empty), {"usage": "edu", "holder_name": "Ann"})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["usage"]


def test_a_second_generate_is_told_who_was_first(manager_client, owner_client, manager, empty):
    posted = {"usage": "org", "holder_name": "Contoso"}
    manager_client.post(url("generate", empty), posted)
    answer = owner_client.post(url("generate", empty), posted)
    license = License.objects.get()
    assert answer.status_code == 422
    assert refusals(answer) == [
        (
            f"{manager.name} generated the license keys of this subscription on "
            f"{moment(license.created_at)}. Nothing was generated again."
        )
    ]


@pytest.mark.parametrize("state", [State.PENDING, State.SUSPENDED, State.ENDED])
def test_generate_is_refused_unless_active(state, manager_client, contoso, signing_key):
    subscription = make_subscription(tenant=contoso, state=state)
    has = "has ended" if state == State.ENDED else f"is {state}"
    sentence = f"This subscription {has}. License keys are generated for active subscriptions only."
    opened = manager_client.get(url("generate", subscription))
    assert (opened.status_code, opened.context["sentence"]) == (422, sentence)
    pressed = manager_client.post(
        url("generate", subscription), {"usage": "org", "holder_name": "Contoso"}
    )
    assert (pressed.status_code, refusals(pressed)) == (422, [sentence])
    assert not License.objects.exists()


# End overlap


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_an_overlap_ends_early(headers, manager_client, license):
    old = make_key(license=license, state=KeyState.SUPERSEDED)
    address = url("end_overlap", license.subscription, "primary")
    silent = manager_client.post(address)
    assert messages_of(silent) == ["The form did not say which key was shown. Open it again."]
    seen = manager_client.get(address).context["form"].initial
    answer = manager_client.post(address, seen, headers=headers)
    if headers:
        assert events(answer) == ["close-dialog", "subscription-changed"]
    else:
        assert answer.url == detail(license.subscription)
        assert messages_of(answer) == ["The old primary key is refused from now on."]
    old.refresh_from_db()
    assert (old.state, actions()) == (KeyState.REPLACED, ["license_key.overlap_ended"])


def test_an_overlap_that_is_over_can_not_be_ended(manager_client, license):
    address = url("end_overlap", license.subscription, "primary")
    opened = manager_client.get(address)
    assert (opened.status_code, opened.context["sentence"]) == (
        422,
        "No old key of this slot is accepted any more.",
    )
    seen = {"expected_jti": license.keys.current().get(slot="primary").jti}
    assert messages_of(manager_client.post(address, seen)) == [
        "No old primary key is accepted any more: its overlap is over already."
    ]
    assert actions() == []


# Delete


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_delete_takes_the_name_and_nothing_else(headers, manager_client, license):
    address = url("delete", license.subscription)
    for typed in ["", "field tools", "yes"]:
        answer = manager_client.post(address, {"confirmation": typed}, headers=headers)
        kind = "fragment" if headers else "page"
        assert shape(answer) == (422, kind, "Delete both license keys")
        assert refusals(answer) == ["That does not match. Type Field tools as it is written here."]
    assert (actions(), License.objects.not_deleted().count()) == ([], 1)


def test_delete_of_a_suspended_subscription_says_that_terminals_are_refused_already(
    manager_client, license
):
    address = url("delete", license.subscription)
    assert b"do not start until they have new keys" in manager_client.get(address).content
    Subscription.objects.update(state=State.SUSPENDED)
    shown = " ".join(manager_client.get(address).content.decode().split())
    assert "Terminals are refused already, as the subscription is not active." in shown
    assert 'id="use"' not in shown


def test_a_reset_that_gains_no_time_says_so(manager_client, license):
    address = reverse("licenses:reset", args=[license.subscription_id, "primary"])
    said = b"because the subscription ends then: renew it first"
    assert said not in manager_client.get(address).content
    Subscription.objects.update(ends_at=license.keys.latest("expires_at").expires_at)
    assert said in manager_client.get(address).content


def test_delete_takes_both_keys_and_leads_back(manager_client, manager, license):
    address = url("delete", license.subscription)
    answer = manager_client.post(address, {"confirmation": " Field tools "})
    assert (answer.status_code, answer.url) == (302, detail(license.subscription))
    assert messages_of(answer) == [DELETED]
    license.refresh_from_db()
    assert license.deleted_by_name == manager.name
    assert [*license.keys.values_list("state", "token")] == [("deleted", None)] * 2
    assert actions() == ["license_keys.deleted"]


def test_delete_tells_an_htmx_page_by_an_event(manager_client, license):
    address = url("delete", license.subscription)
    answer = manager_client.post(address, {"confirmation": "Field tools"}, headers=HTMX)
    assert (answer.status_code, events(answer)) == (200, ["close-dialog", "subscription-changed"])
    assert answer.content.decode().count(DELETED) == 1


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_stale_delete_is_told_who_was_first(method, headers, manager_client, license):
    gone = delete_keys(license=license, actor=COLLEAGUE)
    address = url("delete", license.subscription)
    answer = getattr(manager_client, method)(
        address, {"confirmation": "Field tools"}, headers=headers
    )
    assert shape(answer) == (422, "fragment" if headers else "page", "Not possible now")
    assert answer.context["sentence"] == (
        f"Colleague deleted these license keys on {moment(gone.deleted_at)}. Nothing is left to "
        "delete."
    )
    assert actions() == ["license_keys.deleted"]


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_reset_of_deleted_keys_is_told_who_deleted_them(method, manager_client, license):
    gone = delete_keys(license=license, actor=COLLEAGUE)
    address = url("reset", license.subscription, "primary")
    answer = getattr(manager_client, method)(address, {"overlap": "now"})
    assert (answer.status_code, answer.context["sentence"]) == (
        422,
        (
            f"Colleague deleted these license keys on {moment(gone.deleted_at)}. There is nothing "
            "to reset."
        ),
    )


def test_other_stale_buttons_on_deleted_keys_say_so(manager_client, license):
    delete_keys(license=license, actor=COLLEAGUE)
    subscription = license.subscription
    download = manager_client.get(url("download", subscription, "primary"))
    assert messages_of(download) == [
        "These license keys were deleted. There is nothing to download."
    ]
    check = manager_client.post(url("check", subscription), {"slot": "primary"})
    assert refusals(check) == ["These license keys were deleted. There is nothing to check."]
    assert manager_client.get(url("claims", subscription, "primary")).status_code == 404


def test_deleted_and_generated_again_acts_on_the_new_keys(manager_client, license):
    delete_keys(license=license, actor=COLLEAGUE)
    new = make_license(subscription=license.subscription)
    answer = manager_client.get(url("download", license.subscription, "primary"))
    assert answer.json()["key"] == new.keys.get(slot="primary").token


def test_without_keys_there_is_nothing_to_act_on(manager_client, empty):
    names = ["check", "delete"]
    slotted = ["download", "claims", "reset", "end_overlap"]
    addresses = [url(name, empty) for name in names]
    addresses += [url(name, empty, "primary") for name in slotted]
    assert [manager_client.get(address).status_code for address in addresses] == [404] * 6


# Other tenants


def test_what_another_tenant_has_and_what_nobody_has_look_the_same(stranger_client, license):
    real, none = str(license.subscription_id), "00000000-0000-4000-8000-000000000000"
    address = url("delete", license.subscription)
    answers = [stranger_client.get(address.replace(real, one)) for one in (real, none)]
    assert [answer.status_code for answer in answers] == [404, 404]
    differ = rb'(?<=csrfmiddlewaretoken" value=")\w+|\b[0-9a-f]{16}\b'  # and the reference
    pages = [re.sub(differ, b"", answer.content) for answer in answers]
    assert pages[0] == pages[1]


def test_a_member_of_two_tenants_acts_in_one_at_a_time(client_for, stranger, contoso, license):
    stranger.memberships.create(tenant=contoso, role="owner")
    client = client_for(stranger)
    address = url("check", license.subscription)
    assert client.get(address).status_code == 404
    session = client.session
    session["tenant_id"] = str(contoso.pk)
    session.save()
    assert client.get(address).status_code == 200
