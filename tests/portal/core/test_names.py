"""Names that people give: one form, one set of rules, at every door."""

import importlib
import unicodedata
from time import thread_time
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connection
from django.urls import reverse

from licenses import holder_name
from licenses.models import License
from portal.accounts.flows.accounts import edit_user, rename_user
from portal.accounts.models import User
from portal.activity.models import LogEntry
from portal.core import names
from portal.core.actors import SYSTEM
from portal.core.refusal import Refused
from portal.operators.tenant_rows import TenantRow
from portal.tenants.flows.invitations import join_as_new_person
from portal.tenants.flows.sign_up import sign_up_owner
from portal.tenants.flows.tenants import open_tenant, update_tenant
from portal.tenants.models import Invitation, Role, Tenant
from subscriptions.flows.add import add_subscription
from subscriptions.flows.edit import edit_subscription
from subscriptions.flows.rename import rename_subscription
from subscriptions.models import Plan, Subscription
from tests.support.factories import make_license, make_subscription

UNTIDY = (
    " Zoe\u0308\u00a0\u3000 \u200bO\u00ad\u2019N\u200ee\u200fi\u061cl\ufff9\ufffb\U000e0041\ufeff\t"
)
TIDY = "Zoë O’Neil"

INVISIBLE = [
    "\u200b",
    "\u2060\u00ad",
    "\u3164",
    "\u2800",
    "\u115f",
    "\u200d\u200e",
    "\ufe0f",
    " \u00a0",
]
CONTROLS = ["Bob\n\nverify", "Bob\u202egnp", "Bob\x00", "Bob\u2028x", "Bob\u2067x", "Bob\ud800"]
LINKS = ["Bob https://evil.example", "bob@evil.example", "www.evil", "evil.example",
         "evil\uff0eexample", "bob\uff20evil", "Blocked, verify at t.co/abc1",
         "contoso-1.com/x", "evil-a.de/login", "x.com", "X.COM", "T.Co/x", "evil_.de", "a\u0338.de",
         "1.2.3.4/x", "evil\uff61example", "Bob.Miller"]  # fmt: skip
EMPTY = {"Enter a name: this one shows nothing.", "This field cannot be blank.", "Enter a name.",
         "This field is required.", "Enter your name."}  # fmt: skip


def invitation(tenant, email="new@contoso.example"):
    made = {"role": Role.VIEWER, "token_sha256": email, "invited_by": tenant.members.get()}
    return Invitation.objects.get_or_create(tenant=tenant, email=email, defaults=made)[0]


@pytest.fixture
def doors(owner, contoso, db):
    """Every flow that takes a name, as name → what is stored."""
    subscription = make_subscription(tenant=contoso)

    def sign_up(name, tenant_name="Northwind"):
        return sign_up_owner(
            email="new@northwind.example",
            name=name,
            password=None,
            identity=None,
            tenant_name=tenant_name,
            country="NLD",
        )

    def new_subscription(name):
        return Subscription(
            tenant=contoso,
            plan=Plan.objects.get(code="smb-yearly"),
            name=name,
            beneficiary_tenant_id=contoso.pk,
        )

    def opened(name):
        tenant = Tenant(name=name, country="NLD")
        actor = owner.as_actor()
        return open_tenant(tenant=tenant, owner_email="a@b.example", actor=actor, reason="-").name

    people = {
        "rename": lambda name: rename_user(user=owner, name=name, actor=SYSTEM).name,
        "edit": lambda name: (
            edit_user(user=owner, changes={"name": name}, actor=SYSTEM, reason="-").name
        ),
        "sign up": lambda name: sign_up(name).user.name,
        "join": lambda name: (
            join_as_new_person(invitation=invitation(contoso), name=name, password=None).user.name
        ),
        "createsuperuser": lambda name: (
            User.objects.create_superuser("root@vendor.example", "pass phrase", name=name).name
        ),
    }
    tenants = {
        "sign up with": lambda name: sign_up("Bob", name).tenant.name,
        "open": opened,
        "update": lambda name: update_tenant(tenant=contoso, actor=SYSTEM, name=name).name,
    }
    subscriptions = {
        "rename subscription": lambda name: (
            rename_subscription(subscription=subscription, actor=SYSTEM, name=name).name
        ),
        "edit subscription": lambda name: (
            edit_subscription(
                subscription=subscription, changes={"name": name}, actor=SYSTEM, reason="-"
            ).name
        ),
        "add subscription": lambda name: (
            add_subscription(subscription=new_subscription(name), actor=SYSTEM, reason="-").name
        ),
    }
    return SimpleNamespace(
        in_mails=people | tenants, all=people | tenants | subscriptions, subscription=subscription
    )


