"""The walk over every address: who is admitted is declared, and holds for everybody."""

from collections.abc import Iterable
from typing import Any

import pytest
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver, path, reverse
from django.urls.exceptions import NoReverseMatch

from licenses.checking.results import Result
from licenses.models import KeyState
from portal.accounts.middleware import PROOF_FIRST
from portal.accounts.models import User
from portal.activity.actions import event_types
from portal.core.actors import SYSTEM
from portal.tenants.access import tenant_role
from portal.tenants.models import Invitation, Role
from portal.webhooks.flows import add_endpoint, send_test
from subscriptions.models import Subscription
from tests.support.accounts import sign_in
from tests.support.factories import make_key, make_license, make_member, make_subscription
from tests.support.service_tokens import make_service_token
from tests.support.urls import Found, walk

OTHERS = {
    "accounts/": "allauth's: LoginRequiredMiddleware holds; what is open, allauth marked itself.",
    "admin/": "Django's: every view asks AdminSite.has_permission, for staff alone.",
}
"""Addresses whose views are not ours, by how they begin, and why no declaration is needed."""

PEOPLE = ["anonymous", "stranger", "viewer", "manager", "owner", "operator"]
READ = "302 404 200 200 200 403"
MANAGE = "302 404 403 200 200 403"
ACT = "302 404 403 302 302 403"
REFUSED = "302 404 403 422 422 403"
NO_SUCH_METHOD = "302 405 405 405 405 405"
OPEN = "200 200 200 200 200 200"
CLOSED = "405 405 405 405 405 405"

