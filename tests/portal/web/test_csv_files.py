"""No export runs in a spreadsheet, and every import reads back what was exported."""

import csv
import io

import pytest

from portal.web.csv_files import BYTE_ORDER_MARK, harmless, lines, original

HOSTILE = [
    "=1+1",
    '=HYPERLINK("https://evil.example";"click")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "=cmd|' /C calc'!A0",
]
PLAIN = ["", "Contoso", "a=b", "1-2", "株式会社", 'with "quotes", and a comma', "two\nlines"]
QUOTED = ["'", "'tis", "'=1", "''"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_stays_as_it_is(text):
    assert (harmless(text), original(text)) == (text, text)


@pytest.mark.parametrize("cell", [-5, 1.5, None])
def test_numbers_stay_numbers(cell):
    assert harmless(cell) is cell


@pytest.mark.parametrize("text", HOSTILE + PLAIN + QUOTED)
def test_what_is_read_back_is_what_was_written(text):
    written = "".join(lines(["a", "b"], [[text, "x"]]))
    assert written.startswith(BYTE_ORDER_MARK)
    heads, row = csv.reader(io.StringIO(written.removeprefix(BYTE_ORDER_MARK), newline=""))
    assert heads == ["a", "b"]
    assert [original(cell) for cell in row] == [text, "x"]


def test_an_apostrophe_of_somebody_else_stays():
    assert original("'tis") == "'tis"
