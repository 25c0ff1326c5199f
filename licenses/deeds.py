"""What operators do to licenses and license keys: they revoke keys."""

from typing import Any

from django import forms
from django.db import transaction

from licenses.flows.revoke import revoke
from licenses.models import ANSWERED, License, LicenseKey, Slot
from portal.actors import Actor
from portal.admin_deeds import Deed
from portal.dates import moment
from portal.forms import ReasonForm
from portal.refusal import Refused

CONSEQUENCE = (
    "Every check of a revoked key is refused from now on, an overlap included; terminals that use "
    "it do not start. It can not be undone. Reset gives the slot a new key."
)


class SlotsForm(ReasonForm):
    """Which of the two slots."""

    slots = forms.TypedChoiceField(
        label="License keys",
        choices=[("both", "Both"), *Slot.choices],
        coerce=lambda value: list(Slot) if value == "both" else [Slot(value)],
    )


@transaction.atomic
def revoke_slots(license: License, *, slots: list[Slot], actor: Actor, reason: str) -> None:
    """Revoke the keys of these slots that still answer, those in an overlap too.

    Raises Refused when the license keys were deleted.
    """
    answering = license.keys.filter(slot__in=slots, state__in=ANSWERED).order_by("pk")
    if not answering:
        raise Refused("These license keys were deleted; their checks are refused already.")
    for key in answering:
        revoke(key=key, actor=actor, reason=reason)


def _license(license: License) -> str:
    if license.deleted_at:
        return f"{license.tenant}, {license.subscription}: deleted {moment(license.deleted_at)}"
    return f"{license.tenant}, {license.subscription}"


def _key(key: LicenseKey) -> str:
    state: Any = f"revoked {moment(key.revoked_at)}" if key.revoked_at else key.get_state_display()
    return f"{key.tenant}: {state.lower()}, expires {moment(key.expires_at)}"


REVOKE_KEY = Deed(
    name="revoke",
    label="Revoke",
    says=CONSEQUENCE,
    act=lambda key, **said: revoke(key=key, **said),
    of=_key,
    permission="revoke",
)

REVOKE_LICENSE = Deed(
    name="revoke",
    label="Revoke license keys",
    says=CONSEQUENCE,
    act=revoke_slots,
    of=_license,
    form=SlotsForm,
    permission="revoke",
)