TABLE = {
    # name: what each of PEOPLE gets for a GET, and for a POST with nothing in it
    "home": ("302 302 302 302 302 302", CLOSED),
    "live": (OPEN, CLOSED),
    "ready": (OPEN, CLOSED),
    "seen": ("404 404 404 404 404 404", CLOSED),  # without a proof
    "seen_by_programs": ("404 404 404 404 404 404", CLOSED),
    "delete_account": ("302 200 200 200 200 200", "302 422 422 422 422 422"),
    "export_account": ("302 200 200 200 200 200", "302 200 200 200 200 200"),
    "profile:detail": ("302 200 200 200 200 200", "302 422 422 422 422 422"),
    "profile:end_session": (NO_SUCH_METHOD, "302 404 404 404 404 404"),
    "public:check_license": (CLOSED, "415 415 415 415 415 415"),
    "public:status_lists": (OPEN, CLOSED),
    "public:status_list": ("404 404 404 404 404 404", CLOSED),
    "jwks": (OPEN, CLOSED),
    "result": (OPEN, CLOSED),
    "verify": (OPEN, CLOSED),
    "security_txt": ("404 404 404 404 404 404", CLOSED),  # without SECURITY_CONTACT
    "change_password_address": ("302 302 302 302 302 302", CLOSED),
    "identifiers": ("302 200 200 200 200 403", NO_SUCH_METHOD),
    "logs": ("302 200 200 200 200 403", NO_SUCH_METHOD),
    "export_logs": ("302 200 200 200 200 403", NO_SUCH_METHOD),
    "accept_invitation": ("404 404 404 404 404 404", "404 404 404 404 404 404"),
    "open_invitation": ("302 302 302 302 302 302", CLOSED),
    "cancel_change": ("404 404 404 404 404 404", "404 404 404 404 404 404"),
    "open_cancellation": ("302 302 302 302 302 302", CLOSED),
    "tenant:detail": ("302 200 200 200 200 403", NO_SUCH_METHOD),
    "tenant:edit": ("302 200 403 403 200 403", "302 422 403 403 422 403"),
    "tenant:invite": ("302 200 403 403 200 403", "302 422 403 403 422 403"),
    "tenant:resend_invitation": ("302 404 403 403 200 403", "302 404 403 403 302 403"),
    "tenant:revoke_invitation": ("302 404 403 403 200 403", "302 404 403 403 302 403"),
    "tenant:change_role": ("302 404 403 403 200 403", "302 404 403 403 422 403"),
    "tenant:remove_member": ("302 404 403 403 200 403", "302 404 403 403 302 403"),
    "tenant:notifications": ("302 200 403 200 200 403", "302 302 403 302 302 403"),
    "webhooks:list": ("302 200 403 200 200 403", "302 405 405 405 405 405"),
    "webhooks:add": ("302 200 403 200 200 403", "302 422 403 422 422 403"),
    "webhooks:detail": (MANAGE, NO_SUCH_METHOD),
    "webhooks:change": (MANAGE, REFUSED),
    "webhooks:rotate": (MANAGE, REFUSED),
    "webhooks:off": (MANAGE, ACT),
    "webhooks:on": (MANAGE, ACT),
    "webhooks:delete": (MANAGE, ACT),
    "webhooks:test": (MANAGE, ACT),
    "webhooks:delivery": (MANAGE, NO_SUCH_METHOD),
    "webhooks:resend": (MANAGE, ACT),
    "stop_notifications": ("404 404 404 404 404 404", "404 404 404 404 404 404"),
    "tenant:hand_over": ("302 200 403 403 200 403", "302 422 403 403 422 403"),
    "tenant:leave": (
        "302 200 200 200 200 403",
        "302 422 302 302 302 403",
    ),  # the stranger is the last owner
    "tenant:export": ("302 200 403 403 200 403", "302 200 403 403 200 403"),
    "tenant:close": ("302 200 403 403 200 403", "302 422 403 403 422 403"),
    "tenant:keep": ("302 200 403 403 200 403", "302 302 403 403 302 403"),
    "tenant:switch": (NO_SUCH_METHOD, "302 404 404 404 404 403"),
    "service_tokens:list": ("302 200 403 403 200 403", NO_SUCH_METHOD),
    "service_tokens:make": ("302 200 403 403 200 403", "302 422 403 403 422 403"),
    "service_tokens:rotate": ("302 404 403 403 200 403", "302 404 403 403 422 403"),
    "service_tokens:revoke": ("302 404 403 403 200 403", "302 404 403 403 302 403"),
    "revoke_leaked_token": (CLOSED, "400 400 400 400 400 400"),
    "metrics": ("404 404 404 404 404 404", CLOSED),  # without the token
    "subscriptions:list": ("302 200 200 200 200 403", NO_SUCH_METHOD),
    "subscriptions:download": (NO_SUCH_METHOD, "302 302 302 302 302 403"),
    "subscriptions:start_community": (NO_SUCH_METHOD, "302 302 403 302 302 403"),
    "subscriptions:detail": (READ, NO_SUCH_METHOD),
    "subscriptions:activate": (NO_SUCH_METHOD, ACT),
    "subscriptions:rename": (MANAGE, REFUSED),
    "subscriptions:annotate": (MANAGE, ACT),
    "licenses:generate": (REFUSED, REFUSED),  # this subscription has its keys
    "licenses:download": (READ, NO_SUCH_METHOD),
    "licenses:bundle": (READ, NO_SUCH_METHOD),
    "licenses:check": (READ, "302 404 422 422 422 403"),
    "licenses:check_presented": (READ, "302 404 422 422 422 403"),
    "licenses:claims": (READ, NO_SUCH_METHOD),
    "licenses:next_step": ("302 404 302 302 302 403", NO_SUCH_METHOD),
    "licenses:reset": (MANAGE, REFUSED),
    "licenses:end_overlap": (MANAGE, ACT),
    "licenses:delete": (MANAGE, REFUSED),
}

API = {
    # name: what everybody gets for a GET and for a POST: a session opens nothing there
    **dict.fromkeys(("openapi", "docs"), (200, 405)),
    **dict.fromkeys(("token", "subscriptions", "subscription", "keys", "key"), (401, 405)),
    **dict.fromkeys(("file", "files", "bundle", "log", "log_lines", "log_anchor"), (401, 405)),
    **dict.fromkeys(("generate", "check", "check_presented", "reset", "renew"), (405, 401)),
    "end_overlap": (405, 401),
}

