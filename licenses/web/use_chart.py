"""Charts of the checks by terminals, one for each slot, with the table of both."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from licenses.checking.use import DAYS, Use, ago, days
from licenses.models import Slot

HEIGHT, STEP, BAR = 48, 10, 8


@dataclass(frozen=True, kw_only=True)
class UseChart:
    """Columns of one slot by day, as paths of an SVG: what passed, and on top what was refused."""

    slot: Slot
    passed: str
    refused: str
    highest: str
    most_refused: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class UseCharts:
    """Both charts in one scale; `rows` are the days with a check, the newest first.

    A row has its day, then passed and refused of the first slot, then of the second.
    """

    charts: list[UseChart]
    rows: list[tuple[datetime, list[int]]]
    starts_at: datetime
    ends_at: datetime
    width: int = DAYS * STEP
    height: int = HEIGHT


def use_charts(uses: Mapping[Slot, Sequence[Use]], now: datetime) -> UseCharts:
    """Return the charts of all keys that each slot had over the last DAYS days."""
    shown = days(now)
    passed = {slot: _sum(use.passed for use in slot_uses) for slot, slot_uses in uses.items()}
    refused = {slot: _sum(use.refused for use in slot_uses) for slot, slot_uses in uses.items()}
    lasts = {
        slot: max((use.last_at for use in slot_uses if use.last_at), default=None)
        for slot, slot_uses in uses.items()
    }
    totals = {slot: passed[slot] + refused[slot] for slot in uses}
    highests = {slot: max(total.values(), default=0) for slot, total in totals.items()}
    highest = max(highests.values(), default=0)
    charts = [
        UseChart(
            slot=slot,
            passed=_columns(shown, passed[slot], Counter(), highest),
            refused=_columns(shown, refused[slot], passed[slot], highest),
            highest=f"{highests[slot]:,}",
            most_refused=f"{max(refused[slot].values(), default=0):,}",
            sentence=_sentence(passed[slot].total(), refused[slot].total(), lasts[slot], now),
        )
        for slot in uses
    ]
    rows = [
        (_start(day), [count for slot in uses for count in (passed[slot][day], refused[slot][day])])
        for day in reversed(shown)
        if any(total[day] for total in totals.values())
    ]
    return UseCharts(
        charts=charts,
        rows=rows,
        starts_at=_start(shown[0]),
        ends_at=_start(shown[-1]),
    )


def _sum(counts: Iterable[Counter[date]]) -> Counter[date]:
    total: Counter[date] = Counter()
    for each in counts:
        total.update(each)
    return total


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _columns(shown: list[date], counts: Counter[date], below: Counter[date], highest: int) -> str:
    """Return the path of a column for each day, at least a unit high, on top of what is below."""
    path = []
    for number, day in enumerate(shown):
        if counts[day]:
            bottom = HEIGHT - _height(below[day], highest)
            top = max(bottom - _height(counts[day], highest), 0)
            path.append(f"M{number * STEP} {bottom:g}V{top:g}h{BAR}V{bottom:g}z")
    return "".join(path)


def _height(count: int, highest: int) -> float:
    # A refusal on top of the highest column keeps its unit.
    return max(round((HEIGHT - 2) * count / highest, 1), 1) if count else 0


def _sentence(passed: int, refused: int, last_at: datetime | None, now: datetime) -> str:
    if last_at is None or not passed + refused:
        return f"No terminal has checked it in {DAYS} days."
    return f"{passed:,} passed, {refused:,} refused; last {ago(last_at, now)}."
