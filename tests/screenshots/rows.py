"""What the pictures show besides the demonstration; it runs within the portal that is drawn."""

import json
import re
from urllib.parse import urlsplit

from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from licenses.flows.generate import generate_keys
from licenses.models import Usage
from portal.accounts.flows.email_change import ask_email_change
from portal.accounts.models import User
from portal.mail.models import Outbox
from portal.operators.flows.recovery import replace_owner
from portal.tenants.flows.invitations import invite_member
from portal.tenants.flows.notifications import choose_notifications
from portal.tenants.models import Role, Tenant, Topic
from subscriptions.models import Plan, State, Subscription
from tests.support.accounts import make_member
from tests.support.error_pages import ERRORS, error_page
from tests.support.factories import make_tenant

WITH_KEYS = 60
LINK = re.compile(r"^https?://\S+$", re.MULTILINE)


def make() -> None:
    """Make the rows, and print as JSON the `links` of mails by person and `errors` by path."""
    with transaction.atomic():  # after it the worker sends the mails, and forgets their texts
        _tenants_of_sizes()
        links = _links()
    errors = {
        f"/errors/{number}-{template.removesuffix('.html')}/": error_page(template, context)
        for number, (template, context) in enumerate(ERRORS)
    }
    print(json.dumps({"links": links, "errors": errors}))


def _link(to: str, part: str) -> str:
    """Return the path of the link in the newest mail to the address that has `part` in its path."""
    mail = Outbox.objects.filter(to=to, text__contains=part).latest("pk")
    [path] = [urlsplit(link).path for link in LINK.findall(mail.text) if part in link]
    return path


def _tenants_of_sizes() -> None:
    """Make tenants without and with 1,000 subscriptions: those of the demonstration have few.

    WITH_KEYS of them get keys.
    """
    plan, now = Plan.objects.get(code="isvu-monthly"), timezone.now()
    for name, count in (("none", 0), ("thousand", 1000)):
        tenant = make_tenant(name=f"Tenant with {name}")
        owner = make_member(tenant=tenant, role=Role.OWNER, email=f"owner@{name}.example")
        made = Subscription.objects.bulk_create(
            Subscription(
                tenant=tenant,
                plan=plan,
                name=f"Prüfstandsüberwachung Nordrhein-Westfalen {number}",
                labels="production, Villingen-Schwenningen" if number % 7 == 0 else "",
                state=State.PENDING if number % 3 else State.ACTIVE,
                activated_at=None if number % 3 else now,
                beneficiary_tenant_id=tenant.pk,
                starts_at=now,
            )
            for number in range(count)
        )
        for subscription in [each for each in made if each.state == State.ACTIVE][:WITH_KEYS]:
            generate_keys(
                subscription=subscription,
                actor=owner.as_actor(""),
                usage=Usage.ORGANIZATIONAL,
                holder_name=tenant.name,
            )


def _links() -> dict[str, list[str]]:
    """Let the portal mail every link that shows a page of its own, and return their paths."""
    people = {user.email: user for user in User.objects.all()}
    owner, viewer = people["owner@contoso.example"], people["viewer@contoso.example"]
    contoso = Tenant.objects.get(memberships__user=owner)
    other = Tenant.objects.get(memberships__user=people["owner@none.example"])
    stranger = Client(SERVER_NAME="localhost")
    stranger.post(reverse("account_signup"), {"email": "ada@lovelace.example"})
    stranger.post(reverse("account_reset_password"), {"email": owner.email})
    invited = "anna.lindqvist@contoso.example"
    for tenant, email, by in (
        (contoso, invited, owner),
        (other, viewer.email, people["owner@none.example"]),
    ):
        invite_member(tenant=tenant, email=email, role=Role.MANAGER, actor=by.as_actor(""))
    told = "accounts@contoso.example"
    choose_notifications(
        tenant=other,
        topics=Topic.values,
        expiry_days=[7],
        recipients=[told],
        actor=people["owner@none.example"].as_actor(""),
    )
    ask_email_change(user=viewer, email="vera@contoso.example", actor=viewer.as_actor(""))
    replace_owner(
        tenant=other,
        email="ada@lovelace.example",
        actor=people["operator@operator.example"].as_actor(""),
        reason="The owner has left the company; ticket 813",
    )
    to_new = _link(invited, "/invitations/")
    return {
        "mails": [
            _link("ada@lovelace.example", "/accounts/signup/"),
            _link(owner.email, "/password/reset/key/"),
            to_new,
            _link(viewer.email, "/invitations/"),
            _link(viewer.email, "/email/stop/"),
            _link(told, "/notifications/stop/"),
            _link("owner@none.example", "/objections/"),
        ],
        "viewer": [to_new, _link(viewer.email, "/invitations/")],
    }
