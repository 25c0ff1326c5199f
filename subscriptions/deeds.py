"""What operators do to subscriptions, as the admin's confirmation pages tell it."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.utils import timezone

from portal.admin_deeds import Deed
from portal.dates import moment
from portal.forms import ReasonForm
from subscriptions.flows import standing
from subscriptions.flows.activate import activate
from subscriptions.flows.change_plan import CONSEQUENCE, change_plan
from subscriptions.flows.extend import extend
from subscriptions.models import Plan, Subscription


class EndForm(ReasonForm):
    """When the subscription ends."""

    ends_at = forms.SplitDateTimeField(
        label="End (UTC)",
        required=False,
        widget=AdminSplitDateTime,
        help_text="Empty: no end.",
    )


class PlanForm(ReasonForm):
    """The plan to move to."""

    plan = forms.ModelChoiceField(Plan.objects.offered())


def _at_present(subscription: Subscription) -> str:
    state = subscription.state_at(timezone.now()).label
    return f"{subscription.tenant}: {subscription.plan}, {state.lower()}, {_end(subscription)}"


def _end(subscription: Subscription) -> str:
    at: datetime | None = subscription.ends_at
    return f"end {moment(at)}" if at else "no end"


def _deed(name: str, label: str, says: str, flow: Any, **more: Any) -> Deed:
    return Deed(
        name=name,
        label=label,
        says=says,
        act=lambda row, **said: flow(subscription=row, **said),
        of=_at_present,
        **more,
    )


DEEDS = (
    _deed(
        "activate",
        "Activate",
        "Pending subscriptions become active: the customer can generate license keys.",
        activate,
    ),
    _deed(
        "suspend",
        "Suspend",
        "Active subscriptions are suspended: every check of their license keys is refused, and "
        "terminals do not start, until they resume.",
        standing.suspend,
    ),
    _deed(
        "resume",
        "Resume",
        "Suspended subscriptions become active again: their license keys pass checks again.",
        standing.resume,
    ),
    _deed(
        "extend",
        "Set the end date",
        "The subscription ends at this date. One whose end date has passed comes back to life. "
        "License keys that exist keep their expiry; Reset signs keys up to the new end.",
        extend,
        form=EndForm,
    ),
    _deed(
        "change_plan",
        "Change the plan",
        f"The subscription gets another plan. {CONSEQUENCE} Owners and managers get a mail that "
        "says so.",
        change_plan,
        form=PlanForm,
    ),
    _deed(
        "end",
        "End",
        "The subscription ends now, for good: every check of its license keys is refused, and "
        "nothing brings it back.",
        standing.end,
    ),
)
