"""The demonstration: three tenants, their people, and a year of what happened to them."""

import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils import timezone

from licenses import keys
from licenses.checking.results import Result
from licenses.flows.download import download_key
from licenses.flows.generate import generate_keys
from licenses.flows.notice import notice_rotations
from licenses.flows.reset import Overlap, reset_key
from licenses.flows.signing_keys import rotate_signing_key
from licenses.models import CheckCount, License, LicenseKey, Slot, Usage
from portal.accounts.allauth_internals import TOTP, generate_totp_secret
from portal.accounts.models import User
from portal.activity.actions import Action
from portal.activity.models import LogEntry
from portal.config.kept_secrets import write_private
from portal.core.actors import Actor
from portal.mail.models import Outbox
from portal.mail.outbox import MAX_KEPT_FOR
from portal.operators.flows.recovery import replace_owner
from portal.tenants.flows.invitations import invite_member
from portal.tenants.models import Member, Role, Tenant
from portal.webhooks.delivering import finish
from portal.webhooks.flows import add_endpoint
from portal.webhooks.models import EVERYTHING, Delivery
from portal.webhooks.sending import GONE, Answer
from subscriptions.flows import suspend_resume_end
from subscriptions.flows.activate import activate_subscription
from subscriptions.flows.add import add_subscription
from subscriptions.flows.rename import rename_subscription
from subscriptions.flows.start_community import start_community_subscription
from subscriptions.models import Plan, Subscription
from subscriptions.service_tokens.flows import make_token, revoke_token
from subscriptions.service_tokens.models import Scope, ServiceToken

OPERATOR = "operator"
CONTOSO, FABRIKAM, KITAKAZE = "Contoso Ltd", "Fabrikam GmbH", "北風計測株式会社"
PEOPLE = [
    ("owner@contoso.example", "Dana Ruiz", CONTOSO, Role.OWNER.value),
    ("manager@contoso.example", "Milan Novak", CONTOSO, Role.MANAGER.value),
    ("viewer@contoso.example", "Vera Lindqvist", CONTOSO, Role.VIEWER.value),
    ("engineer@contoso.example", "Ines Duarte", CONTOSO, Role.MANAGER.value),
    ("owner@fabrikam.example", "Felix Braun", FABRIKAM, Role.OWNER.value),
    ("owner@kitakaze.example", "北村 春香", KITAKAZE, Role.OWNER.value),
    ("operator@operator.example", "Oona Salo", None, OPERATOR),
]
WITH_APP = {"engineer@contoso.example", "operator@operator.example"}
"""Who has an authenticator app."""
JOINED = {
    "manager@contoso.example": 352,
    "viewer@contoso.example": 190,
    "engineer@contoso.example": 60,
    "operator@operator.example": 400,
}
"""How many days ago people joined; owners did when their tenant was made."""
TENANTS_AGE = 365
COUNTRIES = {CONTOSO: "USA", FABRIKAM: "DEU", KITAKAZE: "JPN"}
BUYERS = {
    CONTOSO: "manager@contoso.example",
    FABRIKAM: "owner@fabrikam.example",
    KITAKAZE: "owner@kitakaze.example",
}
DAY = timedelta(days=1)
FIRST_SIGNING_KEY = 400 * DAY
"""Age of the first signing key: older than every sample key, so that its certificate covers them,
the expired ones too."""
ROTATION = 150
"""Days since the second signing key signs; it was published two days earlier."""


