"""The pages about the code are held to the code: the tree, the reader's route, the decisions."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.repository import ROOT, files

APPS = ("portal", "subscriptions", "licenses")
MAX_AT_THE_TOP = {"portal": 8, "licenses": 12, "subscriptions": 14}
MAX_LINES = 40
COMMANDS = {Path("tests/upgrade/lint.py"), Path("tests/upgrade/record.py")}

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


def there() -> list[Path]:
    """Return every file of the repository, relative to the root."""
    return [path.relative_to(ROOT) for path in files()]


def test_the_tree_names_every_file_of_the_apps_once_and_no_other():
    named = [path for path in tree() if path.split("/")[0] in APPS and not path.endswith("/")]
    expected = [
        str(path)
        for path in there()
        if path.parts[0] in APPS
        and path.name != "__init__.py"
        and not (path.parent.name == "migrations" and path.suffix == ".py")
    ]
    assert sorted(named) == sorted(expected)


def test_the_tree_names_every_folder_with_files_once_and_no_other():
    """Except for the folders of tests that mirror those of an app, and for hidden ones."""
    named = [path for path in tree() if path.endswith("/")]
    expected = {
        f"{path.parent}/"
        for path in there()
        if path.parts[1:] and not path.parts[0].startswith(".") and not mirrored(path)
    }
    expected -= {f"{app}/management/" for app in APPS}
    assert sorted(named) == sorted(expected)


def mirrored(path: Path) -> bool:
    """Return whether the file lies in a folder of tests below that of an app."""
    return path.parts[0] == "tests" and path.parts[1] in APPS and len(path.parts) > 3


def test_folders_of_tests_mirror_folders_of_the_apps():
    folders = {path.parent.relative_to("tests") for path in there() if mirrored(path)}
    assert sorted(folder for folder in folders if not (ROOT / folder).is_dir()) == []


@pytest.mark.parametrize("app", APPS)
def test_few_files_are_at_the_top_of_an_app(app):
    assert len([path for path in there() if path.parent == Path(app)]) <= MAX_AT_THE_TOP[app]


def test_helpers_of_tests_lie_in_support():
    """Everywhere else a module holds tests, is a conftest.py or an empty __init__.py."""
    others = [
        path
        for path in there()
        if path.parts[0] == "tests" and path.suffix == ".py" and path not in COMMANDS
        if path.parts[1] not in {"support", "bench", "chaos", "deploy", "mutation", "screenshots"}
        if not path.match("test_*.py") and path.name != "conftest.py"
    ]
    assert [path for path in others if path.name != "__init__.py"] == []
    assert [path for path in others if (ROOT / path).stat().st_size > 0] == []


def test_no_test_module_is_imported():
    found = [
        f"{path}: {name}"
        for path in there()
        if path.parts[0] == "tests" and path.suffix == ".py"
        for name in imported(path)
        if name.startswith("tests.") and ".test_" in name
    ]
    assert found == []


def test_one_module_of_tests_imports_internal_modules_of_allauth():
    """Others use those that the portal imports, from `portal/accounts/allauth_internals.py`."""
    found = {
        str(path)
        for path in there()
        if path.parts[0] == "tests" and path.suffix == ".py"
        for name in imported(path)
        if re.match(r"allauth\..*\binternal\b", name)
    }
    assert found == {"tests/support/second_factor.py"}


@cache
def imported(path: Path) -> list[str]:
    """Return the full name of everything that the module imports."""
    found: list[str] = []
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return found


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
    assert len(text.splitlines()) <= MAX_LINES
