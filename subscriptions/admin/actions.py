"""Operator actions on subscriptions."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone

from portal.core.dates import moment
from portal.operators.actions import OperatorAction
from portal.operators.forms import ReasonForm, SplitMomentField
from subscriptions.flows import suspend_resume_end
from subscriptions.flows.activate import activate_subscription
from subscriptions.flows.change_plan import CONSEQUENCE, change_subscription_plan
from subscriptions.flows.extend import extend_subscription
from subscriptions.models import Plan, State, Subscription

TOLD = "Owners and managers get a mail with the reason."


class EndForm(ReasonForm):
    """When the subscription ends."""

    ends_at = SplitMomentField(
        label="End (UTC)", required=False, help_text="Such as 2027-01-31 and 12:00. Empty: no end."
    )


class PlanForm(ReasonForm):
    """The plan to move to."""

    plan = forms.ModelChoiceField(
        Plan.objects.offered(), error_messages={"required": "Choose a plan."}
    )


def _at_present(subscription: Subscription) -> str:
    state = subscription.state_at(timezone.now()).label
    return f"{subscription.tenant}: {subscription.plan}, {state.lower()}, {_end(subscription)}"


def _end(subscription: Subscription) -> str:
    at: datetime | None = subscription.ends_at
    return f"end {moment(at)}" if at else "no end"


def _is(state: State) -> Callable[[Subscription], bool]:
    return lambda subscription: subscription.state_at(timezone.now()) == state


def _state(subscription: Subscription) -> str:
    return str(subscription.state_at(timezone.now()).label).lower()


def _ends(subscription: Subscription, _: Any) -> str:
    if subscription.ends_at is None:
        return f"{subscription} has no end now."
    return (
        f"{subscription} ends {moment(subscription.ends_at)}. License keys that exist keep their "
        "expiry until they are reset."
    )


def _action(
    name: str, label: str, consequence: str, flow: Callable[..., Any], **more: Any
) -> OperatorAction:
    return OperatorAction(
        name=name,
        label=label,
        consequences=(consequence,),
        flow=lambda row, **chosen: flow(subscription=row, **chosen),
        summarize=_at_present,
        why_not=_state,
        **more,
    )


ACTIONS = (
    _action(
        "activate",
        "Activate",
        "Pending subscriptions become active: the customer can generate license keys.",
        activate_subscription,
        is_possible=_is(State.PENDING),
        done=lambda row, _: f"{row} is active. The customer can generate license keys.",
    ),
    _action(
        "suspend",
        "Suspend",
        "Active subscriptions are suspended: every check of their license keys is refused, and "
        f"terminals do not start, until the subscription is resumed. {TOLD}",
        suspend_resume_end.suspend_subscription,
        is_dangerous=True,
        is_possible=_is(State.ACTIVE),
        done=lambda row, _: f"{row} is suspended. Terminals are refused from their next start.",
        next=("resume",),
    ),
    _action(
        "resume",
        "Resume",
        "Suspended subscriptions become active again: their license keys pass checks again. "
        f"{TOLD}",
        suspend_resume_end.resume_subscription,
        is_possible=_is(State.SUSPENDED),
        done=lambda row, _: f"{row} is active again. Its license keys pass checks again.",
    ),
    _action(
        "extend",
        "Set the end date",
        "The subscription ends at this date. One whose end date has passed becomes active again. "
        "License keys that exist keep their expiry; Reset signs keys up to the new end. "
        f"{TOLD}",
        extend_subscription,
        form=EndForm,
        done=_ends,
    ),
    _action(
        "change_plan",
        "Change the plan",
        f"The subscription gets another plan. {CONSEQUENCE} {TOLD}",
        change_subscription_plan,
        form=PlanForm,
        done=lambda row, _: f"{row} has the plan {row.plan} now. {CONSEQUENCE}",
    ),
    _action(
        "end",
        "End",
        "The subscription ends now, for good: every check of its license keys is refused, and "
        f"nothing brings it back. {TOLD}",
        suspend_resume_end.end_subscription,
        is_dangerous=True,
        is_possible=lambda subscription: subscription.state != State.ENDED,
        done=lambda row, _: f"{row} has ended, for good. Terminals are refused from now on.",
    ),
)
