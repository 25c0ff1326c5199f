"""Check a license file, a bare license key or an offline bundle on the command line."""

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, override

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from licenses import keys
from licenses.bundle import reading
from licenses.checking.check import Verdict, check, check_offline, expected_from_file
from licenses.checking.results import Result
from licenses.files import MAX_UPLOAD_BYTES, read_presented, text_of
from portal.core.dates import moment
from portal.core.refusal import Refused

REVOCATION_UNKNOWN = 30
TOO_OLD = 31
"""Exit statuses beside those of the results; none is ever changed or used again."""


class Command(BaseCommand):
    """Print the verdict and its reasons; the exit status says which result it is."""

    help = (
        "Check a license key. The exit status is 0 when a terminal may start on it, 1 when it "
        "could not be checked, 2 for wrong usage, and one of its own for each refusal: "
        + ", ".join(f"{r.exit_status} {r.value}" for r in Result if not r.passes)
        + f". With --bundle it is {REVOCATION_UNKNOWN} for a good key whose status list is not in "
        f"the bundle, and {TOO_OLD} for one in a bundle older than --max-age."
    )
    requires_system_checks: list[str] = []

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            nargs="?",
            help="a license file or a file with a bare key; - reads both; with --bundle it may be "
            "left out",
        )
        parser.add_argument(
            "--bundle",
            type=Path,
            metavar="ZIP",
            help="judge by what this offline bundle knows, without a network or a database: the "
            "given file, or else the license files in it; needs --jwks",
        )
        parser.add_argument(
            "--jwks",
            type=Path,
            metavar="FILE",
            help="verify with this JWK Set, fetched apart from the license, without a database: "
            "deletion, revocation and the subscription are then not looked at",
        )
        parser.add_argument(
            "--max-age",
            type=int,
            metavar="HOURS",
            help="refuse a bundle that is older",
        )
        parser.add_argument("--json", action="store_true", help="answer in JSON, for programs")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Print the verdict and exit with its status; raises CommandError for unreadable files."""
        if options["bundle"] is not None:
            return self._by_bundle(**options)
        if options["max_age"] is not None:
            raise CommandError("--max-age needs --bundle.", returncode=2)
        if options["file"] is None:
            raise CommandError("Give a license file, a file with a bare key, or -.", returncode=2)
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
        _exit(verdict)
        return None

    def _by_bundle(self, **options: Any) -> None:
        if options["jwks"] is None:
            raise CommandError(
                "--bundle needs --jwks: the JWK Set that you fetched from the portal apart from "
                "the bundle. The keys inside it prove nothing: anyone can make a bundle.",
                returncode=2,
            )
        now = timezone.now()
        try:
            content = _content_of(options["bundle"], reading.MAX_BYTES)
            bundle = reading.read(content, trusted=_published(options["jwks"]), now=now)
            if options["file"] is None:
                verdicts = bundle.verdicts(now=now)
            else:
                name = options["file"]
                verdicts = {name: bundle.judge(_text_of(name), now=now)}
        except Refused as refused:
            raise CommandError(refused.sentence) from refused
        if options["json"]:
            told = {"bundle": _news(bundle, now), "files": {}}
            told["files"] = {name: _answer(verdict) for name, verdict in verdicts.items()}
            self.stdout.write(json.dumps(told, indent=2))
        else:
            files = [f"{name}: {_by_list(verdict)}" for name, verdict in verdicts.items()]
            self.stdout.write("\n\n".join([_news_for_people(bundle, now), *files]))
        for verdict in verdicts.values():
            _exit(verdict)
        age, max_age = now - bundle.made_at, options["max_age"]
        if max_age is not None and age > timedelta(hours=max_age):
            self.stderr.write(f"The bundle is older than {max_age} hours. Download a new one.")
            sys.exit(TOO_OLD)
        if not all(verdict.revocation_is_known for verdict in verdicts.values()):
            sys.exit(REVOCATION_UNKNOWN)


def _exit(verdict: Verdict) -> None:
    if verdict.result.exit_status:
        sys.exit(verdict.result.exit_status)


def _news(bundle: reading.Bundle, now: datetime) -> dict[str, Any]:
    return {
        "subscription": bundle.subscription,
        "made_at": bundle.made_at.isoformat(),
        "age_seconds": max(0, int((now - bundle.made_at).total_seconds())),
    }


def _news_for_people(bundle: reading.Bundle, now: datetime) -> str:
    return (
        f"Offline bundle of subscription {bundle.subscription}, signed by a trusted key.\n"
        f"The bundle is {_age(now - bundle.made_at)} old, of {moment(bundle.made_at)}: what has "
        "happened since then is not in it."
    )


def _age(passed: timedelta) -> str:
    """Return a duration in words, such as "3 days" or "1 hour"."""
    minutes = max(0, int(passed.total_seconds() // 60))
    for unit, length in (("day", 1440), ("hour", 60)):
        if minutes >= length:
            number = minutes // length
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


def _content_of(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error


def _text_of(name: str) -> str:
    if name == "-":
        content = sys.stdin.buffer.read(MAX_UPLOAD_BYTES + 1)
    else:
        content = _content_of(Path(name), MAX_UPLOAD_BYTES)
    if len(content) > MAX_UPLOAD_BYTES:
        raise CommandError(
            f"{name} has more than {MAX_UPLOAD_BYTES // 1024} KiB: not a license file."
        )
    try:
        return text_of(content)
    except UnicodeDecodeError as error:
        raise CommandError(f"{name} is not UTF-8 text: not a license file.") from error


def _published(path: Path) -> dict[str, RSAPublicKey]:
    try:
        return keys.public_keys_from_jwks(json.loads(path.read_bytes()))
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{path} is not a JWK Set that may verify: {error}") from error


def _as_json(verdict: Verdict) -> str:
    return json.dumps(_answer(verdict), indent=2)


def _answer(verdict: Verdict) -> dict[str, Any]:
    claims = verdict.parsed.claims if verdict.parsed else {}
    return {
        "result": verdict.result,
        "passes": verdict.passes,
        "may_be": list(verdict.may_be),
        "revocation_is_known": verdict.revocation_is_known,
        "description": verdict.description,
        "advice": verdict.advice,
        "checked_at": verdict.checked_at.isoformat(),
        "accepted_until": verdict.accepted_until and verdict.accepted_until.isoformat(),
        "jti": claims.get("jti"),
        "steps": dict(verdict.steps()),
    }


def _by_list(verdict: Verdict) -> str:
    """Return the verdict by a bundle, which may lack the status list of the key."""
    unknown = "Signature valid, revocation unknown: the bundle lacks its status list.\n"
    return ("" if verdict.revocation_is_known else unknown) + _for_people(verdict)


def _for_people(verdict: Verdict) -> str:
    steps = [f"  {title:<13} {outcome}" for title, outcome in verdict.steps()]
    results = verdict.may_be or (verdict.result,)
    return "\n".join(
        [
            " or ".join(f"{result.label} ({result})" for result in results),
            verdict.description,
            *steps,
            verdict.advice,
        ]
    )
