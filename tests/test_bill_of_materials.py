"""What the repository carries of others is in the bill of materials (`make sbom`) as it is here."""

import hashlib
import json
from pathlib import Path
from typing import Any

import django_htmx
import pytest

from tests.support.repository import ROOT, files

COMPONENTS = json.loads((ROOT / "deploy" / "vendored.cdx.json").read_text("utf-8"))["components"]
PACKAGES = Path(django_htmx.__file__).parent.parent


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component["name"])
def test_a_vendored_component_is_the_one_that_is_listed(component: dict[str, Any]):
    for file in component["components"]:
        path = ROOT / file["name"]
        content = (path if path.exists() else PACKAGES / file["name"]).read_bytes()
        [digest] = file["hashes"]
        assert digest == {"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}


def test_every_vendored_file_is_listed():
    listed = {file["name"] for component in COMPONENTS for file in component["components"]}
    there = {str(path.relative_to(ROOT)) for path in files()}
    vendored = {name for name in there if name.startswith("static/vendor/")}
    notes = {name for name in vendored if Path(name).name in {"LICENSE", "VERSION"}}
    assert vendored - notes == listed & vendored


def test_the_versions_are_those_of_the_folders_and_of_htmx():
    folders = sorted((ROOT / "static" / "vendor").iterdir())
    named = {
        f"{component.get('group', '')}/{component['name']} {component['version']}".removeprefix("/")
        for component in COMPONENTS
    }
    versions = [(folder / "VERSION").read_text("utf-8") for folder in folders]
    assert [text for text in versions if not text.startswith(tuple(named))] == []
    htmx = next(each for each in COMPONENTS if each["name"] == "htmx.org")
    source = (PACKAGES / htmx["components"][0]["name"]).read_text("utf-8")
    assert f'version:"{htmx["version"]}"' in source
