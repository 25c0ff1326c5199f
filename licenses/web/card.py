"""What the License Keys card shows and offers."""

from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.utils import timezone

from licenses.checking.badges import DEAD, DYING, VALID, KeyBadge, badge_of, of_both
from licenses.checking.use import Use, read_use
from licenses.flows.download import refuse_unless_downloadable
from licenses.flows.signing import expiry
from licenses.holder_name import has_braces
from licenses.models import KeyState, License, LicenseKey, Slot
from licenses.reminders import ends_with
from licenses.web import rotation
from licenses.web.configuration import Configuration, configurations
from licenses.web.refusals import Refusals, refusals
from licenses.web.use_chart import UseCharts, use_charts
from portal.core.dates import remaining
from portal.core.refusal import Refused
from portal.tenants.models import Member, Role
from subscriptions.models import State, Subscription

MAX_KEYS = 10
"""Keys of a license whose use is read: the current ones, and the last ones before them."""


@dataclass(frozen=True, kw_only=True)
class SlotView:
    """One slot of the card: its key, and what may be done with it."""

    slot: Slot
    key: LicenseKey
    old: LicenseKey | None
    state: KeyBadge
    left: str
    """The time until the key expires, in words; "" once it has."""
    use: Use
    can_download: bool
    can_check: bool
    can_reset: bool
    can_end_overlap: bool
    resets_until: datetime | None
    """The expiry that a reset would give, if the end date that cut it short has since moved."""
    guide: rotation.Guide | None
    old_use: str
    """How terminals use the key before the current one, while that works."""
    old_in_use: bool
    """Whether they have used it within a day."""
    old_stopped_at: datetime | None
    """When the key before the current one stopped working, or will."""
    old_refusals: str
    """How terminals are refused that still ask with the key before the current one."""
    refusals: Refusals | None
    filled: str
    """The button that is filled: `download`, `check`, `reset`, or none."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The License Keys card of one subscription, for one member."""

    license: License | None
    slots: list[SlotView]
    state: KeyBadge | None
    can_generate: bool
    can_check: bool
    can_delete: bool
    plan_changed: bool
    configurations: list[Configuration]
    advice: rotation.Advice | None
    timeline: rotation.Timeline | None
    use: UseCharts | None

    crashes_terminals: bool
    """The holder's name has a brace, from before braces were refused: terminals of 2022 crash."""

    @property
    def is_guided(self) -> bool:
        """Whether steps to a terminal that starts are shown, which tick themselves off."""
        return any(view.guide for view in self.slots)

    @property
    def steps_say_it(self) -> bool:
        """Whether the steps say all that the advice does: it is not said twice."""
        return any(view.guide and view.guide.now != "reset" for view in self.slots)

    @property
    def steps_reset(self) -> bool:
        """Whether the step to take now is the reset of the other key."""
        return any(view.guide and view.guide.now == "reset" for view in self.slots)

    @property
    def can_bundle(self) -> bool:
        """Whether there is a key that an offline bundle may hold."""
        return any(view.can_download for view in self.slots)


def license_card(
    subscription: Subscription,
    member: Member,
    *,
    hands_out: bool = True,
    now: datetime | None = None,
) -> Card:
    """Return what the member sees on the card, in three queries, however long the history.

    A support view hands nothing out (`hands_out` is false): no keys, no downloads, and no checks,
    which would be recorded.
    """
    now = now or timezone.now()
    state = subscription.state_at(now)
    manages = member.may(Role.MANAGER)
    license = License.objects.not_deleted().filter(subscription=subscription).first()
    if license is None:
        return Card(
            license=None,
            slots=[],
            state=None,
            can_generate=manages and state == State.ACTIVE,
            can_check=hands_out,
            can_delete=False,
            plan_changed=False,
            configurations=[],
            advice=None,
            timeline=None,
            use=None,
            crashes_terminals=False,
        )
    now_renews = state == State.ACTIVE and license.plan_id == subscription.plan_id
    old_keys, uses, both = held_by(license, subscription, now)
    guides: dict[Slot, rotation.Guide] = {}
    if now_renews:
        for held, other in zip(both, reversed(both), strict=True):
            if steps := rotation.guide(held, other, now):
                guides[held.slot] = steps
    notice = subscription.plan.expiry_notice
    advice = None
    if now_renews:
        advice = rotation.advice(
            both, guides, notice, now, ends_with=lambda key: ends_with(key, subscription)
        )
    badges = [badge_of(held.key, subscription, now) for held in both]
    whole = of_both(badges)
    if state == State.ENDED:  # nobody has to do anything about these keys
        *badges, whole = [replace(badge, tone="muted") for badge in (*badges, whole)]
    used = {
        held.slot: [held.use, *(uses[k.pk] for k in old_keys if k.slot == held.slot)]
        for held in both
    }
    slots = [
        _slot_view(
            held,
            badge=badge,
            steps=guides.get(held.slot),
            old_uses=used[held.slot][1:],
            advice=advice,
            subscription=subscription,
            manages=manages,
            hands_out=hands_out,
            renews=now_renews,
            now=now,
        )
        for held, badge in zip(both, badges, strict=True)
    ]
    return Card(
        license=license,
        slots=_with_one_filled(slots),
        state=whole,
        can_generate=False,
        can_check=hands_out,
        can_delete=manages,
        plan_changed=license.plan_id != subscription.plan_id,
        configurations=configurations(license, subscription_name=subscription.name),
        advice=advice,
        timeline=rotation.timeline(
            [(held, badge.tone) for held, badge in zip(both, badges, strict=True)], now
        ),
        use=use_charts(used, now),
        crashes_terminals=has_braces(license.holder_name),
    )