@dataclass(frozen=True)
class Account:
    """One account of the demonstration, in WITH_APP with the app's secret in base32."""

    email: str
    password: str
    tenant: str | None
    role: str
    totp_secret: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A subscription with its history, told in days before now.

    `resets` are (days, slot, overlap); `busy` is how many checks terminals make in an hour of
    work.
    """

    name: str
    plan: str
    bought: int
    is_pending: bool = False
    is_self_started: bool = False
    keys: int | None = None
    resets: tuple[tuple[int, Slot, Overlap], ...] = ()
    suspended: int | None = None
    ended: int | None = None
    ends_in: int | None = None
    reason: str = ""
    usage: Usage = Usage.ORGANIZATIONAL
    busy: int = 0


def _both(*ages: int) -> tuple[tuple[int, Slot, Overlap], ...]:
    """Return resets of both slots: first the secondary, two days later the primary key."""
    return tuple(
        reset
        for age in ages
        for reset in (
            (age + 2, Slot.SECONDARY, Overlap.NOW),
            (age, Slot.PRIMARY, Overlap.WEEK),
        )
    )


SAMPLES = {
    CONTOSO: [
        Sample(
            name="Data pipeline",
            plan="isv-monthly",
            bought=220,
            keys=218,
            resets=_both(188, 159, 130),
            ended=100,
            reason="Not renewed",
            busy=20,
        ),
        Sample(
            name="Student lab",
            plan="community",
            bought=290,
            is_self_started=True,
            keys=275,
            resets=_both(188, 100),
            usage=Usage.EDUCATIONAL,
            busy=4,
        ),
        Sample(
            name="Research cluster",
            plan="community",
            bought=175,
            keys=172,
            resets=_both(85),
            usage=Usage.RESEARCH,
            busy=15,
        ),
        Sample(
            name="Build farm",
            plan="micro-yearly",
            bought=330,
            keys=310,
            suspended=3,
            reason="Invoice 2041 has been overdue for 30 days",
            busy=12,
        ),
        Sample(
            name="Shop analytics",
            plan="enterprise-yearly",
            bought=300,
            keys=299,
            resets=_both(40),
            busy=60,
        ),
        Sample(
            name="Field tools",
            plan="smb-monthly",
            bought=95,
            keys=94,
            resets=_both(72, 48, 25, 3),
            busy=9,
        ),
        Sample(name="Release automation", plan="smb-yearly", bought=5),
        Sample(name="Partner toolkit", plan="isvu-monthly", bought=1, is_pending=True),
    ],
    FABRIKAM: [
        Sample(
            name="Werkzeugkette",
            plan="enterprise-yearly",
            bought=200,
            keys=199,
            resets=_both(10),
            busy=35,
        ),
        Sample(
            name="Fertigungsstraßensteuerung Halle 3, Außenstelle Villingen-Schwenningen",
            plan="smb-yearly",
            bought=361,
            keys=360,
            ends_in=4,
            busy=6,
        ),
        Sample(name="Messplatz", plan="micro-monthly", bought=4),
    ],
    KITAKAZE: [
        Sample(
            name="計測端末",
            plan="smb-monthly",
            bought=125,
            keys=124,
            resets=_both(94, 64),
            busy=5,
        ),
    ],
}


def accounts_file() -> Path:
    """Return the path of the file with the sign-ins."""
    return Path(settings.DATA_DIR) / "demo.json"


def draft_file() -> Path:
    """Return the path of the file for new sign-ins, until their accounts have these passwords."""
    return Path(settings.DATA_DIR) / "demo.draft.json"


def prepare(*, now: datetime | None = None) -> list[Account]:
    """Create the demonstration, or complete it, and return its sign-ins.

    New sign-ins are drafted before the accounts get their passwords, everything in the database
    is one transaction, and the draft becomes the file after it: a run that is killed half-way is
    finished by the next one. If the file exists, the passwords are left as they are.
    """
    drafted = not accounts_file().exists()
    accounts = _accounts(_kept(draft_file() if drafted else accounts_file()))
    if drafted:
        _write(draft_file(), accounts)
    now = now or timezone.now()
    keys.ensure_active(now=now - FIRST_SIGNING_KEY)
    with transaction.atomic():
        users = {account.email: _user(account, renew=drafted) for account in accounts}
        if not Tenant.objects.filter(name__in=COUNTRIES).exists():
            _fill(users, now)
    _write(accounts_file(), accounts)
    draft_file().unlink(missing_ok=True)
    return accounts


def throw_away() -> None:
    """Delete the stored sign-ins."""
    accounts_file().unlink(missing_ok=True)
    draft_file().unlink(missing_ok=True)


def _kept(path: Path) -> dict[str, Account]:
    if not path.exists():
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))["accounts"]
    return {entry["email"]: Account(**entry) for entry in entries}


def _accounts(kept: dict[str, Account]) -> list[Account]:
    if kept:
        return list(kept.values())
    return [
        Account(
            email=email,
            password=secrets.token_urlsafe(12),
            tenant=tenant,
            role=role,
            totp_secret=generate_totp_secret() if email in WITH_APP else None,
        )
        for email, _, tenant, role in PEOPLE
    ]


def _write(path: Path, accounts: list[Account]) -> None:
    content = {
        "url": settings.PUBLIC_URL,
        "metrics_token": settings.METRICS_TOKEN,
        "accounts": [_as_json(account) for account in accounts],
    }
    write_private(path, json.dumps(content, indent=2) + "\n")


def _as_json(account: Account) -> dict[str, Any]:
    """Return the account; `totp_secret` is left out if it has none."""
    members = asdict(account)
    if account.totp_secret is None:
        del members["totp_secret"]
    return members


def _user(account: Account, *, renew: bool) -> User:
    """Return the account's user; new ones, and all if `renew`, get the password and the app."""
    name = next(name for email, name, _, _ in PEOPLE if email == account.email)
    user = User.objects.filter(email=account.email).first()
    if user is None:
        is_operator = account.role == OPERATOR
        user = User.objects.create_user(
            account.email,
            account.password,
            name=name,
            is_staff=is_operator,
            is_superuser=is_operator,
        )
        EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    elif renew:
        validate_password(account.password, user)
        user.set_password(account.password)
        user.save(update_fields=["password"])
    else:
        return user
    if account.totp_secret:
        Authenticator.objects.filter(user=user).delete()
        TOTP.activate(user, account.totp_secret)
    return user


