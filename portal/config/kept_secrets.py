"""Secrets of the demonstration, made once and kept in a file."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.fernet import Fernet


class KeptSecrets:
    """Secrets of the demonstration, made once and kept in a file only its owner can read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.makers: dict[str, Callable[[], str]] = {
            "KEY_ENCRYPTION_KEYS": lambda: Fernet.generate_key().decode(),
        }

    def get(self, name: str) -> str:
        """Return the kept secret of that name; make and keep it when there is none yet.

        Raises OSError where the file cannot be read or written, ValueError where it is damaged.
        """
        kept: dict[str, str] = {}
        if self.path.exists():
            kept = _read(self.path)
        if name not in kept:
            kept[name] = self.makers.get(name, lambda: secrets.token_urlsafe(48))()
            write_private(self.path, json.dumps(kept, indent=2))
        return kept[name]


def _read(path: Path) -> dict[str, str]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        kept = None
    if not isinstance(kept, dict) or not all(isinstance(value, str) for value in kept.values()):
        raise ValueError(f"{path} is damaged; remove it, and the secrets are made anew.")
    return kept


def write_private(path: Path, text: str) -> None:
    """Write a file (mode 0600), whole or not at all; a folder that is made for it has mode 0700.

    The mode of an existing folder is not changed: it may be one of the system.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
