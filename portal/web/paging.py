"""Keyset pages: they stay fast however many rows lie before them."""

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
    """A row's place in an order by a moment (newest first), then identifier or number."""

    at: datetime
    id: UUID | int

    def __str__(self) -> str:
        id = self.id if isinstance(self.id, int) else str(self.id)
        return signing.dumps([self.at.isoformat(), id], salt=SALT)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the position in an address; None for text that this portal did not write."""
        try:
            moment, id = signing.loads(text, salt=SALT)
        except signing.BadSignature:
            return None
        return cls(datetime.fromisoformat(moment), id if isinstance(id, int) else UUID(id))


@dataclass(frozen=True)
class KeysetPage[M: Model]:
    """Rows of one page, and the positions that its neighbours begin after."""

    rows: list[M]
    newer: Position | None
    older: Position | None


def keyset_page[M: Model](
    rows: QuerySet[M],
    *,
    after: str = "",
    before: str = "",
    by: tuple[str, str] = ("created_at", "id"),
    size: int = 25,
) -> KeysetPage[M]:
    """Return one page of rows, the newest first, ordered by the two columns of `by`.

    `after` and `before` are positions from an address; text that is none counts as the start.
    """
    at, id = by
    end, start = Position.parse(after), Position.parse(before)

    def position(index: int) -> Position | None:
        return Position(*attrgetter(at, id)(shown[index])) if shown else None

    if end is None and start is not None:
        newer = Q(**{f"{at}__gt": start.at}) | Q(**{f"{id}__gt": start.id})
        found = list(rows.filter(newer, **{f"{at}__gte": start.at}).order_by(at, id)[: size + 1])
        more, shown = len(found) > size, found[:size][::-1]
        return KeysetPage(shown, position(0) if more else None, position(-1))
    if end is not None:
        older = Q(**{f"{at}__lt": end.at}) | Q(**{f"{id}__lt": end.id})
        rows = rows.filter(older, **{f"{at}__lte": end.at})
    found = list(rows.order_by(f"-{at}", f"-{id}")[: size + 1])
    more, shown = len(found) > size, found[:size]
    return KeysetPage(shown, position(0) if end else None, position(-1) if more else None)