def _fill(users: dict[str, User], now: datetime) -> None:
    tenants = {
        name: Tenant.objects.create(name=name, country=country, created_at=now - TENANTS_AGE * DAY)
        for name, country in COUNTRIES.items()
    }
    for number, (email, _, tenant, role) in enumerate(PEOPLE, 1):
        if (user := users.get(email)) is None:  # of sign-ins that an older release has made
            continue
        user.date_joined = now - JOINED.get(email, TENANTS_AGE) * DAY
        user.last_login = now - number * timedelta(minutes=30)
        user.save(update_fields=["date_joined", "last_login"])
        Authenticator.objects.filter(user=user).update(created_at=user.date_joined)
        if tenant is not None:
            Member.objects.create(
                tenant=tenants[tenant], user=user, role=role, joined_at=user.date_joined
            )
    actors = {email: user.as_actor("") for email, user in users.items()}
    events = _events(tenants, actors, now)
    for at, happen in sorted(events, key=lambda event: event[0]):
        happen(now=at)
        _deliver(at, now)
        _post(at, now)
    _check(now)


type Event = tuple[datetime, Callable[..., Any]]
"""When something happens, and the flow for it, which takes that moment as `now`."""


def _events(tenants: dict[str, Tenant], actors: dict[str, Actor], now: datetime) -> list[Event]:
    operator = actors["operator@operator.example"]
    rotate = partial(rotate_signing_key, actor=operator, reason="Twice a year")
    events: list[Event] = [
        (now - (ROTATION + 2) * DAY, rotate),
        (now - ROTATION * DAY, rotate),
        (
            now - 3 * DAY,
            partial(
                invite_member,
                tenant=tenants[CONTOSO],
                email="accounting@contoso.example",
                role=Role.VIEWER,
                actor=actors["owner@contoso.example"],
            ),
        ),
        (
            now - timedelta(hours=3),
            partial(
                replace_owner,
                tenant=tenants[KITAKAZE],
                email="director@kitakaze.example",
                actor=operator,
                reason="The owner has left the company; ticket 812",
            ),
        ),
    ]
    events += _programs(tenants[CONTOSO], actors["owner@contoso.example"], now)
    for name, samples in SAMPLES.items():
        for sample in samples:
            events += _bought(sample, tenants[name], actors[BUYERS[name]], operator, now)
    return events


