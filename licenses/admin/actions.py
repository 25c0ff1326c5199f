"""Operator actions that revoke license keys."""

from typing import Any

from django import forms

from licenses.flows.revoke import revoke_key, revoke_slots
from licenses.models import ANSWERED, License, LicenseKey, Slot
from portal.core.dates import moment
from portal.operators.actions import OperatorAction
from portal.operators.forms import ReasonForm

CONSEQUENCE = (
    "Every check of a revoked key is refused from now on, an overlap included; terminals that use "
    "it do not start. It cannot be undone. Reset gives the slot a new key."
)


class SlotsForm(ReasonForm):
    """Whose keys to revoke: one slot or both."""

    slots = forms.TypedChoiceField(
        label="License keys",
        choices=[("both", "Both"), *Slot.choices],
        coerce=lambda value: list(Slot) if value == "both" else [Slot(value)],
    )


def _license(license: License) -> str:
    if license.deleted_at:
        return f"{license.tenant}, {license.subscription}: deleted {moment(license.deleted_at)}"
    return f"{license.tenant}, {license.subscription}"


def _key(key: LicenseKey) -> str:
    state: Any = f"revoked {moment(key.revoked_at)}" if key.revoked_at else key.get_state_display()
    subscription = key.license.subscription
    return f"{subscription} of {key.tenant}: {state.lower()}, expires {moment(key.expires_at)}"


def _revoke_slots(license: License, *, slots: list[Slot], **chosen: Any) -> list[Slot]:
    revoke_slots(license=license, slots=slots, **chosen)
    return slots


def _revoked(license: License, slots: list[Slot]) -> str:
    which = " and ".join(slot.label for slot in slots).lower()
    plural = len(slots) > 1
    return (
        f"The {which} key{'s' if plural else ''} of {license.subscription} "
        f"{'are' if plural else 'is'} revoked. The {which} slot{'s' if plural else ''} "
        f"need{'' if plural else 's'} a reset: owners and managers do it."
    )


REVOKE_KEY = OperatorAction(
    name="revoke",
    label="Revoke",
    consequences=(CONSEQUENCE,),
    flow=lambda key, **chosen: revoke_key(key=key, **chosen),
    summarize=_key,
    permission="revoke",
    is_dangerous=True,
    is_possible=lambda key: key.state in ANSWERED and key.revoked_at is None,
    why_not=lambda key: "already revoked" if key.revoked_at else key.get_state_display().lower(),
    done=lambda key, _: _revoked(key.license, [Slot(key.slot)]),
)

REVOKE_LICENSE = OperatorAction(
    name="revoke",
    label="Revoke license keys",
    consequences=(CONSEQUENCE,),
    flow=_revoke_slots,
    summarize=_license,
    form=SlotsForm,
    permission="revoke",
    is_dangerous=True,
    is_possible=lambda license: license.deleted_at is None,
    why_not=lambda _: "deleted",
    done=_revoked,
)
