"""Generate the two license keys of a subscription."""

from datetime import datetime
from functools import partial

from django.conf import settings
from django.utils import timezone

from licenses import notices
from licenses.flows import signing
from licenses.holder_name import admit
from licenses.models import License, LicenseKey, Slot, Usage
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.dates import moment
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.core.rows import read
from portal.mail import outbox
from portal.tenants.models import Tenant
from subscriptions.custom_claims import completed, is_custom
from subscriptions.models import Plan, State, Subscription

COMMERCIAL_USAGES = (Usage.ORGANIZATIONAL, Usage.PERSONAL)
COMMUNITY_USAGES = (Usage.EDUCATIONAL, Usage.RESEARCH)


def usages(plan: Plan) -> tuple[Usage, ...]:
    """Return the usages that licenses of the plan may have."""
    return COMMUNITY_USAGES if plan.is_community else COMMERCIAL_USAGES


def generate_keys(
    *,
    subscription: Subscription,
    actor: Actor,
    usage: Usage,
    holder_name: str,
    now: datetime | None = None,
) -> License:
    """Create the subscription's license with its primary and secondary key; return it.

    Raises Refused when the holder's name is not allowed, when the subscription is not active or
    already has license keys (naming who generated them and when), when the plan does not allow
    the usage, or when no key can be signed.
    """
    return signing.until_current(
        partial(
            _sign_and_store,
            actor=actor,
            usage=usage,
            holder_name=admit(holder_name),
            now=now or timezone.now(),
        ),
        seen=subscription,
        read=partial(Subscription.objects.select_related("plan", "tenant").get, pk=subscription.pk),
    )


def _sign_and_store(
    subscription: Subscription, *, actor: Actor, usage: Usage, holder_name: str, now: datetime
) -> License:
    _refuse_unless_active(subscription, now)
    license = _frozen(subscription, actor, usage, holder_name, now)
    keys = signing.signed_keys(
        license=license, subscription=subscription, slots=Slot, actor=actor, now=now
    )
    with outbox.prepare() as mails:
        notices.notify_of_keys(
            license,
            what=f"License keys of {subscription.name} were generated",
            actor=actor,
            consequence="Terminals start on them once they have the license file and the "
            "authorized application id.",
        )
    with signing.storing(keys):
        locked = lock(Subscription, subscription.pk)
        locked.tenant = lock(Tenant, locked.tenant_id)  # Its country is fixed from here on.
        [locked.plan] = read(Plan, id=locked.plan_id)
        refuse_unless_generatable(locked, now)
        if _ingredients(locked) != _ingredients(subscription):
            raise signing.Outdated
        license.save(force_insert=True)
        signing.store(keys)
        _record(license, keys, locked, actor, now)
        outbox.store(mails)
    return license


def refuse_unless_generatable(subscription: Subscription, now: datetime) -> None:
    """Raise Refused, with the reason, when no license keys can be generated now."""
    _refuse_unless_active(subscription, now)
    for existing in read(License, subscription=subscription.pk, deleted_at=None):
        raise Refused(
            f"{existing.created_by_name} generated the license keys of this subscription on "
            f"{moment(existing.created_at)}. Nothing was generated again."
        )


def _refuse_unless_active(subscription: Subscription, now: datetime) -> None:
    state = subscription.state_at(now)
    if state != State.ACTIVE:
        raise Refused(
            f"This subscription {state.in_words}. License keys are generated for active "
            "subscriptions only."
        )


def _frozen(
    subscription: Subscription, actor: Actor, usage: Usage, holder_name: str, now: datetime
) -> License:
    """Return the license, unsaved, with everything that goes into its keys as it is now."""
    plan, tenant = subscription.plan, subscription.tenant
    if usage not in usages(plan):
        raise Refused("Choose one of the usages that this plan offers.", field="usage")
    return License(
        tenant=tenant,
        subscription=subscription,
        plan=plan,
        usage=usage,
        holder_name=holder_name,
        country=tenant.country,
        issuer=settings.LICENSE_ISSUER,
        tenant_audience=settings.LICENSE_TENANT_AUDIENCE.replace("{tid}", str(tenant.pk)),
        authorized_party=settings.LICENSE_AUTHORIZED_PARTY,
        plan_urn=plan.urn,
        days=plan.days,
        custom_claims=completed(plan.custom_claims) if is_custom(plan.urn) else {},
        created_at=now,
        created_by_name=actor.name,
    )


def _ingredients(subscription: Subscription) -> tuple[object, ...]:
    """Return what keys are made from, to detect under the lock whether it changed meanwhile."""
    plan, tenant = subscription.plan, subscription.tenant
    return (
        subscription.ends_at,
        plan.pk,
        plan.urn,
        plan.billing_period,
        plan.custom_claims,
        tenant.country,
    )


def _record(
    license: License,
    keys: list[LicenseKey],
    subscription: Subscription,
    actor: Actor,
    now: datetime,
) -> None:
    record(
        actor=actor,
        action=Action.KEYS_GENERATED,
        tenant_id=license.tenant_id,
        subscription=subscription,
        details={
            "usage": license.usage,
            "holder_name": license.holder_name,
            "authorized_application_id": str(license.authorized_application_id),
            "jti": [str(key.jti) for key in keys],
        },
        now=now,
    )