PROGRAMS = "198.51.100.7"
"""From where programs use service tokens (an address of RFC 5737)."""
WEBHOOK = "https://hooks.contoso.example/license-portal"
"""A name that exists nowhere (RFC 2606), and the portal never asks for it: see `_deliver`."""


def _programs(tenant: Tenant, owner: Actor, now: datetime) -> list[Event]:
    """Return what happens to service tokens, one of which ends soon, and to a webhook."""
    read, download = Scope.SUBSCRIPTIONS_READ, Scope.KEYS_DOWNLOAD
    tokens = [
        ("Old build server", 200, 400, [read, download, Scope.KEYS_RESET], []),
        ("Build pipeline", 80, 90, [read, download, Scope.KEYS_CHECK], [f"{PROGRAMS}/32"]),
        ("Key renewal", 20, 365, [read, download, Scope.KEYS_RENEW], []),
    ]
    events: list[Event] = []
    for name, made, days, scopes, networks in tokens:
        make = partial(
            make_token,
            id=uuid4(),
            tenant=tenant,
            name=name,
            scopes=scopes,
            subscriptions=None,
            networks=networks,
            days=days,
            actor=owner,
        )
        events.append((now - made * DAY, make))
    hour = timedelta(hours=1)
    events += [(now - days * DAY + hour, partial(_use, "Build pipeline")) for days in (23, 4, 2)]
    events += [(now - days * DAY + 2 * hour, partial(_use, "Key renewal")) for days in (18, 1)]
    revoke = partial(_revoke, "Old build server", owner, "The server was replaced")
    add = partial(add_endpoint, tenant=tenant, url=WEBHOOK, events=[EVERYTHING], actor=owner)
    return [*events, (now - 79 * DAY, revoke), (now - 29 * DAY, add)]


def _use(name: str, *, now: datetime) -> None:
    """Let a program download the primary key of the tenant's shop with its token."""
    token = ServiceToken.objects.get(name=name)
    license = License.objects.not_deleted().get(subscription__name="Shop analytics")
    download_key(license=license, slot=Slot.PRIMARY, actor=token.actor(PROGRAMS), now=now)
    token.last_used_at, token.last_used_from = now, PROGRAMS
    token.save(update_fields=["last_used_at", "last_used_from"])


def _revoke(name: str, actor: Actor, reason: str, *, now: datetime) -> None:
    token = ServiceToken.objects.get(name=name)
    revoke_token(token=token, actor=actor, reason=reason, now=now)


def _deliver(at: datetime, now: datetime) -> None:
    """Let the events of the webhook have been delivered, until its receiver was taken away.

    The portal has switched it off since, so that no worker connects anywhere.
    """
    waiting = Delivery.objects.waiting().filter(endpoint__off_at=None)
    for delivery in waiting.select_related("event"):
        later = at + timedelta(minutes=1)
        if now - at < 4 * DAY:
            finish(delivery, Answer(code=GONE, text="Gone", milliseconds=64), now=at)
            return
        if delivery.event.type == "subscription.activated":
            finish(delivery, Answer(code=503, text="Deploying", milliseconds=1_204), now=at)
            finish(delivery, Answer(code=204, text="", milliseconds=96), now=later)
        else:
            finish(delivery, Answer(code=204, text="", milliseconds=88), now=at)


