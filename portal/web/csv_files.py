"""CSV: the one writer of all exports, and the reader of imports that undoes what it did.

Spreadsheets take a cell that begins with one of FORMULAS for a formula and run it (CSV injection).
Where they split lines at a separator other than the comma, a cell begins inside our text too. So
the writer puts an apostrophe in front of each formula, at the beginning of the text and behind any
separator in it, and in front of text that begins with an apostrophe itself: what the reader gets
back is then exactly what was written.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

FORMULAS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""With the full-width forms, as a part of a regular expression."""
MARK = "'"
AT_START = rf"{MARK}|[\t\r\n]|[\" ]*[{FORMULAS}]"
BEHIND = rf"[\" ]*[{FORMULAS}]"
RISKY = re.compile(rf"\A(?={AT_START})|(?<=[,;\t\r\n])(?={MARK}*{BEHIND})")
MARKED = re.compile(rf"\A{MARK}(?={AT_START})|(?<=[,;\t\r\n]){MARK}(?={MARK}*{BEHIND})")
BYTE_ORDER_MARK = "\ufeff"
"""Without it Excel reads names in any other script than Latin wrongly."""


class _Echo:
    """A file for the csv module, whose `write` returns the line."""

    def write(self, line: str) -> str:
        return line


def csv_answer(
    filename: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """Return a download that is written while the rows are read, however many there are."""
    return StreamingHttpResponse(
        lines(heads, rows),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{filename}"',
            "Cache-Control": "no-store",
        },
    )


def lines(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the lines of a CSV file; every text in it is made harmless."""
    writer = csv.writer(_Echo())
    yield BYTE_ORDER_MARK + writer.writerow(heads)
    for row in rows:
        yield writer.writerow([harmless(cell) for cell in row])


def harmless(cell: Any) -> Any:
    """Return the cell so that no spreadsheet runs it; numbers stay as they are."""
    return RISKY.sub(MARK, cell) if isinstance(cell, str) else cell


def original(cell: str) -> str:
    """Return what `harmless` made the cell from; other text stays as it is."""
    return MARKED.sub("", cell)
