"""What a subscription needs most: a sentence, and the one action that helps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.timezone import localtime

from licenses.checking.badges import DEAD, VALID
from licenses.checking.results import Result
from licenses.flows.reset import refuse_unless_resettable
from licenses.models import KeyState, LicenseKey, Slot
from licenses.reminders import bring_into_use, ends_with, what_to_do, which_keys
from licenses.web.card import Card, SlotView
from licenses.web.rotation import OVERLAP_ENDS_SOON
from portal.core.dates import day, days_until, is_near, moment, remaining
from portal.core.links import support_link, support_shown
from portal.core.refusal import Refused
from portal.tenants.models import Member, Role
from portal.tenants.notices import key_managers
from subscriptions.models import State, Subscription

NEVER = datetime.min.replace(tzinfo=UTC)

SUSPENDED = (
    "Terminals do not start, because every check of its license keys is refused. The same keys "
    "pass again once the subscription is resumed."
)
SUSPENDED_EMPTY = "License keys can be generated once the subscription is resumed."

FIRST_STEPS = ("Generate", "Download", "Install", "Check")
"""From an active subscription to a terminal that starts."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The action of a banner: `opens` a dialog, `posts` at once, or follows a link."""

    label: str
    address: str
    opens: bool = False
    posts: bool = False
    in_slot: bool = False
    """Whether a slot has this button too."""
    is_danger: bool = False
    """Whether it stops what works."""
    name: str = ""
    """The id of its element, where the page has no other such button."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """The banner on top of a subscription's page.

    Its title is `title`, then the moment `at`, if there is one, then `rest`; `path` are the steps
    to come, the first of them now. `result` is what terminals hear, where a page explains it.

    `to_do` is said to whoever may do it. Others read whom to `ask`, such as to "reset it", and what
    they can do `first` themselves.
    """

    kind: str
    tone: str
    title: str
    facts: str = ""
    to_do: str = ""
    first: str = ""
    ask: str = ""
    at: datetime | None = None
    has_clock: bool = False
    rest: str = ""
    reason: str = ""
    result: Result | None = None
    path: tuple[str, ...] = ()
    action: Step | None = None

    @property
    def sentence(self) -> str:
        """What follows the title: what is the matter, and what to do about it."""
        return f"{self.facts} {self.to_do}".strip()

    def button(self, card: Card) -> Step | None:
        """Return the banner's own button: none while a slot shows the steps, which have it."""
        return None if self.action and self.action.in_slot and card.is_guided else self.action


def need_of(
    subscription: Subscription, card: Card, member: Member, *, now: datetime | None = None
) -> Need | None:
    """Return the gravest of what the member should know or do, or None when all is well."""
    now = now or timezone.now()
    state = subscription.state_at(now)
    if state == State.ENDED:
        return _ended(subscription, card, now)
    if state == State.SUSPENDED:
        return _suspended(subscription, card)
    manages = member.may(Role.MANAGER)
    if state == State.PENDING:
        need: Need | None = _pending(subscription, manages=manages)
    elif card.license is None:
        need = _no_keys(subscription, manages=manages)
    else:
        need = _of_keys(subscription, card, now)
    if need is None or manages:
        return need
    helps = need.action if need.action and not (need.action.opens or need.action.posts) else None
    if not need.ask:
        return replace(need, action=helps)
    ask = f"ask {_who_can(member)} to {need.ask}."
    to_do = f"{need.first}; then {ask}" if need.first else f"A{ask[1:]}"
    return replace(need, to_do=to_do, action=helps)


def _who_can(member: Member) -> str:
    """Return whom to ask: up to three managers and owners by name."""
    names = [str(each.user) for each in key_managers(member.tenant_id).select_related("user")[:3]]
    *others, last = names or [f"a manager or owner of {member.tenant}"]
    return f"{', '.join(others)} or {last}" if others else last


RESET_HELPS = {Result.EXPIRED, Result.REVOKED, Result.SIGNING_KEY_UNKNOWN}
"""The results of a check of a slot's own key after which a reset makes terminals start again."""


def remedy(result: Result, key: LicenseKey, member: Member) -> Step | None:
    """Return what helps against a refused key of the tenant, as far as there is a button for it."""
    slot, license, help_at = Slot(key.slot), key.license, support_link()
    if result == Result.SUBSCRIPTION_SUSPENDED and help_at:
        return Step(label="Ask for help", address=help_at)
    if result not in RESET_HELPS or not member.may(Role.MANAGER) or key.state != KeyState.CURRENT:
        return None
    try:
        refuse_unless_resettable(license, license.subscription, timezone.now())
    except Refused:
        return None
    address = reverse("licenses:reset", args=[license.subscription_id, slot])
    return Step(label=f"Reset {slot.label}…", address=address, opens=True)


