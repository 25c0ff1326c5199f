"""What no file of the repository may hold, and what the README must."""

import re
from collections import Counter
from pathlib import Path

from portal.settings import env
from tests.support.repository import ROOT, files


def lines_with(pattern: str, paths: list[Path]) -> list[str]:
    """Return `file:line: text` of every line that the pattern finds."""
    found = []
    for path in paths:
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for match in re.finditer(pattern, text, re.MULTILINE | re.IGNORECASE):
            number = text.count("\n", 0, match.start()) + 1
            found.append(f"{path.relative_to(ROOT)}:{number}: {match[0][:80]}")
    return found


GIVEN_UP = {
    "deed": "operator action",
    "fate": "row result",
    "keepers": "key managers",
    "smith": "forge",
    "objection": "cancel a change",
}
"""Words that were given up, with the term that is used in place of each."""

WORDS_ELSEWHERE = {"tests/test_repository.py": "the list itself"}
"""Files that may hold such a word, with the reason."""


def test_no_word_that_was_given_up():
    """In code, templates and pages; the addresses below `objections/` are a word of their own."""
    paths = [
        path
        for path in files()
        if path.suffix in {".py", ".html", ".md", ".txt"}
        and str(path.relative_to(ROOT)) not in WORDS_ELSEWHERE
    ]
    assert lines_with(rf"(?<![a-z])(?:{'|'.join(GIVEN_UP)})(?![a-z])", paths) == []


def test_no_path_of_one_machine():
    assert lines_with(r"(?<![\w.:/}-])/(?:work|root|users|home/(?!portal\b))/?\w+/", files()) == []


def test_no_address_of_a_package_registry():
    hosts = (
        r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com|"
        r"jsdelivr\.net|unpkg\.com|cdnjs\.cloudflare\.com|--(?:extra-)?index-url"
    )
    assert lines_with(hosts, files()) == []


def test_no_private_key():
    assert lines_with(r"PRIVATE KEY-----\s*[A-Za-z0-9+/=]{40}", files()) == []


def test_no_database_and_no_environment_file():
    heads = {path: path.read_bytes()[:16] for path in files()}
    assert [path for path, head in heads.items() if head == b"SQLite format 3\0"] == []
    assert [path.name for path in files() if path.name.startswith(".env")] == []


def test_readme_lists_every_setting():
    """Every row of a README table headed `Variable` names what the settings read, in backticks."""
    listed: set[str] = set()
    in_table = False
    for line in (ROOT / "README.md").read_text("utf-8").splitlines():
        first = line.split("|")[1].strip() if line.startswith("|") else ""
        in_table = line.startswith("|") and (in_table or first == "Variable")
        if in_table:
            listed |= set(re.findall(r"`([A-Z][A-Z0-9_]+)`", first))
    assert listed == env.asked


def test_no_page_says_the_same_twice():
    """As after a merge that kept both sides."""
    found = []
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        text = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        counts = Counter(line.strip() for line in text.splitlines() if len(line) > 60)
        found += [f"{path.relative_to(ROOT)}: {line}" for line, n in counts.items() if n > 1]
    assert found == []
