"""The commands of docs/deploy.md."""

import re
from collections.abc import Iterator

from tests.support.repository import ROOT

PAGE = ROOT / "docs" / "deploy.md"


def blocks() -> Iterator[tuple[str, str]]:
    """Yield (heading above it, commands) of every block of the page that is to be run."""
    heading = ""
    text = PAGE.read_text("utf-8")
    for found in re.finditer(r"^##+ ([^\n]+)$|^```console\n(.*?)^```$", text, re.M | re.S):
        if found[1]:
            heading = found[1]
        else:
            yield heading, found[2]