def _bought(
    sample: Sample, tenant: Tenant, buyer: Actor, operator: Actor, now: datetime
) -> list[Event]:
    """Return what happens to a subscription from the day it is bought."""
    bought = now - sample.bought * DAY
    subscription = Subscription(
        tenant=tenant,
        plan=Plan.objects.get(code=sample.plan),
        name=sample.name,
        starts_at=bought,
        ends_at=None if sample.ends_in is None else now + sample.ends_in * DAY,
        created_at=bought,
        beneficiary_tenant_id=tenant.pk,
        beneficiary_object_id=buyer.user_id,
        beneficiary_email=buyer.email,
    )
    its: dict[str, Any] = {"subscription": subscription}
    add = partial(add_subscription, **its, actor=operator, reason="Bought in the marketplace")
    events: list[Event] = [(bought, add)]
    if sample.is_self_started:
        events = [(bought, partial(_start, subscription, buyer))]
    elif not sample.is_pending:
        activate = partial(activate_subscription, **its, actor=buyer)
        events.append((bought + timedelta(hours=1), activate))
    if sample.keys is not None:
        at = now - sample.keys * DAY
        generate = partial(_generate, subscription, buyer, sample.usage, tenant.name)
        events += [(at, generate), *_downloads(subscription, Slot, buyer, at)]
    for days, slot, overlap in sample.resets:
        at = now - days * DAY
        events += [
            (at, partial(_reset, subscription, slot, buyer, overlap)),
            *_downloads(subscription, [slot], buyer, at),
            (at + timedelta(minutes=25), partial(_use_first, subscription, slot)),
        ]
    for ago, flow in (
        (sample.suspended, suspend_resume_end.suspend_subscription),
        (sample.ended, suspend_resume_end.end_subscription),
    ):
        if ago is not None:
            change = partial(flow, **its, actor=operator, reason=sample.reason)
            events.append((now - ago * DAY, change))
    return events


def _start(subscription: Subscription, actor: Actor, *, now: datetime) -> None:
    """Start the free community subscription of the tenant, under its name here."""
    started = start_community_subscription(tenant=subscription.tenant, actor=actor, now=now)
    rename_subscription(subscription=started, actor=actor, name=subscription.name)
    Subscription.objects.filter(pk=started.pk).update(created_at=now)
    subscription.pk = started.pk
    subscription.refresh_from_db()


def _downloads(
    subscription: Subscription, slots: Iterable[Slot], actor: Actor, at: datetime
) -> list[Event]:
    return [
        (at + timedelta(minutes=5 * place), partial(_download, subscription, slot, actor))
        for place, slot in enumerate(slots, 1)
    ]


def _download(subscription: Subscription, slot: Slot, actor: Actor, *, now: datetime) -> None:
    license = License.objects.not_deleted().get(subscription=subscription)
    download_key(license=license, slot=slot, actor=actor, now=now)


def _generate(
    subscription: Subscription, actor: Actor, usage: Usage, holder_name: str, *, now: datetime
) -> None:
    """Generate from the subscription as it is stored by then."""
    subscription.refresh_from_db()
    generate_keys(
        subscription=subscription, actor=actor, usage=usage, holder_name=holder_name, now=now
    )


def _reset(
    subscription: Subscription, slot: Slot, actor: Actor, overlap: Overlap, *, now: datetime
) -> None:
    license = License.objects.not_deleted().get(subscription=subscription)
    old = license.keys.current().get(slot=slot)
    reset_key(
        license=license,
        slot=slot,
        actor=actor,
        overlap=overlap,
        expected_jti=old.jti,
        now=now,
    )


def _use_first(subscription: Subscription, slot: Slot, *, now: datetime) -> None:
    """Let a terminal have checked the new key of a slot, the first time that anybody did."""
    its = {"license__subscription": subscription, "license__deleted_at": None}
    key = LicenseKey.objects.current().get(slot=slot, **its)
    CheckCount.objects.create(
        tenant_id=key.tenant_id,
        license_key=key,
        hour=now.replace(minute=0, second=0, microsecond=0),
        result=Result.VALID,
        count=1,
        last_at=now,
    )
    notice_rotations(now=now)


