"""Check a license file or a bare license key on the command line."""

import json
import sys
from pathlib import Path
from typing import Any, override

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.core.management.base import BaseCommand, CommandError, CommandParser

from licenses import keys
from licenses.checking.check import Verdict, check, check_offline, expected_from_file
from licenses.checking.results import Result
from licenses.files import MAX_UPLOAD_BYTES, read_presented, text_of
from portal.core.refusal import Refused


class Command(BaseCommand):
    """Print the verdict and its reasons; the exit status says which result it is."""

    help = (
        "Check a license key. The exit status is 0 when a terminal may start on it, 1 when it "
        "could not be checked, 2 for wrong usage, and one of its own for each refusal: "
        + ", ".join(f"{r.exit_status} {r.value}" for r in Result if not r.passes)
        + "."
    )
    requires_system_checks: list[str] = []

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="a license file or a file with a bare key; - reads both")
        parser.add_argument(
            "--jwks",
            type=Path,
            metavar="FILE",
            help="verify with this JWK Set, fetched apart from the license, without a database: "
            "deletion, revocation and the subscription are then not looked at",
        )
        parser.add_argument("--json", action="store_true", help="answer in JSON, for programs")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Print the verdict and exit with its status; raises CommandError for unreadable files."""
        try:
            token, members = read_presented(_text_of(options["file"]))
        except Refused as refused:
            raise CommandError(refused.sentence) from refused
        # The certificate inside the file is never used: anyone can make such a file.
        expected = {} if members is None else expected_from_file(members)
        if options["jwks"] is None:
            verdict = check(token, expected=expected)
        else:
            published = _published(options["jwks"])
            verdict = check_offline(token, published_keys=published, expected=expected)
        self.stdout.write(_as_json(verdict) if options["json"] else _for_people(verdict))
        if verdict.result.exit_status:
            sys.exit(verdict.result.exit_status)


def _text_of(name: str) -> str:
    try:
        if name == "-":
            content = sys.stdin.buffer.read(MAX_UPLOAD_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(MAX_UPLOAD_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}.") from error
    if len(content) > MAX_UPLOAD_BYTES:
        raise CommandError(f"{name} has more than {MAX_UPLOAD_BYTES // 1024} KiB: no license file.")
    try:
        return text_of(content)
    except UnicodeDecodeError as error:
        raise CommandError(f"{name} is not UTF-8 text: no license file.") from error


def _published(path: Path) -> dict[str, RSAPublicKey]:
    try:
        return keys.public_keys_from_jwks(json.loads(path.read_bytes()))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is no JWK Set that may verify: {error}") from error


def _as_json(verdict: Verdict) -> str:
    claims = verdict.parsed.claims if verdict.parsed else {}
    answer = {
        "result": verdict.result,
        "passes": verdict.passes,
        "description": verdict.description,
        "advice": verdict.result.advice,
        "checked_at": verdict.checked_at.isoformat(),
        "accepted_until": verdict.accepted_until and verdict.accepted_until.isoformat(),
        "jti": claims.get("jti"),
        "steps": dict(verdict.steps()),
    }
    return json.dumps(answer, indent=2)


def _for_people(verdict: Verdict) -> str:
    steps = [f"  {title:<13} {outcome}" for title, outcome in verdict.steps()]
    return "\n".join(
        [
            f"{verdict.result.label} ({verdict.result})",
            verdict.description,
            *steps,
            verdict.result.advice,
        ]
    )
