"""Rotation of the two keys: where they stand, which to reset next, and the way to a new one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from licenses.checking.use import Use, ago
from licenses.models import KeyState, LicenseKey, Slot
from licenses.reminders import use_first

GUIDED = timedelta(days=30)
"""For so long after Generate or a reset the steps to take are shown."""

STILL = timedelta(days=1)
"""A key that was checked within this time is still in use."""

OVERLAP_ENDS_SOON = timedelta(days=7)
"""How long before the end of an overlap list and page warn, if terminals still use the old key."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a slot holds: its current key, the one before, and how terminals use both."""

    slot: Slot
    key: LicenseKey
    use: Use
    old: LicenseKey | None
    old_use: Use
    is_dying: bool
    """Whether the key expires soon, has expired, or is revoked."""
    is_dead: bool
    """Whether the key has expired or is revoked."""

    @property
    def name(self) -> str:
        """The key in a sentence: "primary key"."""
        return f"{self.slot.value} key"


@dataclass(frozen=True, kw_only=True)
class Guide:
    """The steps after Generate or a reset, each with whether the portal has seen it done."""

    is_downloaded: bool
    is_installed: bool
    is_checked: bool
    is_other_reset: bool
    is_first: bool = False
    """Whether they are after Generate, where no other key is to be reset."""

    @property
    def now(self) -> str:
        """The step to take now: `download`, `install`, `check`, `reset`, or "" when all is done."""
        steps = {
            "download": self.is_downloaded,
            "install": self.is_installed,
            "check": self.is_checked,
            "reset": self.is_other_reset,
        }
        return next((step for step, is_done in steps.items() if not is_done), "")


@dataclass(frozen=True, kw_only=True)
class Advice:
    """Which slot to reset next and why; `due_at` is when, if that is not yet."""

    slot: Slot
    sentence: str
    is_urgent: bool
    due_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A key in time, in percent of the whole width."""

    x: float
    width: float
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class Lane:
    """A slot in time: its current key, and below it the old one while both work."""

    slot: Slot
    tone: str
    key: Bar
    old: Bar | None
    top: int


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Both slots from the first issue to the last expiry."""

    lanes: list[Lane]
    starts_at: datetime
    ends_at: datetime
    today: float
    anchor: str
    """How the word at today's line is aligned, so that it stays inside."""

    @property
    def has_overlap(self) -> bool:
        """Whether an old key still works."""
        return any(lane.old for lane in self.lanes)


LANE_HEIGHT = 44
FIRST_LANE = 18


def timeline(slots: list[tuple[Held, str]], now: datetime) -> Timeline:
    """Return both slots in time; with each comes the tone of its key."""
    keys = [key for held, _ in slots for key in (held.key, overlapping(held, now)) if key]
    starts_at = min(key.issued_at for key in keys)
    ends_at = max([now, *(key.expires_at for key in keys)])
    whole = (ends_at - starts_at) / timedelta(seconds=1)

    def at(moment: datetime) -> float:
        seconds = (moment - starts_at) / timedelta(seconds=1)
        return round(100 * seconds / whole, 2) if whole > 0 else 0.0

    def bar(begins: datetime, ends: datetime) -> Bar:
        width = round(max(at(ends) - at(begins), 0.5), 2)
        return Bar(x=at(begins), width=width, starts_at=begins, ends_at=ends)

    lanes = []
    for number, (held, tone) in enumerate(slots):
        old = overlapping(held, now)
        ends = old.accepted_until if old else None
        lanes.append(
            Lane(
                slot=held.slot,
                tone=tone,
                key=bar(held.key.issued_at, held.key.expires_at),
                old=bar(old.issued_at, ends) if old and ends else None,
                top=FIRST_LANE + number * LANE_HEIGHT,
            )
        )
    today = at(now)
    edge = 8
    anchor = "start" if today < edge else "end" if today > 100 - edge else "middle"
    return Timeline(lanes=lanes, starts_at=starts_at, ends_at=ends_at, today=today, anchor=anchor)


