"""Operator actions on licenses and license keys: to revoke keys."""

from typing import Any

from django import forms
from django.db import transaction

from licenses.flows.revoke import revoke_key, revoke_keys
from licenses.models import ANSWERED, License, LicenseKey, Slot
from portal.core.actors import Actor
from portal.core.dates import moment
from portal.core.refusal import Refused
from portal.operators.actions import OperatorAction
from portal.operators.forms import ReasonForm

CONSEQUENCE = (
    "Every check of a revoked key is refused from now on, an overlap included; terminals that use "
    "it do not start. It cannot be undone. Reset gives the slot a new key."
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
    revoke_keys(keys=answering, actor=actor, reason=reason)


def _license(license: License) -> str:
    if license.deleted_at:
        return f"{license.tenant}, {license.subscription}: deleted {moment(license.deleted_at)}"
    return f"{license.tenant}, {license.subscription}"


def _key(key: LicenseKey) -> str:
    state: Any = f"revoked {moment(key.revoked_at)}" if key.revoked_at else key.get_state_display()
    return f"{key.tenant}: {state.lower()}, expires {moment(key.expires_at)}"


REVOKE_KEY = OperatorAction(
    name="revoke",
    label="Revoke",
    consequences=(CONSEQUENCE,),
    flow=lambda key, **chosen: revoke_key(key=key, **chosen),
    summarize=_key,
    permission="revoke",
    is_dangerous=True,
)

REVOKE_LICENSE = OperatorAction(
    name="revoke",
    label="Revoke license keys",
    consequences=(CONSEQUENCE,),
    flow=revoke_slots,
    summarize=_license,
    form=SlotsForm,
    permission="revoke",
    is_dangerous=True,
)