SUPPORT = {
    # name: what an operator in a support view gets for a GET, and for a POST with nothing in it
    "home": (302, 405),
    "live": (200, 405),
    "ready": (200, 405),
    "seen": (404, 405),
    "seen_by_programs": (404, 405),
    "delete_account": (403, 403),
    "export_account": (403, 403),
    "profile:detail": (403, 403),
    "profile:end_session": (403, 403),
    "metrics": (404, 405),
    "service_tokens:list": (403, 403),
    "service_tokens:make": (403, 403),
    "service_tokens:rotate": (403, 403),
    "service_tokens:revoke": (403, 403),
    "revoke_leaked_token": (405, 400),
    "public:check_license": (405, 415),
    "public:status_lists": (200, 405),
    "public:status_list": (404, 405),
    "jwks": (200, 405),
    "result": (200, 405),
    "verify": (200, 405),
    "security_txt": (404, 405),
    "change_password_address": (302, 405),
    "identifiers": (200, 403),
    "logs": (200, 403),
    "export_logs": (403, 403),
    "accept_invitation": (403, 403),
    "open_invitation": (403, 403),
    "cancel_change": (403, 403),
    "open_cancellation": (403, 403),
    "tenant:detail": (200, 403),
    "tenant:edit": (403, 403),
    "tenant:invite": (403, 403),
    "tenant:resend_invitation": (403, 403),
    "tenant:revoke_invitation": (403, 403),
    "tenant:change_role": (403, 403),
    "tenant:remove_member": (403, 403),
    "tenant:notifications": (403, 403),
    "webhooks:list": (403, 403),
    "webhooks:add": (403, 403),
    "webhooks:detail": (403, 403),
    "webhooks:change": (403, 403),
    "webhooks:rotate": (403, 403),
    "webhooks:off": (403, 403),
    "webhooks:on": (403, 403),
    "webhooks:delete": (403, 403),
    "webhooks:test": (403, 403),
    "webhooks:delivery": (403, 403),
    "webhooks:resend": (403, 403),
    "stop_notifications": (403, 403),
    "tenant:hand_over": (403, 403),
    "tenant:leave": (403, 403),
    "tenant:export": (403, 403),
    "tenant:close": (403, 403),
    "tenant:keep": (403, 403),
    "tenant:switch": (405, 403),
    "subscriptions:list": (200, 403),
    "subscriptions:start_community": (405, 403),
    "subscriptions:download": (403, 403),
    "subscriptions:detail": (200, 403),
    "subscriptions:activate": (405, 403),
    "subscriptions:rename": (403, 403),
    "subscriptions:annotate": (403, 403),
    "licenses:generate": (403, 403),
    "licenses:download": (403, 403),
    "licenses:bundle": (403, 403),
    "licenses:check": (200, 403),
    "licenses:check_presented": (200, 403),
    "licenses:claims": (200, 403),
    "licenses:next_step": (302, 403),
    "licenses:reset": (403, 403),
    "licenses:end_overlap": (403, 403),
    "licenses:delete": (403, 403),
}


def ours(patterns: Iterable[Any]) -> list[Found]:
    return [found for found in walk(patterns) if not found[1].startswith(tuple(OTHERS))]


def undeclared(patterns: Iterable[Any]) -> list[str]:
    """Return our addresses whose view says neither whom it needs nor that it is open.

    It needs a member with a role, or a service token for an operation of the API.
    """
    return [
        route
        for _, route, view in ours(patterns)
        if not isinstance(getattr(view, "role", None), Role)
        and not hasattr(view, "operation")
        and not hasattr(view, "for_signed_in")
        and getattr(view, "login_required", True)
    ]


def test_every_view_of_ours_declares_whom_it_admits():
    assert undeclared(get_resolver().url_patterns) == []


def test_a_view_that_declares_nothing_is_found():
    def view(request: Any) -> HttpResponse:
        return HttpResponse()

    patterns = [
        path("bare/", view),
        path("open/", login_not_required(lambda request: HttpResponse())),
        path("viewers/", tenant_role(Role.VIEWER)(view)),
        path("accounts/", ([path("login/", view)], None, None)),
        path("below/", ([path("bare/", view)], "inner", "inner")),
    ]
    assert undeclared(patterns) == ["bare/", "below/bare/"]


def test_every_address_of_ours_is_in_the_table():
    listed = [*TABLE, *(f"api:{name}" for name in API)]
    assert sorted(name for name, _, _ in ours(get_resolver().url_patterns)) == sorted(listed)


def test_addresses_of_others_exist():
    routes = [route for _, route, _ in walk(get_resolver().url_patterns)]
    for prefix in OTHERS:
        assert [route for route in routes if route.startswith(prefix)], prefix