def guide(held: Held, other: Held, now: datetime) -> Guide | None:
    """Return the steps to a terminal that starts with this slot's key, or None without any to do.

    They follow a reset, or Generate until a terminal has passed with one of the two keys.
    """
    if _leads_first(held, other, now):
        return Guide(
            is_downloaded=held.key.last_downloaded_at is not None,
            is_installed=held.use.last_at is not None,
            is_checked=False,
            is_other_reset=True,
            is_first=True,
        )
    if held.is_dead or not _was_reset(held.key, since=now - GUIDED):
        return None
    steps = Guide(
        is_downloaded=held.key.last_downloaded_at is not None,
        is_installed=held.use.last_at is not None,
        is_checked=held.use.total_passed > 0,
        is_other_reset=is_new_too(other.key, new=held.key),
    )
    # The second key of a round is a spare, which terminals may never check.
    is_spare = steps.is_downloaded and steps.is_other_reset and other.use.total_passed > 0
    return None if not steps.now or is_spare else steps


def _leads_first(held: Held, other: Held, now: datetime) -> bool:
    """Return whether the first terminal is to start with this key rather than the other one."""
    both = (held, other)
    is_new = all(each.key.license.created_at >= now - GUIDED for each in both)
    was_reset = any(_was_reset(each.key, since=now - GUIDED) for each in both)
    is_used = any(each.is_dying or each.use.total_passed for each in both)
    return is_new and not was_reset and not is_used and held == min(both, key=_by_progress)


def _by_progress(held: Held) -> tuple[bool, bool, str]:
    """Sort first the key that has come furthest on its way to a terminal."""
    return (held.use.last_at is None, held.key.last_downloaded_at is None, held.slot.value)


def advice(
    both: Sequence[Held],
    guides: dict[Slot, Guide],
    notice: timedelta,
    now: datetime,
    *,
    ends_with: Callable[[LicenseKey], bool],
) -> Advice:
    """Return which of the two slots to reset next and why.

    `ends_with` says of a key whether its subscription ends with it, so that a reset gives no longer
    one; `notice` is how long before its expiry a key of this plan is shown as expiring soon.
    """
    first, second = both
    held, other = sorted(both, key=_by_need)
    for slot, steps in guides.items():
        new, next_one = (first, second) if slot == first.slot else (second, first)
        if steps.now == "reset" and (is_old_in_use(new, now) or is_still_checked(new, now)):
            return Advice(
                slot=next_one.slot,
                sentence=f"Install the new {new.name} on the terminals that still ask with the old "
                f"one; then reset the {next_one.name}.",
                is_urgent=False,
            )
        if steps.now == "reset" and (use := _still_used(next_one, now)):
            return Advice(
                slot=next_one.slot,
                sentence=f"The new {new.name} is in use. Terminals still use the {next_one.name} "
                f"too ({use}): reset it when they have the new file.",
                is_urgent=False,
            )
        if steps.now == "reset":
            return Advice(
                slot=next_one.slot,
                sentence=f"Reset the {next_one.name}: the new {new.name} is in use.",
                is_urgent=True,
            )
        if not steps.is_other_reset:
            return Advice(
                slot=next_one.slot,
                sentence=f"Bring the new {new.name} into use first; then reset the "
                f"{next_one.name}.",
                is_urgent=False,
            )
    if held.is_dying and not held.is_dead and ends_with(held.key):
        return Advice(
            slot=held.slot,
            sentence="Renew the subscription first: it ends with these keys, and a reset gives no "
            "longer one.",
            is_urgent=False,
        )
    if held.is_dying and not other.is_dying and other.use.last_at is None:
        sentence = use_first(other.key, is_new=other.key.awaits_first_check)
        return Advice(slot=held.slot, sentence=sentence, is_urgent=False)
    if held.is_dying:
        return Advice(slot=held.slot, sentence=_why(held, other, now), is_urgent=True)
    return Advice(
        slot=held.slot,
        sentence=f"Nothing needs a reset now. Next is the {held.name}, from",
        is_urgent=False,
        due_at=held.key.expires_at - notice,
    )


def is_alone_in_use(held: Held, other: Held) -> bool:
    """Return whether terminals pass with the key of this slot and with no other."""
    return held.use.total_passed > 0 and other.use.total_passed == 0


def is_still_checked(held: Held, now: datetime) -> bool:
    """Return whether terminals ask for the slot's old key although it has stopped."""
    last_at, stopped = held.old_use.last_at, stopped_at(held)
    if stopped is None or overlapping(held, now) is not None or last_at is None:
        return False
    return now - last_at < STILL and last_at >= stopped


