"""No export runs in a spreadsheet, and every import reads back what was exported."""

import csv
import io
from itertools import product

import pytest

from portal.web.csv_files import BYTE_ORDER_MARK, harmless, lines, original

FORMULAS = [
    "=1+1",
    '=HYPERLINK("https://evil.example";"click")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "=cmd|' /C calc'!A0",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM(A1)",
    ' "=1+1"',
]
BEHIND = {
    "a;=1+1": "a;'=1+1",
    "a,@SUM(A1)": "a,'@SUM(A1)",
    "a\t+1": "a\t'+1",
    "a\n-1": "a\n'-1",
    "a\r\n\uff1d1": "a\r\n'\uff1d1",
    'a;"=1"': 'a;\'"=1"',
    "a;'=1": "a;''=1",
    "=1;=2": "'=1;'=2",
}
PLAIN = ["", "Contoso", "a=b", "1-2", "株式会社", 'with "quotes", and a comma', "two\nlines"]
QUOTED = ["'", "'tis", "'=1", "''"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(("text", "written"), BEHIND.items(), ids=ascii)
def test_a_formula_behind_a_separator_gets_one_too(text, written):
    assert (harmless(text), original(written)) == (written, text)


def test_every_text_of_these_signs_comes_back():
    signs = "=\uff0d'\" ;,\t\nx"
    texts = ["".join(text) for length in range(1, 5) for text in product(signs, repeat=length)]
    assert [text for text in texts if original(harmless(text)) != text] == []


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_stays_as_it_is(text):
    assert (harmless(text), original(text)) == (text, text)


@pytest.mark.parametrize("cell", [-5, 1.5, None])
def test_numbers_stay_numbers(cell):
    assert harmless(cell) is cell


@pytest.mark.parametrize("text", [*FORMULAS, *PLAIN, *QUOTED, *BEHIND])
def test_what_is_read_back_is_what_was_written(text):
    written = "".join(lines(["a", "b"], [[text, "x"]]))
    assert written.startswith(BYTE_ORDER_MARK)
    heads, row = csv.reader(io.StringIO(written.removeprefix(BYTE_ORDER_MARK), newline=""))
    assert heads == ["a", "b"]
    assert [original(cell) for cell in row] == [text, "x"]


def test_an_apostrophe_of_somebody_else_stays():
    assert original("'tis") == "'tis"