def _post(at: datetime, now: datetime) -> None:
    """Let the mail of an event have been sent at its time; nobody keeps it for longer than a month.

    One to an address that is gone was given up, so that operators see what that looks like.
    """
    waiting = Outbox.objects.waiting()
    if now - at > MAX_KEPT_FOR:
        waiting.delete()
    sent = {"created_at": at, "send_after": at, "attempts": 1, "text": "", "html": ""}
    gone = waiting.filter(to="accounting@contoso.example")
    error = "550 5.1.1 The address does not exist"
    gone.update(**sent, last_error=error, given_up_at=at + timedelta(hours=1))
    waiting.update(**sent, sent_at=at)


BY_HOUR = [
    5,
    5,
    5,
    5,
    5,
    10,
    25,
    60,
    95,
    100,
    100,
    95,
    75,
    90,
    100,
    95,
    85,
    60,
    35,
    20,
    15,
    10,
    8,
    5,
]
"""How busy each hour of a day is (UTC), in percent."""

BY_DAY = [95, 100, 100, 100, 85, 30, 20]
"""How busy each day of a week is, Monday first, in percent."""

USED_WITHIN = timedelta(minutes=30)
"""Until then after its issue, a key was first used; `_check` counts from then on."""

HOURLY = 31 * DAY
"""How far back checks are counted by the hour: the charts go no further. Before, one row a day."""


def _check(now: datetime) -> None:
    """Store the checks by terminals, in bulk: they are counters, and no flow of their own."""
    present = now.replace(minute=0, second=0, microsecond=0)
    hours = [present - timedelta(hours=ago) for ago in range(HOURLY // timedelta(hours=1))]
    noons = [hours[-1].replace(hour=12) - day * DAY for day in range(1, 330)]
    busy = {sample.name: sample.busy for samples in SAMPLES.values() for sample in samples}
    changed = LogEntry.objects.filter(action=Action.SUBSCRIPTION_CHANGED)
    stops = {row.subscription_id: (row.at, row.details["after"]["state"]) for row in changed}
    counts = [
        CheckCount(
            tenant_id=key.tenant_id,
            license_key=key,
            hour=hour,
            result=result,
            count=count,
            last_at=min(hour + timedelta(minutes=59), now),
        )
        for key in LicenseKey.objects.defer("token").select_related("license__subscription")
        for hour in (*hours, *noons)
        if hour >= key.issued_at + USED_WITHIN
        for result, share in _heard(key, hour, *stops.get(key.license.subscription_id, (None, "")))
        if (count := _rhythm(busy[key.license.subscription.name] * share, key.pk, hour)) > 0
    ]
    CheckCount.objects.bulk_create(counts, batch_size=2_000)


def _heard(
    key: LicenseKey, at: datetime, stopped: datetime | None, state: str
) -> list[tuple[Result, float]]:
    """Return what terminals with the key heard at that time, and how much of its checks."""
    slot = 0.8 if key.slot == Slot.PRIMARY else 0.2
    end = key.accepted_until or key.replaced_at
    if end is not None and at >= end:
        return [(Result.REPLACED, slot / 20)] if at < end + 6 * DAY else []
    if stopped is not None and at >= stopped:
        word = {"suspended": Result.SUBSCRIPTION_SUSPENDED, "ended": Result.SUBSCRIPTION_ENDED}
        return [(word[state], slot / 4)] if at < stopped + 20 * DAY else []
    if at >= key.expires_at:
        return [(Result.EXPIRED, slot / 3)] if at < key.expires_at + 90 * DAY else []
    if key.replaced_at is not None and at >= key.replaced_at:
        return [(Result.SUPERSEDED, slot / 3)]
    stranger = (Result.APPLICATION_NOT_AUTHORIZED, slot / 50)
    return [(Result.VALID, slot), *([stranger] if at.hour == 14 else [])]


def _rhythm(checks: float, seed: int, hour: datetime) -> int:
    """Return how many checks an hour has by hour and day of the week, a little uneven."""
    uneven = 80 + (seed * 37 + hour.timetuple().tm_yday * 17 + hour.hour * 29) % 41
    return round(checks * BY_HOUR[hour.hour] * BY_DAY[hour.weekday()] * uneven / 1_000_000)