def stopped_at(held: Held) -> datetime | None:
    """Return when the slot's old key stopped working, or will; None where there is none."""
    return (held.old.accepted_until or held.old.replaced_at) if held.old else None


def is_old_in_use(held: Held, now: datetime) -> bool:
    """Return whether the slot's old key still works and was checked within STILL."""
    last_at = held.old_use.last_at
    return overlapping(held, now) is not None and last_at is not None and now - last_at < STILL


def _still_used(held: Held, now: datetime) -> str:
    """Return how terminals use a good key that passed within STILL; "" if they do not."""
    last_at = held.use.last_at
    passes = not held.is_dying and held.use.total_passed > 0
    return held.use.sentence(now) if passes and last_at and now - last_at < STILL else ""


def refusals_of_old(held: Held, now: datetime) -> str:
    """Return how terminals are refused with the old key of a slot that `is_still_checked`."""
    stopped = stopped_at(held)
    if stopped is None or held.old_use.last_at is None:
        return ""
    count = _refusals_since(held.old_use, stopped)
    checks = "One check was" if count == 1 else f"{count:,} checks were"
    return f"{checks} refused, the last {ago(held.old_use.last_at, now)}."


def _refusals_since(use: Use, moment: datetime) -> int:
    since = moment.astimezone(UTC).date()
    return sum(count for day, count in use.refused.items() if day >= since)


def _refused_since(use: Use, moment: datetime, now: datetime) -> str:
    """Return how often checks of terminals were refused since that day; "" if none was."""
    count = _refusals_since(use, moment)
    if not count or use.last_at is None:
        return ""
    times = "once" if count == 1 else f"{count:,} times"
    return f"refused {times} since, last {ago(use.last_at, now)}"


def _why(held: Held, other: Held, now: datetime) -> str:
    if held.key.revoked_at is not None:
        return f"Reset the {held.name}: it is revoked, and terminals with it do not start."
    if held.is_dead and held.key.expires_at > now:
        return f"Reset the {held.name}: it was withdrawn, and terminals with it do not start."
    if held.is_dead:
        tries = _refused_since(held.use, held.key.expires_at, now)
        those = f"terminals still try it ({tries})" if tries else "terminals with it do not start"
        return f"Reset the {held.name}: it has expired, and {those}."
    if not other.is_dying and not held.use.total_passed:
        return f"Reset the {held.name}: it expires first, and no terminal uses it."
    if not other.is_dying:
        return (
            f"Reset the {held.name}: it expires first. Terminals use it, so let the old key work "
            "until they have the new file."
        )
    if not held.use.total_passed and other.use.total_passed:
        return (
            f"Reset the {held.name} first: no terminal uses it, so nothing stops meanwhile. Then "
            f"reset the {other.name}."
        )
    why = ", as it expires first" if held.key.expires_at < other.key.expires_at else ""
    return f"Both keys expire soon. Reset the {held.name} first{why}, then the {other.name}."


def _by_need(held: Held) -> tuple[bool, bool, float, datetime, str]:
    """Sort first what needs a reset most.

    Of two that are dead, the one that terminals tried last; of two that expire soon, the one that
    is not in use.
    """
    if held.is_dead:
        use = -held.use.last_at.timestamp() if held.use.last_at else 0.0
    else:
        use = float(held.is_dying and held.use.total_passed > 0)
    return (not held.is_dead, not held.is_dying, use, held.key.expires_at, held.slot.value)


def is_new_too(other: LicenseKey, *, new: LicenseKey) -> bool:
    """Return whether the other slot's key was reset in the same round as the `new` one, or since.

    A reset that is half a life older is of the round before.
    """
    half_a_life = timedelta(days=new.license.days) / 2
    return other.issued_at >= new.issued_at or _was_reset(other, since=new.issued_at - half_a_life)


def _was_reset(key: LicenseKey, *, since: datetime) -> bool:
    """Return whether the key came from a reset, not from Generate, since then."""
    return key.issued_at >= since and key.issued_at - key.license.created_at > timedelta(minutes=1)


def overlapping(held: Held, now: datetime) -> LicenseKey | None:
    """Return the old key of the slot if it still works."""
    old = held.old
    if old is None or old.revoked_at or old.withdrawn_at or old.accepted_until is None:
        return None
    return old if old.state == KeyState.SUPERSEDED and old.accepted_until > now else None
