"""The pages about the code are held to the code: the tree, the reader's route, the decisions."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APPS = ("portal", "subscriptions", "licenses")
MOST_AT_THE_TOP = {"portal": 8, "licenses": 12, "subscriptions": 14}
MOST_LINES = 40

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
DECISIONS = ROOT / "docs" / "decisions"
PAGES = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")


def section(title: str) -> str:
    """Return the text of a section of the architecture page, without its heading."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"There is no section {title}."
    return found[1]


def tree() -> list[str]:
    """Return every path that the tree names; those of folders end in a slash.

    Two blanks a level, names with one blank between them, then two blanks or more and a comment.
    """
    block = re.search(r"^```\n(.*?)^```", section("The tree"), re.MULTILINE | re.DOTALL)
    assert block is not None
    paths: list[str] = []
    folders: list[str] = []
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above = "".join(folders[:depth])
        names = re.split(r" {2,}", line.strip())[0].split()
        paths += [above + name for name in names]
        if names[-1].endswith("/"):
            folders = [*folders[:depth], names[-1]]
    return paths


def modules() -> list[Path]:
    """Return every Python file of the apps, relative to the root."""
    return [path.relative_to(ROOT) for app in APPS for path in (ROOT / app).rglob("*.py")]


def test_the_tree_names_every_python_file_once_and_no_other():
    named = [path for path in tree() if path.startswith(APPS) and path.endswith(".py")]
    there = [
        str(path)
        for path in modules()
        if path.name != "__init__.py" and path.parent.name != "migrations"
    ]
    assert sorted(named) == sorted(there)


def test_the_tree_names_every_folder_with_python_files_once_and_no_other():
    named = [path for path in tree() if path.startswith(APPS) and path.endswith("/")]
    there = {f"{path.parent}/" for path in modules()} - {f"{app}/management/" for app in APPS}
    assert sorted(named) == sorted(there)


def test_what_the_tree_names_beside_the_apps_exists():
    others = [path for path in tree() if not path.startswith(APPS)]
    assert others == ["manage.py", "templates/", "static/", "tests/", "docs/"]
    assert [path for path in others if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("app", APPS)
def test_few_files_are_at_the_top_of_an_app(app):
    assert len(list((ROOT / app).glob("*.py"))) <= MOST_AT_THE_TOP[app]


def test_the_readers_route_has_ten_files_that_exist():
    stops = re.findall(r"^(\d+)\. `([^`]+)`", section("Where to start reading"), re.MULTILINE)
    assert [int(number) for number, _ in stops] == list(range(1, 11))
    assert len({path for _, path in stops}) == 10
    assert [path for _, path in stops if not (ROOT / path).is_file()] == []


def test_every_python_file_that_a_page_names_exists():
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    named = {
        (str(page.relative_to(ROOT)), path)
        for page in pages
        for path in re.findall(r"`((?:\w+/)+\w+\.py)`", page.read_text("utf-8"))
    }
    assert sorted((page, path) for page, path in named if not (ROOT / path).is_file()) == []


def test_decisions_are_numbered_without_gaps():
    numbers = [path.name[:5] for path in PAGES]
    assert numbers == [f"{number:04}-" for number in range(1, len(PAGES) + 1)]


def test_the_list_of_decisions_has_every_page_under_its_title():
    listed = re.findall(
        r"^(\d+)\. \[(.+)\]\((.+)\)$", (DECISIONS / "README.md").read_text("utf-8"), re.MULTILINE
    )
    titles = [
        (str(number), path.read_text("utf-8").splitlines()[0].removeprefix(f"# {number}. "))
        for number, path in enumerate(PAGES, start=1)
    ]
    assert [(number, title) for number, title, _ in listed] == titles
    assert [name for _, _, name in listed] == [path.name for path in PAGES]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_decision_is_one_short_page_of_three_sections(path):
    text = path.read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= MOST_LINES
