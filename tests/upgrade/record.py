"""Which migrations were released, with their checksums: `python -m tests.upgrade.record`.

Run it when a version is released. It refuses to change what is recorded already; `--baseline`
records everything anew, and was meant for the baseline of version 1.0 alone.
"""

import argparse
import json
import sys
from hashlib import sha256
from pathlib import Path

APPS = ("portal", "subscriptions", "licenses")
ROOT = Path(__file__).parent.parent.parent
RECORD = Path(__file__).with_name("released.json")


def released() -> dict[str, str]:
    """Return the recorded migrations ("portal.0001_initial") with their checksums."""
    return json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}


def on_disk() -> dict[str, str]:
    """Return all migrations there are, with the SHA-256 of their text."""
    return {
        f"{app}.{path.stem}": sha256(path.read_text("utf-8").encode()).hexdigest()
        for app in APPS
        for path in sorted((ROOT / app / "migrations").glob("[!_]*.py"))
    }


def violations(recorded: dict[str, str], found: dict[str, str]) -> list[str]:
    """Name every released migration that was edited or removed."""
    edited = [name for name in recorded if name in found and found[name] != recorded[name]]
    removed = [name for name in recorded if name not in found]
    return [
        *(f"{name} was released and must not be edited: add a new migration." for name in edited),
        *(f"{name} was released and must not be removed." for name in removed),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade.record")
    parser.add_argument("--baseline", action="store_true", help="record everything anew")
    recorded, found = released(), on_disk()
    if parser.parse_args().baseline:
        recorded = {}
    elif refused := violations(recorded, found):
        sys.exit("\n".join(refused))
    RECORD.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    for name in found.keys() - recorded.keys():
        print(f"Recorded {name}.")


if __name__ == "__main__":
    main()
