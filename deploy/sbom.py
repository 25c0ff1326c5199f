"""Write the bill of materials of what runs, in CycloneDX 1.6, to standard output: `make sbom`.

cyclonedx-py reads what is installed for a Python whose path is given; what is vendored comes from
`vendored.cdx.json`, whose digests `tests/test_bill_of_materials.py` compares with the files.
The same release gives the same bill: its serial number is made of what it says, it has no time.
"""

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements.txt"
VENDORED = ROOT / "deploy" / "vendored.cdx.json"


def installed(python: str) -> dict[str, Any]:
    """Return the bill of the packages that this Python has, the same for the same packages."""
    options = ["--sv", "1.6", "--output-reproducible", "--pyproject", ROOT / "pyproject.toml"]
    command = [sys.executable, "-m", "cyclonedx_py", "environment", *options, python]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 (our own)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def digests() -> dict[str, list[dict[str, str]]]:
    """Return the SHA-256 of every file from which a package may be installed, by its name."""
    found = {}
    text = REQUIREMENTS.read_text("utf-8")
    for name, lines in re.findall(r"^([\w.-]+)==(.*(?:\n    --hash=.*)+)", text, re.M):
        content = re.findall(r"--hash=sha256:(\w+)", lines)
        found[_normal(name)] = [{"alg": "SHA-256", "content": each} for each in content]
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(python: str) -> None:
    """Print the bill, or raise an error where it does not fit the schema."""
    bill = installed(python)
    known = digests()
    for component in bill["components"]:
        if not known.get(_normal(component["name"])):
            raise SystemExit(f"requirements.txt has no hash of {component['name']}.")
        component["hashes"] = known[_normal(component["name"])]
    vendored = json.loads(VENDORED.read_text("utf-8"))["components"]
    bill["components"] += vendored
    refs = [component["bom-ref"] for component in vendored]
    portal = bill["metadata"]["component"]["bom-ref"]
    for each in bill["dependencies"]:
        if each["ref"] == portal:
            each["dependsOn"] = sorted([*each.get("dependsOn", []), *refs])
    bill["dependencies"] += [{"ref": ref} for ref in refs]
    said = json.dumps(bill, sort_keys=True)
    bill["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, said).urn
    text = json.dumps(bill, indent=2)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise SystemExit(f"The bill of materials does not fit CycloneDX 1.6: {wrong}")
    print(text)


main(*sys.argv[1:])
