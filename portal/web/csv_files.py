"""CSV: the one writer of all exports, and the reader of imports that undoes what it did.

Spreadsheets take a cell that begins with one of FORMULAS for a formula and run it (CSV
injection). So the writer puts an apostrophe in front of such text, and in front of text that
begins with an apostrophe itself: what the reader gets back is then exactly what was written.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

FORMULAS = tuple("=+-@\t\r\n")
MARK = "'"
BYTE_ORDER_MARK = "\ufeff"
"""Without it Excel reads names in any other script than Latin wrongly."""


class _Echo:
    """What the csv module writes a line to: it hands the line back."""

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
    is_risky = isinstance(cell, str) and cell.startswith((*FORMULAS, MARK))
    return f"{MARK}{cell}" if is_risky else cell


def original(cell: str) -> str:
    """Return what `harmless` made the cell from; other text stays as it is."""
    return cell[1:] if cell.startswith(tuple(MARK + c for c in (*FORMULAS, MARK))) else cell