def _ended(subscription: Subscription, card: Card, now: datetime) -> Need:
    ends = [subscription.ends_at] if subscription.ends_at and subscription.ends_at <= now else []
    is_stored = subscription.state == State.ENDED
    if is_stored and subscription.state_since:
        ends.append(subscription.state_since)
    at = min(ends, default=None)
    keys = "Terminals do not start on its license keys. " if card.license else ""
    return Need(
        kind="ended",
        tone="",
        title="This subscription ended on" if at else "This subscription has ended",
        at=at,
        facts=f"{keys}To go on, buy a subscription, generate its license keys and install them.",
        reason=subscription.state_reason if is_stored else "",
        action=Step(label="Buy a subscription", address=settings.BUY_URL),
    )


def _suspended(subscription: Subscription, card: Card) -> Need:
    since, help_at, address = subscription.state_since, support_link(), support_shown()
    ask = f"Ask the vendor what is needed{f': {address}' if address else '.'}"
    return Need(
        kind="suspended",
        tone="warn",
        title="The vendor suspended this subscription on"
        if since
        else "The vendor suspended this subscription",
        at=since,
        facts=f"{SUSPENDED if card.license else SUSPENDED_EMPTY} {ask}",
        reason=subscription.state_reason if since else "",
        action=Step(label="Ask for help", address=help_at) if help_at else None,
    )


def _pending(subscription: Subscription, *, manages: bool) -> Need:
    return Need(
        kind="pending",
        tone="info",
        title="Please confirm your subscription details and activate it"
        if manages
        else "This subscription is not active yet",
        facts="License keys can be generated once the subscription is active.",
        ask="activate it",
        action=Step(
            label="Activate my Subscription",
            address=reverse("subscriptions:activate", args=[subscription.pk]),
            posts=True,
        ),
    )


def _no_keys(subscription: Subscription, *, manages: bool) -> Need:
    address = reverse("licenses:generate", args=[subscription.pk])
    return Need(
        kind="no_keys",
        tone="info",
        title="Generate the license keys of this subscription"
        if manages
        else "This subscription has no license keys yet",
        facts="Terminals start once one of the two keys is installed.",
        ask="generate them",
        path=FIRST_STEPS,
        action=Step(label="Generate", address=address, opens=True, name="generate"),
    )


def _of_keys(subscription: Subscription, card: Card, now: datetime) -> Need | None:
    revoked = [view for view in card.slots if view.key.revoked_at is not None]
    not_revoked = [view for view in card.slots if view.key.revoked_at is None]
    expired = [view for view in not_revoked if view.key.expires_at <= now]
    good = [view for view in not_revoked if view.key.withdrawn_at is None]
    withdrawn = [view for view in not_revoked if view.key.withdrawn_at and view not in expired]
    soon = [v for v in good if subscription.plan.expires_soon(v.key.expires_at, now)]
    if expired:
        return _lost(subscription, card, expired, "expired")
    if revoked:
        return _lost(subscription, card, revoked, "revoked")
    if withdrawn:
        return _withdrawn(subscription, card, withdrawn)
    if refused := [view for view in card.slots if view.old_refusals]:
        return _old_key(subscription, refused[0])
    overlaps = [view for view in card.slots if view.old_in_use and view.old_stopped_at]
    overlaps.sort(key=_end_of_overlap)
    if overlaps and all(_end_of_overlap(overlaps[0]) <= view.key.expires_at for view in soon):
        return _overlap(subscription, card, overlaps[0], now)
    if soon:
        return _expiring(subscription, card, soon, now)
    if card.plan_changed:
        return Need(
            kind="plan_changed",
            tone="warn",
            title="The plan has changed since these keys were generated",
            facts="They work until they expire and cannot be reset.",
            to_do="Delete them and generate new ones to get keys of the plan "
            f"{subscription.plan.name}: terminals do not start from then until they have a new key "
            "and the new authorized application id.",
            ask=REPLACE_BOTH,
            action=_delete(subscription),
        )
    return _renewed(subscription, card, [view for view in card.slots if view.resets_until])