@pytest.fixture
def subscription(contoso, signing_key) -> Subscription:
    """An active one with keys, the old primary key still accepted; in a tenant with a colleague."""
    colleague = make_member(tenant=contoso, role=Role.OWNER, email="colleague@contoso.example")
    Invitation.objects.create(
        tenant=contoso, email="new@contoso.example", role=Role.VIEWER, invited_by=colleague
    )
    make_service_token(tenant=contoso)
    subscription = make_subscription(tenant=contoso)
    license = make_license(subscription=subscription)
    make_key(license=license, state=KeyState.SUPERSEDED)
    endpoint, _ = add_endpoint(
        tenant=contoso, url="https://receiver.example", events=event_types(), actor=SYSTEM
    )
    send_test(endpoint=endpoint, actor=SYSTEM)
    return subscription


WEBHOOK_PAGES = [
    f"webhooks:{page}" for page in ("detail", "change", "rotate", "off", "on", "delete", "test")
]


def address(name: str, subscription: Subscription) -> str:
    tenant = subscription.tenant
    endpoint = tenant.webhook_endpoints.get()
    webhook, sent = [endpoint.pk], [endpoint.pk, endpoint.deliveries.first().pk]
    named = {
        **dict.fromkeys(WEBHOOK_PAGES, webhook),
        **dict.fromkeys(("webhooks:delivery", "webhooks:resend"), sent),
        "tenant:resend_invitation": [tenant.invitations.pending().get().pk],
        "tenant:revoke_invitation": [tenant.invitations.get().pk],
        "tenant:change_role": [tenant.memberships.earliest("pk").pk],
        "tenant:remove_member": [tenant.memberships.earliest("pk").pk],
        "service_tokens:rotate": [tenant.service_tokens.get().pk],
        "service_tokens:revoke": [tenant.service_tokens.get().pk],
        "open_invitation": ["secret"],
        "open_cancellation": ["secret"],
        "stop_notifications": ["secret"],
        "profile:end_session": [0],
        "result": [Result.REVOKED],
    }
    if name in named:
        return reverse(name, args=named[name])
    for arguments in ([], [404], [subscription.pk], [subscription.pk, "primary"]):
        try:
            return reverse(name, args=arguments)
        except NoReverseMatch:
            continue
    raise NoReverseMatch(name)


def client_of(person: str, request: pytest.FixtureRequest) -> Client:
    if person == "anonymous":
        return Client()
    user: User = request.getfixturevalue(person)
    return sign_in(Client(), user)


@pytest.mark.parametrize("person", PEOPLE)
def test_everybody_gets_what_the_table_says(person, subscription, request):
    client = client_of(person, request)
    answers, expected = {}, {}
    for name, rows in TABLE.items():
        url = address(name, subscription)
        with transaction.atomic():  # each address sees what the fixtures made
            got, posted = client.get(url), client.post(url)
            transaction.set_rollback(True)
        answers[name] = got.status_code, posted.status_code
        expected[name] = tuple(int(row.split()[PEOPLE.index(person)]) for row in rows)
        if person == "anonymous" and name.startswith(("subscriptions:", "licenses:")):
            assert {got["Location"], posted["Location"]} == {f"/accounts/login/?next={url}"}
    assert answers == expected


@pytest.mark.parametrize("who", ["client", "owner_client", "operator_client", "support_client"])
def test_the_api_asks_for_a_service_token_and_nothing_else(who, subscription, request):
    client = request.getfixturevalue(who)
    answers = {}
    for name in API:
        url = address(f"api:{name}", subscription)
        answers[name] = (client.get(url).status_code, client.post(url).status_code)
    assert answers == API


def test_a_support_view_gets_what_its_table_says(support_client, subscription):
    answers = {}
    for name in TABLE:
        url = address(name, subscription)
        answers[name] = (
            support_client.get(url).status_code,
            support_client.post(url).status_code,
        )
    assert answers == SUPPORT


def test_a_support_view_changes_nothing_by_any_other_method(support_client, subscription):
    for name in TABLE:
        url = address(name, subscription)
        found = {
            support_client.generic(method, url).status_code
            for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
        }
        is_open = SUPPORT[name][1] != 403
        assert found == ({405} if is_open else {403}), name


