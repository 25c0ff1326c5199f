"""Keyset pages: they stay fast however many rows lie before them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Self
from uuid import UUID

from django.core import signing
from django.db.models import Model, Q, QuerySet

SALT = "portal.paging"
"""Positions are signed: invented ones never reach the database."""


@dataclass(frozen=True)
class Position:
    """A row's place in an order by a moment or a text, then identifier or number.

    `page` is the number of the page that begins after it, as far as it was counted.
    """

    at: datetime | str
    id: UUID | int
    page: int = 1

    def __str__(self) -> str:
        id = self.id if isinstance(self.id, int) else str(self.id)
        at = [self.at] if isinstance(self.at, str) else self.at.isoformat()
        return signing.dumps([at, id, self.page], salt=SALT)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the position in an address; None for text that this portal did not write."""
        if not text:
            return None
        try:
            at, id, *page = signing.loads(text, salt=SALT)
        except signing.BadSignature:
            return None
        return cls(
            datetime.fromisoformat(at) if isinstance(at, str) else at[0],
            id if isinstance(id, int) else UUID(id),
            *page,
        )


@dataclass(frozen=True)
class KeysetPage[M: Model]:
    """Rows of one page, its number, and the positions that its neighbours begin after.

    `newer` leads to the rows before these in their order, whatever that is; `older` to those after.
    """

    rows: list[M]
    newer: Position | None
    older: Position | None
    number: int = 1


def keyset_page[M: Model](
    rows: QuerySet[M],
    *,
    after: str = "",
    before: str = "",
    jump: int = 1,
    lead: Sequence[M] = (),
    by: tuple[str, str] = ("created_at", "id"),
    kind: type[datetime | str] = datetime,
    descending: bool = True,
    size: int = 25,
) -> KeysetPage[M]:
    """Return one page of rows, ordered by the two columns of `by`; the first is of type `kind`.

    `after` and `before` are positions from an address; text that is none, or one in an order by
    something else, counts as the start. From there `jump` leads to the page of that number, past
    all rows between, so that callers bound it. `lead` are rows that stand before all others and are
    not among them: fewer than a page has.
    """
    at, id = by
    end, start = (
        position if position and isinstance(position.at, kind) else None
        for position in map(Position.parse, (after, before))
    )
    is_back = end is None and start is not None
    place = start if is_back else end
    if place is not None:
        further = "gt" if is_back is descending else "lt"
        beyond = Q(**{f"{at}__{further}": place.at}) | Q(**{f"{id}__{further}": place.id})
        rows = rows.filter(beyond, **{f"{at}__{further}e": place.at})
    signs = "" if is_back is descending else "-"
    skipped = max((jump - 1) * size - len(lead), 0) if place is None else 0
    fits = size if place or skipped else size - len(lead)
    found = list(rows.order_by(f"{signs}{at}", f"{signs}{id}")[skipped : skipped + fits + 1])
    more, shown = len(found) > fits, found[:fits]
    if is_back:
        shown.reverse()
    # Rows that came meanwhile may lie before the first page that was counted.
    number = max(place.page, 1) if place else jump if skipped else 1

    def position(index: int, page: int) -> Position | None:
        return Position(*attrgetter(at, id)(shown[index]), page) if shown else None

    has_newer, has_older = (more, True) if is_back else (end is not None or skipped > 0, more)
    return KeysetPage(
        shown if has_newer else [*lead, *shown],
        position(0, number - 1) if has_newer else None,
        position(-1, number + 1) if has_older else None,
        number,
    )
