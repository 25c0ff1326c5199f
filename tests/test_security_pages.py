"""The pages about security name files and tests that exist, and every requirement once."""

import ast
import re
from functools import cache

import pytest

from tests.support.repository import ROOT

# fmt: off
REQUIREMENTS = {
    "1.1": (0, 2), "1.2": (5, 9), "1.3": (2, 11), "1.4": (0, 3), "1.5": (1, 2), "2.1": (1, 3),
    "2.2": (2, 3), "2.3": (1, 4), "2.4": (0, 1), "3.2": (2, 2), "3.3": (1, 4), "3.4": (2, 6),
    "3.5": (3, 5), "3.7": (0, 2), "4.1": (1, 3), "4.2": (0, 1), "4.3": (0, 2), "4.4": (1, 4),
    "5.1": (0, 1), "5.2": (2, 3), "5.3": (2, 2), "5.4": (0, 3), "6.1": (1, 3), "6.2": (8, 12),
    "6.3": (2, 4), "6.4": (2, 4), "6.5": (0, 5), "6.6": (0, 3), "6.8": (0, 4), "7.1": (0, 3),
    "7.2": (4, 4), "7.3": (0, 2), "7.4": (2, 5), "7.5": (0, 2), "7.6": (0, 2), "8.1": (1, 2),
    "8.2": (2, 3), "8.3": (1, 1), "8.4": (0, 1), "9.1": (3, 3), "9.2": (1, 4), "10.1": (0, 2),
    "10.2": (0, 2), "10.3": (0, 4), "10.4": (5, 11), "10.5": (0, 5), "10.6": (0, 2),
    "10.7": (0, 3), "11.1": (0, 2), "11.2": (0, 3), "11.3": (2, 3), "11.4": (1, 4),
    "11.5": (0, 1), "11.6": (0, 1), "12.1": (1, 3), "12.2": (2, 2), "12.3": (0, 4),
    "13.1": (0, 1), "13.2": (0, 5), "13.3": (0, 2), "13.4": (1, 5), "14.1": (0, 2),
    "14.2": (1, 4), "14.3": (1, 3), "15.1": (1, 3), "15.2": (1, 3), "15.3": (1, 7),
    "16.1": (0, 1), "16.2": (0, 5), "16.3": (0, 4), "16.4": (0, 3), "16.5": (0, 3),
    "17.1": (0, 1), "17.2": (0, 4), "17.3": (0, 2),
}
# fmt: on
"""By section of OWASP ASVS 5.0.0: the requirements of level 1, and of levels 1 and 2.

Each section has those of level 1 first, then those of level 2.
"""

PAGES = ("security.md", "asvs.md")
NAMED = re.compile(
    r"`((?:deploy|docs|licenses|portal|static|subscriptions|templates|tests)/[\w./-]*)(?:::(\w+))?`"
)


@cache
def functions_of(path: str) -> set[str]:
    """Return the names of the functions of a module, those of classes too."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_test_that_a_page_names_exists(page):
    named = NAMED.findall((ROOT / "docs" / page).read_text("utf-8"))
    assert len(named) > 100
    assert [path for path, _ in named if not (ROOT / path).exists()] == []
    assert [(path, test) for path, test in named if test and test not in functions_of(path)] == []


def test_every_threat_has_a_measure_and_a_test():
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    rows = re.findall(r"^\| \w \| ([STRIDE]) \| .* \| (.+) \| (.+) \|$", text, re.MULTILINE)
    assert len(rows) >= 40
    assert {kind for kind, _, _ in rows} == set("STRIDE")
    assert [row for row in rows if not NAMED.fullmatch(row[1]) or "::test_" not in row[2]] == []


def test_every_requirement_of_levels_1_and_2_stands_there_once_in_its_order():
    text = (ROOT / "docs" / "asvs.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+\.\d+\.\d+) \| (\d) \|", text, re.MULTILINE)
    expected = [
        (f"{section}.{number}", "1" if number <= first else "2")
        for section, (first, all_of_them) in REQUIREMENTS.items()
        for number in range(1, all_of_them + 1)
    ]
    assert rows == expected
    assert (len(rows), len([1 for _, level in rows if level == "1"])) == (253, 70)


def test_the_page_counts_its_own_states():
    text = (ROOT / "docs" / "asvs.md").read_text("utf-8")
    words = ("met", "not applicable", "operator", r"\*\*not met\*\*")
    counted = [len(re.findall(rf"^\| \S+ \| \d \| .* \| {word} \| ", text, re.M)) for word in words]
    head = " ".join(text.split("##")[0].split())
    said = re.search(r"(\d+) are met, (\d+) ask .*?, (\d+) are met by .*?, and (\d+) are not", head)
    assert said is not None
    assert counted == [int(number) for number in said.groups()]