def refused(door, name):
    with pytest.raises((Refused, ValidationError)) as refusal:
        door(name)
    error = refusal.value
    if isinstance(error, Refused):
        return error.sentence
    assert isinstance(error, ValidationError)
    return error.messages[0]


def test_every_flow_stores_the_form_that_people_see(doors):
    stored = {}
    for way, door in doors.all.items():
        User.objects.filter(email="new@northwind.example").delete()
        stored[way] = door(UNTIDY)
    assert stored == dict.fromkeys(doors.all, TIDY)
    assert {row.name for row in Subscription.objects.all()} == {TIDY}


def test_no_flow_takes_what_shows_nothing(doors):
    told = {refused(door, name) for door in doors.all.values() for name in INVISIBLE}
    assert told <= EMPTY


def test_no_flow_takes_controls(doors):
    told = {refused(door, name) for door in doors.all.values() for name in CONTROLS}
    assert told == {names.CONTROLS}


def test_no_address_stands_in_the_name_of_a_person_or_tenant(doors):
    told = {refused(door, name) for door in doors.in_mails.values() for name in LINKS}
    assert told == {names.NO_ADDRESS}


@pytest.mark.parametrize(
    "name",
    ["J. Miller", "J.Miller", "J.P.Morgan", "A.T.U. GmbH", "A.T.U.GmbH", "St. Gallen", "e.V.",
     "1. FC Köln", ".NET Foundation", "Bob (J.Miller)", "Version 1.2.3", "3.14 Ltd.", "a. B"],
)  # fmt: skip
def test_initials_and_numbers_are_no_address(name, owner):
    assert rename_user(user=owner, name=name, actor=SYSTEM).name == name


@pytest.mark.parametrize(
    "name", ["a" * 20_000, "a." * 10_000, "eyJ" * 10_000, "1" * 20_000, "a\u0316\u0301" * 20_000]
)
def test_the_length_is_judged_before_anything_that_takes_time(name, owner_client, doors):
    begin = thread_time()
    told = {refused(door, name) for door in doors.all.values()}
    response = owner_client.post(reverse("profile:detail"), {"name": name})
    with pytest.raises(Refused) as refusal:
        holder_name.admit(name)
    told |= {*response.context["form"].errors["name"], refusal.value.sentence}
    assert {sentence.partition(" at most ")[0] for sentence in told} == {"Use"}
    assert thread_time() - begin < 5


def test_length_counts_as_stored(owner):
    assert rename_user(user=owner, name="e\u0301" * 150, actor=SYSTEM).name == "é" * 150
    assert "this has 151." in refused(
        lambda name: rename_user(user=owner, name=name, actor=SYSTEM), "e\u0301" * 151
    )


def test_a_name_that_looks_the_same_changes_nothing(owner):
    owner.name = TIDY
    owner.save()
    rename_user(user=owner, name=UNTIDY, actor=SYSTEM)
    assert not LogEntry.objects.exists()


def test_forms_say_it_at_the_field(owner_client, doors):
    address = reverse("subscriptions:rename", args=[doors.subscription.pk])
    response = owner_client.post(address, {"name": "\u200b"})
    assert response.status_code == 422
    assert response.context["form"].errors["name"] == ["Enter a name."]
    response = owner_client.post(reverse("profile:detail"), {"name": "Bob https://evil.example"})
    assert response.context["form"].errors["name"] == [names.NO_ADDRESS]


def test_the_importer_reads_names_alike():
    row = TenantRow({"name": UNTIDY, "country": "USA", "owner_email": "a@b.example"})
    assert row.is_valid(), row.errors
    assert row.cleaned_data["name"] == TIDY


