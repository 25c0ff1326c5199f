"""Why terminals are refused with the keys of a slot, in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from licenses.checking.results import Result
from licenses.checking.use import Use, ago
from licenses.web import rotation
from subscriptions.models import State, Subscription


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Checks of one slot that were refused with one result; `is_old` is with a replaced key."""

    result: Result
    is_old: bool
    count: int
    last_at: datetime
    last: str
    """How long ago the last one was."""

    @property
    def times(self) -> str:
        """Return such as "once" or "1,042 times"."""
        return "once" if self.count == 1 else f"{self.count:,} times"


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """The refusals of one slot, the latest first."""

    each: list[Refusal]
    goes_on: bool
    """Whether the last check was refused, or terminals still ask with a replaced key.

    Not once the subscription has ended, when nothing else is to be expected.
    """

    @property
    def summary(self) -> str:
        """How many checks, and why: "24 checks (Expired, Replaced)"."""
        count = sum(each.count for each in self.each)
        labels = dict.fromkeys(each.result.label for each in self.each)
        return f"{count:,} check{'' if count == 1 else 's'} ({', '.join(labels)})"


def refusals(
    held: rotation.Held, old_uses: Iterable[Use], subscription: Subscription, now: datetime
) -> Refusals | None:
    """Return the refusals with the key of the slot and those before it, or None without any."""
    found: dict[tuple[Result, bool], Refusal] = {}
    for use, is_old in [(held.use, False), *((use, True) for use in old_uses)]:
        for result, refused in use.refused_as.items():
            if refused.last_at is None:
                continue
            before = found.get((result, is_old))
            last_at = max(refused.last_at, before.last_at) if before else refused.last_at
            found[result, is_old] = Refusal(
                result=result,
                is_old=is_old,
                count=refused.count + (before.count if before else 0),
                last_at=last_at,
                last=ago(last_at, now),
            )
    if not found:
        return None
    last = held.use.last_result
    is_refused = last is not None and not last.passes
    goes_on = is_refused or rotation.is_still_checked(held, now)
    return Refusals(
        each=sorted(found.values(), key=attrgetter("last_at"), reverse=True),
        goes_on=goes_on and subscription.state_at(now) != State.ENDED,
    )