def _lost(subscription: Subscription, card: Card, views: list[SlotView], how: str) -> Need:
    """Return what to do about keys on which no terminal starts."""
    keys, slots = [view.key for view in views], [view.slot for view in views]
    of_each = [key.expires_at if how == "expired" else key.revoked_at for key in keys]
    moments = [localtime(at) for at in of_each if at is not None]
    was = "" if how == "expired" else "were " if slots[1:] else "was "
    to_do = what_to_do(slots, plan_changed=card.plan_changed, with_subscription=False)
    first, ask = "", _to_ask(slots, plan_changed=card.plan_changed)
    good = None if card.plan_changed else _unused(card, views)
    if good:
        first, ask = _first(good), f"reset the {good.slot.other} key"
        to_do, action = f"{first}; then {ask}.", _download(subscription, good)
    else:
        action = _delete(subscription) if card.plan_changed else _reset(subscription, card, views)
    why = support_shown() if how == "revoked" else ""
    if why:
        to_do += f" The vendor can tell you why: {why}"
    return Need(
        kind=how,
        tone=_tone(card),
        title=f"{which_keys(slots)} {was}{how} on"
        if len({day(at) for at in moments}) == 1
        else f"Both keys {'have' if how == 'expired' else 'were'} {how}, the last one on",
        at=max(moments),
        facts=f"Terminals do not start on {'them' if slots[1:] else 'it'}.",
        to_do=to_do,
        first=first,
        ask=ask,
        action=action,
    )


REPLACE_BOTH = "delete both keys and generate new ones"


def _to_ask(slots: Sequence[Slot], *, plan_changed: bool) -> str:
    """Return what somebody with the role can do about the keys."""
    return REPLACE_BOTH if plan_changed else f"reset {'them' if slots[1:] else 'it'}"


def _tone(card: Card) -> str:
    """Return how grave a lost key is: a warning while the other one works, as in the list."""
    return "bad" if all(view.state in DEAD for view in card.slots) else "warn"


def _withdrawn(subscription: Subscription, card: Card, views: list[SlotView]) -> Need:
    """Return what to do about keys whose signing key was disabled."""
    slots = [view.slot for view in views]
    both = bool(slots[1:])
    to_do = what_to_do(slots, plan_changed=card.plan_changed, with_subscription=False)
    return Need(
        kind="withdrawn",
        tone=_tone(card),
        title=f"{which_keys(slots)} {'are' if both else 'is'} no longer accepted since",
        at=max(view.key.withdrawn_at for view in views if view.key.withdrawn_at),
        facts=f"The vendor withdrew the signing key of {'both' if both else 'it'}, so terminals "
        f"do not start on {'them' if both else 'it'}.",
        to_do=to_do,
        ask=_to_ask(slots, plan_changed=card.plan_changed),
        action=_delete(subscription) if card.plan_changed else _reset(subscription, card, views),
    )


def _old_key(subscription: Subscription, view: SlotView) -> Need:
    """Return what to do about terminals that were left with a key from before a reset."""
    slot, at = view.slot, view.old_stopped_at
    stopped = f"It stopped working on {moment(at)}. " if at else ""
    return Need(
        kind="old_key",
        tone="bad",
        title=f"Terminals still ask with the old {slot} key and are refused",
        facts=f"{stopped}{view.old_refusals} {_get(view)} on them.",
        result=Result.REPLACED,
        action=_download(subscription, view),
    )


def _end_of_overlap(view: SlotView) -> datetime:
    assert view.old_stopped_at is not None
    return view.old_stopped_at


def _also_expires(subscription: Subscription, card: Card, but: SlotView, now: datetime) -> str:
    """Return that the key of the other slot expires soon, as a sentence; "" if it does not."""
    for view in card.slots:
        if view != but and subscription.plan.expires_soon(view.key.expires_at, now):
            left = remaining(view.key.expires_at, now)
            if ends_with(view.key, subscription):
                return f" The subscription ends in {left}, and both keys with it: renew it too."
            return f" The {view.slot} key expires in {left}: then reset that one."
    return ""


def _overlap(subscription: Subscription, card: Card, view: SlotView, now: datetime) -> Need:
    """Return what to do before the old key of a slot stops, which terminals still use."""
    slot, at = view.slot, _end_of_overlap(view)
    return Need(
        kind="overlap",
        tone="warn" if at - now <= OVERLAP_ENDS_SOON else "info",
        title=f"The old {slot} key stops working{'' if is_near(at, now) else ' on'}",
        at=at,
        has_clock=True,
        rest=f", in {remaining(at, now)}",
        facts=f"Terminals still use it: {view.old_use}. {_get(view)} on them before then: an "
        f"overlap cannot be extended.{_also_expires(subscription, card, view, now)}",
        action=_download(subscription, view),
    )