@pytest.mark.parametrize(
    "term", ["zoë", "ZOË", "Zoe\u0308", "o’n", "zoë\u00a0o’neil", "ZOË\u200b O"]
)
def test_search_finds_what_people_see(term, contoso):
    found = make_subscription(tenant=contoso, name=TIDY)
    make_subscription(tenant=contoso, name="Other")
    assert list(contoso.subscriptions.matching(term)) == [found]


@pytest.mark.parametrize("term", ["GRÖẞE", "größe"])
def test_the_admin_finds_what_people_see(term, operator_client):
    Tenant.objects.create(name="Größe", country="DEU")
    term = term.replace("ẞ", "ß")
    response = operator_client.get(reverse("admin:portal_tenant_changelist"), {"q": term})
    assert [str(row) for row in response.context["cl"].result_list] == ["Größe"]


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d", "\ufe0e", "\ufe0f"], ids=ascii)
@pytest.mark.parametrize("name", ["Production", "Größe"])
def test_search_and_confirmation_do_not_ask_for_joiners(
    name, joiner, contoso, manager_client, signing_key
):
    subscription = make_subscription(tenant=contoso)
    make_license(subscription=subscription)
    stored = f"{name[:3]}{joiner}{name[3:]}"
    rename_subscription(subscription=subscription, actor=SYSTEM, name=stored)
    for typed in (name, stored, f"{name[:2]}\ufe0f{name[2:]}"):
        assert list(contoso.subscriptions.matching(typed)) == [subscription]
    address = reverse("licenses:delete", args=[subscription.pk])
    assert manager_client.post(address, {"confirmation": name}).status_code == 302


def test_delete_is_confirmed_by_what_people_see(manager_client, contoso, signing_key):
    subscription = make_subscription(tenant=contoso, name=TIDY)
    make_license(subscription=subscription)
    address = reverse("licenses:delete", args=[subscription.pk])
    typed = {"confirmation": "Zoe\u0308\u00a0O’N\u200eeil"}
    assert manager_client.post(address, typed).status_code == 302


# Names from before

STORED = {
    TIDY: TIDY,
    UNTIDY: TIDY,
    "\u200b": "Unnamed person",
    "Bob\n\nverify at https://evil.example": "Bob verify at https evil. example",
    "Bob\u202e www.evil.example": "Bob www evil. example",
    "jane@contoso.com": "jane contoso. com",
    "\u0958" * 150: unicodedata.normalize("NFC", "\u0958" * 75),
    "1.2.3.4/x or t.co/abc1": "1. 2. 3. 4/x or t. co/abc1",
    "\uff57\uff57\uff57\uff0eevil\uff0eexample": "www evil. example",
}


@pytest.mark.parametrize(("stored", "right"), STORED.items(), ids=ascii)
def test_a_stored_name_is_put_right_once(stored, right):
    put = {"max_length": 150, "in_mails": True, "otherwise": "Unnamed person"}
    assert names.put_right(stored, **put) == right
    assert names.put_right(right, **put) == right
    names.validate(right)
    names.validate_no_address(right)


def test_migrations_put_names_right_and_leave_what_is_signed(contoso, owner, signing_key):
    subscription = make_subscription(tenant=contoso)
    license = make_license(subscription=subscription)
    Subscription.objects.update(name="\u200b")
    License.objects.update(holder_name="A\u00a0B")
    User.objects.update(name="Bob\n\nhttps://evil.example")
    Tenant.objects.update(name="contoso.com\u202e")
    editor = SimpleNamespace(connection=connection)
    for app, number in (("portal", "0006"), ("subscriptions", "0002")):
        migration = importlib.import_module(f"{app}.migrations.{number}_names_put_right")
        for _ in range(2):
            migration.put_names_right(apps, editor)
    for row in (subscription, license, owner, contoso):
        row.refresh_from_db()
    assert (subscription.name, license.holder_name) == ("Unnamed subscription", "A\u00a0B")
    assert (owner.name, contoso.name) == ("Bob https evil. example", "contoso. com")