def held_by(
    license: License, subscription: Subscription, now: datetime
) -> tuple[list[LicenseKey], dict[int, Use], list[rotation.Held]]:
    """Return the replaced keys, the use of all keys, and what both slots hold; two queries."""
    since = now - rotation.GUIDED
    found = license.keys.current_and_replaced_since(since, now).with_signing_key()
    keys = list(found[:MAX_KEYS])
    current = sorted((k for k in keys if k.state == KeyState.CURRENT), key=lambda k: k.slot)
    old_keys = [key for key in keys if key.state != KeyState.CURRENT]
    for key in current:
        key.license = license
    uses = defaultdict(Use, read_use(keys, now))
    both = []
    for key in current:
        old = next((old for old in old_keys if old.slot == key.slot), None)
        badge = badge_of(key, subscription, now)
        both.append(
            rotation.Held(
                slot=Slot(key.slot),
                key=key,
                use=uses[key.pk],
                old=old,
                old_use=uses[old.pk] if old else Use(),
                is_dying=badge in DYING,
                is_dead=badge in DEAD,
            )
        )
    return old_keys, uses, both


def before_reset(
    license: License, subscription: Subscription, slot: Slot, now: datetime
) -> dict[str, Any]:
    """Return what a reset of the slot may interrupt, for its dialog.

    `use` is how terminals use the slot's key, if they pass with it, and `is_only` whether they
    pass with no other; `old` is the key still in an overlap, `old_use` how that is used.
    `gains_no_time` is whether the new key would expire no later.
    """
    _, _, both = held_by(license, subscription, now)
    held, other = both if both[0].slot == slot else reversed(both)
    old = rotation.overlapping(held, now)
    is_in_use = not held.is_dead and held.use.total_passed > 0
    return {
        "key": held.key,
        "old": old,
        "old_use": held.old_use.sentence(now) if old else "",
        "use": held.use.sentence(now) if is_in_use else "",
        "is_only": rotation.is_alone_in_use(held, other),
        "gains_no_time": ends_with(held.key, subscription),
    }


def before_delete(license: License, subscription: Subscription, now: datetime) -> dict[str, Any]:
    """Return how terminals use the keys that a deletion stops, for its dialog.

    `uses` has a sentence for each key that passes, the old ones in an overlap too; there are none
    where `is_refused`, because the subscription is not active.
    """
    if subscription.state_at(now) != State.ACTIVE:
        return {"uses": [], "is_refused": True}
    _, _, both = held_by(license, subscription, now)
    uses = []
    for held in both:
        old = held.old_use.sentence(now) if rotation.overlapping(held, now) else ""
        use = held.use.sentence(now) if not held.is_dead and held.use.total_passed else ""
        uses += [f"The {held.name} was {use}."] if use else []
        uses += [f"The old {held.name} was {old}."] if old else []
    return {"uses": uses}


def _slot_view(
    held: rotation.Held,
    *,
    badge: KeyBadge,
    steps: rotation.Guide | None,
    old_uses: list[Use],
    advice: rotation.Advice | None,
    subscription: Subscription,
    manages: bool,
    hands_out: bool,
    renews: bool,
    now: datetime,
) -> SlotView:
    key = held.key
    try:
        refuse_unless_downloadable(key, subscription.state_at(now), now)
        can_download = hands_out
    except Refused:
        can_download = False
    old = rotation.overlapping(held, now)
    old_is_refused = rotation.is_still_checked(held, now)
    return SlotView(
        slot=held.slot,
        key=key,
        old=old,
        state=badge,
        left=remaining(key.expires_at, now) if key.expires_at > now else "",
        use=held.use,
        can_download=can_download,
        can_check=hands_out,
        can_reset=manages and renews,
        can_end_overlap=manages and old is not None,
        resets_until=_longer_expiry(key, subscription, now) if renews else None,
        guide=steps,
        old_use=held.old_use.sentence(now) if old else "",
        old_in_use=rotation.is_old_in_use(held, now),
        old_stopped_at=rotation.stopped_at(held),
        old_refusals=rotation.refusals_of_old(held, now) if old_is_refused else "",
        refusals=refusals(held, old_uses, subscription, now),
        filled=_filled(held, badge, steps, advice),
    )


def _filled(
    held: rotation.Held,
    badge: KeyBadge,
    steps: rotation.Guide | None,
    advice: rotation.Advice | None,
) -> str:
    """Return which button of the slot is the next step."""
    if advice and advice.is_urgent and advice.slot == held.slot:
        return "reset"
    if steps:
        return steps.now if steps.now in {"download", "check"} else ""
    return "download" if badge == VALID and held.key.last_downloaded_at is None else ""


def _with_one_filled(slots: list[SlotView]) -> list[SlotView]:
    """Return the slots with the button filled that is the next step, a reset before a download.

    A key that no step leads to is a spare once terminals pass with the other one.
    """
    in_use = any(view.use.total_passed for view in slots)
    wanted = [view for view in slots if view.filled]
    wanted = [view for view in wanted if view.filled == "reset" or view.guide or not in_use]
    wanted.sort(key=lambda view: view.filled != "reset")
    return [view if view in wanted[:1] else replace(view, filled="") for view in slots]


def _longer_expiry(key: LicenseKey, subscription: Subscription, now: datetime) -> datetime | None:
    """Return the expiry after a reset, if the end date that cut the key short has since moved."""
    days, ends_at = key.license.days, subscription.ends_at
    try:
        whole = expiry(issued_at=key.issued_at, days=days, ends_at=ends_at)
        if key.revoked_at is not None or whole <= key.expires_at:
            return None
        return expiry(issued_at=now, days=days, ends_at=ends_at)
    except Refused:
        return None