def test_a_support_view_shows_no_account_page(support_client):
    arguments: list[dict[str, Any]] = [
        {},
        {"key": "x"},
        {"uidb36": "1", "key": "x"},
        {"pk": 1},
    ]
    answers = {}
    for name, route, _ in walk(get_resolver().url_patterns):
        if not route.startswith("accounts/") or name == "account_logout":
            continue
        for given in arguments:
            try:
                url = reverse(name, kwargs=given)
                break
            except NoReverseMatch:
                continue
        answers[name] = {
            support_client.get(url).status_code,
            support_client.post(url).status_code,
        }
    assert {name: found for name, found in answers.items() if found != {403}} == {}
    assert len(answers) > 20


@pytest.mark.parametrize(
    ("person", "to"),
    [
        ("anonymous", "/accounts/login/"),
        ("stranger", "/subscriptions/"),
        ("viewer", "/subscriptions/"),
        ("operator", "/admin/"),
    ],
)
def test_home_leads_everybody_to_their_place(person, to, db, request):
    assert client_of(person, request).get("/")["Location"] == to


@pytest.mark.parametrize("person", ["anonymous", "stranger", "viewer", "manager", "owner"])
def test_admin_is_for_operators_alone(person, db, request):
    client = client_of(person, request)
    lists = [
        reverse(name)
        for name, _, _ in walk(get_resolver().url_patterns)
        if name.startswith("admin:") and name.endswith(("_changelist", "_add", ":index"))
    ]
    assert [url for url in lists if client.get(url).status_code == 200] == []
    assert [url for url in lists if client.post(url).status_code == 200] == []
    assert len(lists) > 10


def test_admin_admits_an_operator(operator_client):
    assert operator_client.get("/admin/").status_code == 200


def test_allauth_leaves_to_strangers_what_signing_in_needs():
    opened = [
        name
        for name, route, view in walk(get_resolver().url_patterns)
        if route.startswith("accounts/") and not getattr(view, "login_required", True)
    ]
    assert sorted(set(opened)) == [
        "account_confirm_email",
        "account_confirm_login_code",
        "account_email_verification_sent",
        "account_inactive",
        "account_login",
        "account_logout",
        "account_reset_password",
        "account_reset_password_done",
        "account_reset_password_from_key",
        "account_reset_password_from_key_done",
        "account_signup",
        "complete_sign_up",
        "mfa_authenticate",
        "mfa_login_webauthn",
        "open_email_change",
        "open_sign_up",
        "openid_connect_callback",
        "openid_connect_login",
        "put_aside_identity",
        "revoke_email_change",
        "socialaccount_login_cancelled",
        "socialaccount_signup",
    ]


def test_the_pages_about_ones_own_sign_in_want_a_recent_proof():
    """A page of allauth that is new is put into one of these lists on purpose."""
    closed = {
        str(name)
        for name, route, view in walk(get_resolver().url_patterns)
        if route.startswith("accounts/") and getattr(view, "login_required", True)
    }
    harmless = {
        "None",  # redirects from old addresses
        "account_reauthenticate",
        "mfa_index",
        "mfa_list_webauthn",
        "mfa_reauthenticate",
        "mfa_reauthenticate_webauthn",
        "prove_at_provider",
        "socialaccount_login_error",
        "usersessions_list",
    }
    assert closed - harmless == {*PROOF_FIRST}


def test_a_viewer_is_told_which_role_is_needed(viewer_client, subscription):
    answer = viewer_client.get(reverse("licenses:delete", args=[subscription.pk]))
    sentence = (
        "Your role in Contoso is viewer; this needs the role manager. Ask an owner to change your "
        "role."
    )
    assert answer.context["exception"] == sentence
    assert answer.content.decode().count(sentence) == 1


def test_somebody_of_no_tenant_is_told_whom_to_ask(operator_client):
    answer = operator_client.get("/subscriptions/")
    assert answer.context["exception"] == (
        "You are not a member of any tenant. Ask an owner of yours to invite you."
    )


def test_a_member_who_was_removed_is_out_at_the_next_request(viewer, viewer_client):
    assert viewer_client.get("/subscriptions/").status_code == 200
    viewer.memberships.all().delete()
    assert viewer_client.get("/subscriptions/").status_code == 403
