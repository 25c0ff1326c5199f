"""Check a key from the portal: the same check that terminals get, recorded in the log."""

from collections.abc import Mapping

from django.db import transaction

from licenses.checking.check import Verdict, check
from licenses.models import License, LicenseKey, Slot
from portal.activity.actions import Action
from portal.activity.entries import record
from portal.core.actors import Actor
from portal.core.refusal import Refused
from portal.tenants.models import Tenant
from subscriptions.models import SubscriptionQuerySet


def check_stored_key(*, license: License, slot: Slot, actor: Actor) -> Verdict:
    """Check the key in the slot. Raises Refused when it was deleted meanwhile."""
    key = license.keys.current().filter(slot=slot).first()
    if key is None or key.token is None:
        raise Refused("These license keys were deleted. There is nothing to check.")
    return check_presented_key(
        token=key.token,
        expected={"consumer_tenant_id": str(license.tenant_id)},
        tenant=license.tenant,
        actor=actor,
    )


def check_presented_key(
    *,
    token: str,
    expected: Mapping[str, str | None],
    tenant: Tenant,
    actor: Actor,
    reached: SubscriptionQuerySet | None = None,
) -> Verdict:
    """Check a pasted key, or the key of an uploaded file, whose members are then in `expected`.

    The tenant that a file names takes precedence, as if a terminal had sent it; the caller makes
    sure that it is this tenant (`expected_from_file`). The check is recorded only if the key is
    one of the tenant's own, and of a subscription `reached` where the caller does not reach all:
    any other key is a mismatch.
    """
    expected = {"consumer_tenant_id": str(tenant.pk), **expected}
    verdict = check(token, expected=expected)
    if verdict.key is not None and verdict.key.tenant_id == tenant.pk:
        key = LicenseKey.objects.select_related("license__subscription").get(pk=verdict.key.pk)
        if reached is not None and not reached.filter(pk=key.license.subscription_id).exists():
            return check(token, expected=expected | {"subject": None})
        with transaction.atomic():
            record(
                actor=actor,
                action=Action.KEY_CHECKED,
                tenant_id=tenant.pk,
                subscription=key.license.subscription,
                slot=key.slot,
                result=verdict.result,
                details={"jti": str(key.jti)},
                now=verdict.checked_at,
            )
    return verdict