def _expiring(subscription: Subscription, card: Card, soon: list[SlotView], now: datetime) -> Need:
    days = min(days_until(view.key.expires_at, now) for view in soon)
    views = [view for view in soon if days_until(view.key.expires_at, now) == days]
    slots, at = [view.slot for view in views], min(view.key.expires_at for view in views)
    with_subscription = ends_with(views[0].key, subscription)
    to_do = what_to_do(slots, plan_changed=card.plan_changed, with_subscription=with_subscription)
    facts, first, ask = "", "", _to_ask(slots, plan_changed=card.plan_changed)
    if card.plan_changed:
        action: Step | None = _delete(subscription)
    elif with_subscription:
        facts, to_do, ask = to_do, "", ""
        action = Step(label="Renew the subscription", address=settings.BUY_URL)
    else:
        action = _reset(subscription, card, views)
        for later in (view for view in soon if view not in views):
            left = remaining(later.key.expires_at, now)
            to_do += f" Then do the same with the {later.slot} key, which expires in {left}."
        if good := _unused(card, soon):
            first, ask = _first(good), f"reset the {good.slot.other} key"
            to_do, action = f"{first}; then {ask}.", _download(subscription, good)
        if until := max((view.resets_until for view in soon if view.resets_until), default=None):
            to_do += f" A reset gives a key until {day(localtime(until))}."
    return Need(
        kind="expiring",
        tone="warn",
        title=_expire(slots, is_first=len(soon) > len(views)) + ("" if is_near(at, now) else " on"),
        at=at,
        rest=f", in {remaining(at, now)}",
        facts=facts,
        to_do=to_do,
        first=first,
        ask=ask,
        action=action,
    )


def _expire(slots: Sequence[Slot], *, is_first: bool) -> str:
    """Return the title of keys that expire soon; `is_first` is whether the other one does later."""
    if is_first:
        return f"Both keys expire soon, the {slots[0].label.lower()} one"
    return f"{which_keys(slots)} {'expire' if slots[1:] else 'expires'}"


def _unused(card: Card, dying: Sequence[SlotView]) -> SlotView | None:
    """Return the other key, if that is good and no terminal has passed with it yet."""
    for view in card.slots:
        is_refused = view.guide is not None and view.guide.now == "check"
        if view not in dying and view.state == VALID and (view.use.last_at is None or is_refused):
            return view
    return None


def _first(view: SlotView) -> str:
    """Return what brings this key into use, before the other is reset."""
    return bring_into_use(view.key, is_new=view.key.awaits_first_check)


def _renewed(subscription: Subscription, card: Card, views: list[SlotView]) -> Need | None:
    if not views:
        return None
    slots = [view.slot for view in views]
    to_do = what_to_do(slots, plan_changed=False, with_subscription=False)
    keep = (
        "keep the expiry with which they were"
        if slots[1:]
        else "keeps the expiry with which it was"
    )
    return Need(
        kind="renewed",
        tone="info",
        title="The subscription was renewed: a reset gives a key that expires on",
        at=views[0].resets_until,
        facts=f"{which_keys(slots)} {keep} signed.",
        to_do=to_do,
        ask=_to_ask(slots, plan_changed=False),
        action=_reset(subscription, card, views),
    )


def _reset(subscription: Subscription, card: Card, views: Sequence[SlotView]) -> Step:
    """Return the reset that the card advises, or else of the slot that terminals miss least."""
    least = min(views, key=lambda view: (view.use.last_at or NEVER, view.slot))
    advised = card.advice.slot if card.advice and card.advice.is_urgent else None
    slot = Slot(next((view.slot for view in views if view.slot == advised), least.slot))
    address = reverse("licenses:reset", args=[subscription.pk, slot])
    return Step(label=f"Reset {slot.label}…", address=address, opens=True, in_slot=True)


def _download(subscription: Subscription, view: SlotView) -> Step | None:
    """Return the download of a key, which whoever is to install it may need again."""
    if not view.can_download:
        return None
    address = reverse("licenses:download", args=[subscription.pk, view.slot])
    again = " again" if view.key.last_downloaded_at else ""
    return Step(label=f"Download {view.slot.label}{again}", address=address, in_slot=True)


def _get(view: SlotView) -> str:
    """Return what to do with the new key of a slot, to begin a sentence with."""
    if view.key.last_downloaded_at is None:
        return f"Download the new {view.slot} key and install it"
    return f"Install the new {view.slot} key"


def _delete(subscription: Subscription) -> Step:
    address = reverse("licenses:delete", args=[subscription.pk])
    return Step(label="Delete license keys…", address=address, opens=True, is_danger=True)
