"""Keyset pages: they stay fast however many rows lie before them."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from django.db.models import Model, Q, QuerySet


@dataclass(frozen=True)
class Position:
    """A row's place in an order by creation (newest first), then identifier."""

    created_at: datetime
    id: UUID

    def __str__(self) -> str:
        told = json.dumps([self.created_at.isoformat(), str(self.id)])
        return base64.urlsafe_b64encode(told.encode()).decode()

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the position in an address; None for text that is none."""
        try:
            created_at, identifier = json.loads(base64.urlsafe_b64decode(text.encode()))
            at = datetime.fromisoformat(created_at)
            return cls(at, UUID(identifier)) if at.tzinfo else None
        except (ValueError, TypeError, AttributeError):
            return None


@dataclass(frozen=True)
class KeysetPage[M: Model]:
    """Rows of one page, and the positions that its neighbours begin after."""

    rows: list[M]
    newer: Position | None
    older: Position | None


def keyset_page[M: Model](
    rows: QuerySet[M], *, after: str = "", before: str = "", size: int = 25
) -> KeysetPage[M]:
    """Return one page of rows ordered by (-created_at, -id).

    `after` and `before` are positions from an address; text that is none counts as the start.
    """
    end, start = Position.parse(after), Position.parse(before)
    if end is None and start is not None:
        found = list(rows.filter(_newer(start)).order_by("created_at", "id")[: size + 1])
        more, shown = len(found) > size, found[:size][::-1]
        return KeysetPage(shown, _of(shown, 0) if more else None, _of(shown, -1))
    rows = rows.order_by("-created_at", "-id")
    found = list((rows.filter(_older(end)) if end else rows)[: size + 1])
    more, shown = len(found) > size, found[:size]
    return KeysetPage(shown, _of(shown, 0) if end else None, _of(shown, -1) if more else None)


def _newer(position: Position) -> Q:
    at = position.created_at
    return Q(created_at__gte=at) & (Q(created_at__gt=at) | Q(id__gt=position.id))


def _older(position: Position) -> Q:
    at = position.created_at
    return Q(created_at__lte=at) & (Q(created_at__lt=at) | Q(id__lt=position.id))


def _of(rows: list[Any], index: int) -> Position | None:
    return Position(rows[index].created_at, rows[index].id) if rows else None
