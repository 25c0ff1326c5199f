"""Make, rotate and revoke service tokens."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import LogEntry
from portal.core import names, token_format
from portal.core.actors import Actor
from portal.core.dates import moment, moment_beside_utc
from portal.core.links import public_link
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.tenants.flows.members import refuse_unless_owner
from portal.tenants.models import Tenant
from portal.tenants.notices import Words, by, notify
from subscriptions.models import Subscription
from subscriptions.service_tokens.models import (
    MAX_DAYS,
    REMINDERS,
    Scope,
    ServiceToken,
    TokenState,
    hashed,
)

MAX_TOKENS = 50
"""Tokens of one tenant that work at the same time, those in the overlap of a rotation included."""

MAX_NETWORKS = 20

MISPLACED_EVERY = timedelta(hours=1)


@transaction.atomic
def make_token(
    *,
    id: UUID,
    tenant: Tenant,
    name: str,
    scopes: Sequence[str],
    subscriptions: Sequence[Subscription] | None,
    networks: Sequence[str],
    days: int,
    actor: Actor,
    now: datetime | None = None,
) -> tuple[ServiceToken, str]:
    """Store a new token and mail the owners; return it with its secret, which is kept nowhere.

    `id` is chosen by the form, so that a form that is sent twice makes one token. None for
    `subscriptions` stands for all of the tenant, later ones too. Raises Refused, for the field.
    """
    now = now or timezone.now()
    locked = lock(Tenant, tenant.pk)
    refuse_unless_owner(locked, actor)
    _refuse_if_made(locked, id)
    name = names.admitted(name, max_length=100, in_mails=True)
    working = locked.service_tokens.working(now)
    if working.filter(overlap_ends_at=None, name__iexact=name).exists():
        raise Refused("Another token has this name: the log tells them apart by it.", field="name")
    if working.count() >= MAX_TOKENS:
        raise Refused(f"{locked} has {MAX_TOKENS} tokens. Revoke one that is not needed.")
    scopes = [scope for scope in Scope.values if scope in scopes]
    if not scopes:
        raise Refused("Choose what the token may do.", field="scopes")
    if not 1 <= days <= MAX_DAYS:
        raise Refused(f"Choose 1 to {MAX_DAYS} days.", field="days")
    chosen = _own(locked, subscriptions)
    raw = token_format.generate()
    token = ServiceToken(
        id=id,
        tenant=locked,
        name=name,
        scopes=scopes,
        for_all_subscriptions=subscriptions is None,
        networks=read_networks(networks),
    )
    _store(token, raw, ends=now + timedelta(days=days), actor=actor, now=now)
    token.chosen.set(chosen)
    record(
        actor=actor,
        action=Action.TOKEN_MADE,
        tenant_id=locked.pk,
        details={
            **_named(token),
            "scopes": token.scopes,
            "subscriptions": [str(one.pk) for one in chosen]
            if subscriptions is not None
            else "all",
            "networks": token.networks,
            "expires_at": token.expires_at.isoformat(),
        },
        now=now,
    )
    _tell_owners(token, f"Service token {token} was made by {by(actor)}")
    return token, raw


@transaction.atomic
def rotate_token(
    *, token: ServiceToken, overlap: timedelta, actor: Actor, now: datetime | None = None
) -> tuple[ServiceToken, str]:
    """Make the token's successor, with all that it may and as long a life, and mail the owners.

    Returns the successor with its secret. The old secret works until the end of the overlap, at
    most until it expires. Raises Refused when the token was rotated or revoked or has expired.
    """
    now = now or timezone.now()
    tenant = lock(Tenant, token.tenant_id)
    refuse_unless_owner(tenant, actor)
    old = ServiceToken.objects.select_related("successor").get(pk=token.pk)
    _refuse_unless_active(old, now)
    if tenant.service_tokens.working(now).count() > MAX_TOKENS:  # one more while it rotates
        raise Refused(
            f"{tenant} has {MAX_TOKENS + 1} tokens, those in an overlap included. Revoke one that "
            "is not needed."
        )
    raw = token_format.generate()
    new = ServiceToken(
        tenant=tenant,
        name=old.name,
        scopes=old.scopes,
        for_all_subscriptions=old.for_all_subscriptions,
        networks=old.networks,
    )
    _store(new, raw, ends=now + (old.expires_at - old.created_at), actor=actor, now=now)
    new.chosen.set(old.chosen.all())
    old.successor = new
    old.overlap_ends_at = ends_at = min(now + overlap, old.expires_at)
    old.save(update_fields=["successor", "overlap_ends_at"])
    record(
        actor=actor,
        action=Action.TOKEN_ROTATED,
        tenant_id=tenant.pk,
        details={
            **_named(new),
            "predecessor": str(old.pk),
            "overlap_ends_at": old.overlap_ends_at.isoformat(),
            "expires_at": new.expires_at.isoformat(),
        },
        now=now,
    )
    _tell_owners(
        new,
        f"Service token {new} was rotated by {by(actor)}",
        consequence=(lambda: f"The old token works until {moment_beside_utc(ends_at)}.")
        if overlap
        else "The old token has stopped working.",
    )
    return new, raw


@transaction.atomic
def revoke_token(
    *, token: ServiceToken, actor: Actor, reason: str = "", now: datetime | None = None
) -> ServiceToken:
    """End the token at once, mail the owners, and return it; one that has ended stays as it is."""
    now = now or timezone.now()
    tenant = lock(Tenant, token.tenant_id)
    refuse_unless_owner(tenant, actor)
    locked = ServiceToken.objects.get(pk=token.pk)
    if not locked.works_at(now):
        return locked
    locked.revoked_at = now
    locked.revoked_by_name = actor.name[:200]
    locked.revoked_reason = reason
    locked.save(update_fields=["revoked_at", "revoked_by_name", "revoked_reason"])
    record(
        actor=actor,
        action=Action.TOKEN_REVOKED,
        tenant_id=tenant.pk,
        reason=reason,
        details=_named(locked),
        now=now,
    )
    _tell_owners(
        locked,
        f"Service token {locked} was revoked by {by(actor)}",
        reason=reason,
        consequence=f"Programs that use it are refused. It was last used: {locked.last_use()}.",
    )
    return locked


def note_misplaced(*, token: ServiceToken, address: str, now: datetime) -> None:
    """Record and mail that the token was used from where it does not work, once an hour.

    Whoever has it outside of its networks has found it, or runs a program at the wrong place.
    """
    if _was_noted(token, now):  # the lock is not for each request of whoever found it
        return
    with transaction.atomic():
        tenant = lock(Tenant, token.tenant_id)
        if _was_noted(token, now):
            return
        record(
            actor=token.actor(address),
            action=Action.TOKEN_MISPLACED,
            tenant_id=tenant.pk,
            details=_named(token),
            now=now,
        )
        _tell_owners(
            token,
            f"Service token {token} was used from elsewhere",
            consequence=f"A program at {address or 'an unknown address'} has the token and was "
            "refused, because the token works from its networks alone. Revoke it, unless that "
            "program is yours.",
        )


def _was_noted(token: ServiceToken, now: datetime) -> bool:
    noted = LogEntry.objects.for_tenant(token.tenant_id).of_action(Action.TOKEN_MISPLACED)
    return noted.by_actor(token.pk).filter(at__gt=now - MISPLACED_EVERY).exists()


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def read_networks(texts: Sequence[str]) -> list[str]:
    """Return networks as they are stored: CIDR, each once; a single address is a network too.

    Raises Refused, for the field `networks`.
    """
    found = dict.fromkeys(_read_network(text) for text in texts)
    if len(found) > MAX_NETWORKS:
        raise Refused(f"Enter at most {MAX_NETWORKS} networks.", field="networks")
    return list(found)


def _read_network(text: str) -> str:
    if "%" in text:
        raise Refused(
            "Enter addresses without a zone (%): it has a meaning on one machine only.",
            field="networks",
        )
    try:
        network = ipaddress.ip_network(text.strip()[:50], strict=False)
    except ValueError:
        example = "such as 198.51.100.0/24 or 2001:db8::/32"
        raise Refused(f"“{text[:50]}” is no network, {example}.", field="networks") from None
    if "/" in text and ipaddress.ip_interface(text.strip()).ip != network.network_address:
        raise Refused(
            f"“{text[:50]}” names an address in a network. Enter {network} for the whole network.",
            field="networks",
        )
    if network.version == 6 and network.subnet_of(_MAPPED):  # addresses are compared as IPv4
        address = int(network.network_address) & 0xFFFFFFFF
        return str(ipaddress.IPv4Network((address, network.prefixlen - _MAPPED.prefixlen)))
    return str(network)


def _own(tenant: Tenant, subscriptions: Sequence[Subscription] | None) -> list[Subscription]:
    """Return the chosen subscriptions. Raises Refused for none, and for one of another tenant."""
    if subscriptions is None:
        return []
    own = list(tenant.subscriptions.filter(pk__in=[one.pk for one in subscriptions]))
    if not own or len(own) < len(subscriptions):
        raise Refused("Enter the subscriptions that the token reaches.", field="subscriptions")
    return own


def _refuse_if_made(tenant: Tenant, id: UUID) -> None:
    """Raise Refused for a form that was sent before: its answer showed the secret."""
    made = tenant.service_tokens.filter(pk=id).first()
    if made is not None:
        raise Refused(
            f"{made} was made already, on {moment(made.created_at)} by {made.created_by_name}. Its "
            "secret was shown then and is not kept: rotate the token if you do not have it."
        )


def _refuse_unless_active(token: ServiceToken, now: datetime) -> None:
    state = token.state_at(now)
    if state == TokenState.REVOKED:
        raise Refused(f"{token} was revoked by {token.revoked_by_name}. Make a new token.")
    if token.successor is not None:
        made = token.successor
        raise Refused(
            f"{token} was rotated on {moment(made.created_at)} by {made.created_by_name}. The "
            "secret of its successor was shown then: rotate that one if you do not have it."
        )
    if state != TokenState.ACTIVE:
        raise Refused(f"{token} has expired. Make a new token.")


def _store(token: ServiceToken, raw: str, *, ends: datetime, actor: Actor, now: datetime) -> None:
    token.secret_sha256, token.ending = hashed(raw), raw[-4:]
    token.created_at, token.expires_at = now, ends
    token.created_by_id, token.created_by_name = actor.user_id, actor.name[:200]
    # Reminders that would be due from the beginning are left out.
    token.reminded_days = min(
        (d for d in REMINDERS if ends - now <= timedelta(days=d)), default=None
    )
    token.save(force_insert=True)


def _named(token: ServiceToken) -> dict[str, str]:
    return {"name": token.name, "id": str(token.pk), "ends_in": token.ending}


def _tell_owners(
    token: ServiceToken, news: str, *, reason: str = "", consequence: Words = ""
) -> None:
    """Mail all owners, the one who acted too: it may have been somebody at their browser."""
    notify(
        token.tenant_id,
        topic=None,
        owners_only=True,
        subject=news,
        reason=reason,
        consequence=consequence,
        lead="See the service tokens",
        link=public_link(reverse("service_tokens:list")),
    )
