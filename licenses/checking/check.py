"""The check of one license key, the same for the portal, terminals and the command.

The steps and their order are contract.md section 4: form, signature, request, record, slot, key,
subscription, time. The first that fails decides. Only our own signing keys are trusted, never a
certificate that came with the key.
"""

import hmac
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.utils import timezone

from licenses import keys, tokens
from licenses.checking.lookup import Fetch, Records, Row, StoredKey, fetch_on_thread, records
from licenses.checking.results import Result, Step
from licenses.checking.status_tokens import OpenedList
from licenses.models import KeyState
from licenses.status_list import Entry
from licenses.tokens import CLOCK_SKEW_SECONDS, PROVIDER_URN, ParsedToken
from subscriptions.models import State, effective_state

PROVIDER_NAMES = ("broker_id", "provider_id")
"""2022-05 terminals send `provider_id`, later ones `broker_id`."""

COMPARED = (
    "key_type",
    "subject",
    "consumer_tenant_id",
    "authorized_party",
    "authorized_application_id",
    "issuer",
    "audience",
    *PROVIDER_NAMES,
)
"""The members of a terminal's request that are compared with the key (contract.md section 3)."""

IN_FILE = ("key_type", "subject", "consumer_tenant_id", "authorized_party", *PROVIDER_NAMES)
"""Those of them that terminals take from the license file (contract.md section 2)."""

AUDIENCES = (
    "https://login.microsoftonline.com/{tid}/v2.0",
    "https://perpetualintelligenceb2c.b2clogin.com/{tid}/v2.0",
    "https://login.perpetualintelligence.com/{tid}/v2.0",
)
"""The forms of the tenant audience that the client generations send."""

WITHOUT_DATABASE = frozenset({Step.RECORD, Step.SLOT, Step.KEY, Step.SUBSCRIPTION})
"""The steps that `check_offline` leaves out."""

WITH_LIST = frozenset({Step.RECORD, Step.SLOT})
"""Those that it leaves out when a status list speaks for the key and its subscription."""

BY_ENTRY: dict[Entry, tuple[Result, ...]] = {
    Entry.VALID: (Result.VALID, Result.SUPERSEDED),
    Entry.INVALID: (Result.REVOKED, Result.DELETED, Result.REPLACED, Result.SUBSCRIPTION_ENDED),
    Entry.SUSPENDED: (Result.SUBSCRIPTION_SUSPENDED, Result.SUBSCRIPTION_ENDED),
}
"""What an entry of a status list may mean (contract.md section 8); the first stands for all."""

_ECHOED = re.compile(r"[A-Za-z0-9._:-]{1,64}")

type Expected = Mapping[str, str | None]
"""Values to compare: an absent name is skipped, None means "not given"."""


class Outcome(StrEnum):
    """The outcome of one step, as pages show it."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to a check.

    `left_out` are the steps that need a database, if the check had none. `parsed` is None for a
    malformed key. `key` is the record of exactly this token; it is None until the signature has
    verified, and for another tenant's key. `certificate` (DER) belongs to the signing key that
    verified the signature; it is None if none did. `may_be` are the results among which a status
    list does not tell; `result` is the first of them. A verdict that passes holds from `checked_at`
    until `holds_until` (Unix time) for as long as the read gives the same `row`.
    """

    result: Result
    description: str
    checked_at: datetime
    compared: Set[str]
    accepted_until: datetime | None = None
    parsed: ParsedToken | None = None
    key: StoredKey | None = None
    certificate: bytes | None = None
    left_out: frozenset[Step] = frozenset()
    may_be: tuple[Result, ...] = ()
    row: Row | None = None
    holds_until: float = 0.0

    @property
    def advice(self) -> str:
        """A sentence that says what to do about the result."""
        if self.may_be:
            return "Open its subscription, or check the key online, to learn which."
        return self.result.advice

    @property
    def passes(self) -> bool:
        """Whether a terminal may start with this key."""
        return self.result.passes

    @property
    def revocation_is_known(self) -> bool:
        """Whether records or a status list spoke for the key, unless it was refused before."""
        return not self.passes or Step.KEY not in self.left_out

    def steps(self) -> list[tuple[str, Outcome]]:
        """Return (title, outcome) of every step, in order."""
        failed = self.result.step
        outcomes: list[tuple[str, Outcome]] = []
        reached = True
        for step in Step:
            if step == failed:
                outcome = Outcome.FAILED
                reached = False
            elif not reached:
                outcome = Outcome.NOT_REACHED
            else:
                outcome = Outcome.SKIPPED if self._skips(step) else Outcome.PASSED
            outcomes.append((str(step.label), outcome))
        return outcomes

    def _skips(self, step: Step) -> bool:
        if step in self.left_out:
            return True
        if step == Step.SLOT:
            return "key_type" not in self.compared
        return step == Step.REQUEST and not self.compared - {"key_type"}


def check(
    token: str,
    *,
    expected: Expected,
    now: datetime | None = None,
    fetch: Fetch = fetch_on_thread,
) -> Verdict:
    """Return the verdict on a license key; no input of a stranger makes it raise.

    `expected` has the names of COMPARED that the caller wants compared. `now` defaults to the
    present: PostgreSQL's, so that nodes whose clocks differ agree. `fetch` makes the one database
    read.
    """
    try:
        parsed = tokens.parse(token)
    except tokens.Malformed as malformed:
        return _malformed(malformed, expected.keys(), now or timezone.now())
    row, at = fetch(parsed.jti, parsed.kid)
    return _judge(parsed, expected, now or at, row)


def check_again(before: Verdict, *, expected: Expected, fetch: Fetch) -> tuple[Verdict, datetime]:
    """Return what `check` does for a token and a request that passed `before`, and the time.

    It is the verdict of then if that still holds. Otherwise all is judged again but what never
    changes: the form, that the request agrees with the claims, and the signature for as long as
    its key still has the certificate that verified it.
    """
    parsed = before.parsed
    assert parsed is not None
    row, now = fetch(parsed.jti, parsed.kid)
    if row == before.row and before.checked_at <= now and now.timestamp() < before.holds_until:
        return before, now
    return _judge(parsed, expected, now, row, passed_under=before.certificate), now


def _judge(
    parsed: ParsedToken,
    expected: Expected,
    now: datetime,
    row: Row | None,
    *,
    passed_under: bytes | None = None,
) -> Verdict:
    found = records(row)
    record = None if found is None else _record_of(parsed, found)
    failure = _judge_signature(parsed, found, passed_under)
    has_verified = failure is None
    if failure is None and passed_under is None:
        failure = judge_request(parsed.claims, expected)
    failure = failure or _judge_record(record, expected)
    if failure is None and record is not None:
        failure = _judge_key(record, now) or _judge_subscription(record, now)
        failure = failure or judge_time(parsed, now)
    result = failure or _passing(record)
    accepted_until = record.accepted_until if record and result == Result.SUPERSEDED else None
    return Verdict(
        result=result,
        description=_describe(result, expected, accepted_until),
        checked_at=now,
        compared=expected.keys(),
        accepted_until=accepted_until,
        parsed=parsed,
        key=record if has_verified and result != Result.TENANT_MISMATCH else None,
        certificate=found.certificate if has_verified and found else None,
        row=row,
        holds_until=_holds_until(parsed, record) if record and result.passes else 0.0,
    )


def check_offline(
    token: str,
    *,
    published_keys: Mapping[str, RSAPublicKey],
    expected: Expected,
    lists: Mapping[str, OpenedList] | None = None,
    now: datetime | None = None,
) -> Verdict:
    """Return the verdict without a database, from published keys (`kid` to key) and lists (by URI).

    The steps from record to subscription are left out (contract.md section 4): without its status
    list, a key that was deleted, revoked or replaced still passes here.
    """
    now = now or timezone.now()
    compared = expected.keys()
    try:
        parsed = tokens.parse(token)
    except tokens.Malformed as malformed:
        return _malformed(malformed, compared, now)
    public_key = published_keys.get(parsed.kid)
    entry: Entry | None = None
    may_be: tuple[Result, ...] = ()
    if public_key is None:
        failure: Result | None = Result.SIGNING_KEY_UNKNOWN
    elif not keys.verify_with(public_key, parsed):
        failure = Result.SIGNATURE_INVALID
    else:
        failure = judge_request(parsed.claims, expected)
        if failure is None:
            entry = _entry(parsed.claims, lists or {})
            may_be = BY_ENTRY[entry] if entry is not None else ()
            refused = may_be[0] if may_be and not may_be[0].passes else None
            failure = refused or judge_time(parsed, now)
            if failure != refused:  # the time tells alone
                may_be = ()
    result = failure or Result.VALID
    return Verdict(
        result=result,
        description=_told_by_list(may_be) or _describe(result, expected, None),
        checked_at=now,
        compared=compared,
        parsed=parsed,
        left_out=WITHOUT_DATABASE if entry is None else WITH_LIST,
        may_be=may_be,
    )


def _entry(claims: Mapping[str, Any], lists: Mapping[str, OpenedList]) -> Entry | None:
    """Return what the key's own list says of it; None without that list."""
    try:
        place = claims["status"]["status_list"]
        return lists[place["uri"]].entry(place["idx"])
    except (KeyError, TypeError, ValueError):
        return None


def _told_by_list(may_be: tuple[Result, ...]) -> str:
    if not may_be:
        return ""
    if Result.VALID in may_be:
        return (
            "The key is valid, or it was replaced and is accepted until its overlap ends. The "
            "status list accepts the key and does not say which."
        )
    if Result.REVOKED in may_be:
        what = "The key was deleted, revoked or replaced, or its subscription was ended"
    else:
        what = "The subscription is suspended, or its end date has passed"
    return f"{what}. The status list refuses the key and does not say which."


def expected_from_terminal(body: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what a terminal's request names: all of COMPARED, None where it is missing."""
    return {name: _text(body.get(name)) for name in COMPARED}


def expected_from_file(
    members: Mapping[str, Any], *, tenant_id: UUID | None = None
) -> dict[str, str | None]:
    """Return what an uploaded license file names, as a terminal would send it.

    Its audience is left out: terminals never send it. The application is compared only if the
    file lists it. With `tenant_id`, a file of another tenant is a mismatch.
    """
    expected = {name: _text(members.get(name)) for name in IN_FILE}
    if tenant_id is not None and expected["consumer_tenant_id"] != str(tenant_id):
        expected["consumer_tenant_id"] = None
    if "authorized_application_ids" in members:
        listed = members["authorized_application_ids"]
        first = listed[0] if isinstance(listed, list) and listed else None
        expected["authorized_application_id"] = _text(first)
    return expected


def _malformed(malformed: tokens.Malformed, compared: Set[str], now: datetime) -> Verdict:
    return Verdict(
        result=Result.MALFORMED,
        description=f"{Result.MALFORMED.sentence} {malformed.reason}",
        checked_at=now,
        compared=compared,
    )


def judge_request(claims: Mapping[str, Any], expected: Expected) -> Result | None:
    """Return the first mismatch of request and claims, in the order of contract.md section 4."""
    if _differs(expected, "issuer", claims.get("iss")):
        return Result.ISSUER_MISMATCH
    if _differs(expected, "consumer_tenant_id", claims.get("tid")):
        return Result.TENANT_MISMATCH
    if _differs(expected, "subject", claims.get("sub")):
        return Result.SUBJECT_MISMATCH
    if _differs(expected, "authorized_party", claims.get("azp")):
        return Result.PARTY_MISMATCH
    if not _provider_agrees(expected):
        return Result.PROVIDER_MISMATCH
    if not _audience_agrees(expected.get("audience"), claims):
        return Result.AUDIENCE_MISMATCH
    if _differs(expected, "authorized_application_id", claims.get("auth_apps")):
        return Result.APPLICATION_NOT_AUTHORIZED
    return None


def judge_time(parsed: ParsedToken, now: datetime) -> Result | None:
    """Return the failure of a key outside its validity, with clock skew (RFC 7519 4.1.4)."""
    moment = now.timestamp()
    if moment < max(parsed.iat, parsed.nbf) - CLOCK_SKEW_SECONDS:
        return Result.NOT_YET_VALID
    if moment >= parsed.exp + CLOCK_SKEW_SECONDS:
        return Result.EXPIRED
    return None


def _holds_until(parsed: ParsedToken, record: StoredKey) -> float:
    """Return when time alone may change the verdict on a key that passes (Unix time)."""
    ends = (record.accepted_until, record.subscription_ends_at)
    moments = [end.timestamp() for end in ends if end is not None]
    return min([parsed.exp + CLOCK_SKEW_SECONDS, *moments])


def _record_of(parsed: ParsedToken, found: Records) -> StoredKey | None:
    """Return the row of the token's `jti`, if it was made for exactly this token."""
    key = found.key
    return key if key and hmac.compare_digest(key.token_sha256, parsed.sha256) else None


def _judge_signature(
    parsed: ParsedToken, found: Records | None, passed_under: bytes | None
) -> Result | None:
    if found is None or not found.verifies:
        return Result.SIGNING_KEY_UNKNOWN
    if found.certificate == passed_under:
        return None
    signed = keys.verify_with(keys.public_key(found.certificate), parsed)
    return None if signed else Result.SIGNATURE_INVALID


def _judge_record(record: StoredKey | None, expected: Expected) -> Result | None:
    if record is None:
        return Result.UNKNOWN
    if _differs(expected, "key_type", record.slot.key_type):
        return Result.KEY_TYPE_MISMATCH
    return None


def _judge_key(record: StoredKey, now: datetime) -> Result | None:
    if record.state == KeyState.DELETED:
        return Result.DELETED
    if record.is_revoked:
        return Result.REVOKED
    if record.state == KeyState.REPLACED or _overlap_is_over(record, now):
        return Result.REPLACED
    return None


def _overlap_is_over(record: StoredKey, now: datetime) -> bool:
    if record.state != KeyState.SUPERSEDED:
        return False
    return record.accepted_until is None or now >= record.accepted_until


_BY_SUBSCRIPTION = {
    State.PENDING: Result.SUBSCRIPTION_PENDING,
    State.ACTIVE: None,
    State.SUSPENDED: Result.SUBSCRIPTION_SUSPENDED,
    State.ENDED: Result.SUBSCRIPTION_ENDED,
}


def _judge_subscription(record: StoredKey, now: datetime) -> Result | None:
    state = effective_state(record.subscription_state, record.subscription_ends_at, now)
    return _BY_SUBSCRIPTION[state]


def _passing(record: StoredKey | None) -> Result:
    superseded = record is not None and record.state == KeyState.SUPERSEDED
    return Result.SUPERSEDED if superseded else Result.VALID


def _differs(expected: Expected, name: str, actual: object) -> bool:
    if name not in expected:
        return False
    given = expected[name]
    return given is None or given != actual


def _provider_agrees(expected: Expected) -> bool:
    compared = [expected[name] for name in PROVIDER_NAMES if name in expected]
    given = [value for value in compared if value is not None]
    return not compared or (bool(given) and all(value == PROVIDER_URN for value in given))


def _audience_agrees(given: str | None, claims: Mapping[str, Any]) -> bool:
    if given is None or given == claims.get("name"):
        return True
    return given.removesuffix("/") in _audiences(claims.get("tid"))


def _audiences(tid: object) -> Iterable[str]:
    return [form.format(tid=tid) for form in AUDIENCES]


def _describe(result: Result, expected: Expected, accepted_until: datetime | None) -> str:
    if result == Result.APPLICATION_NOT_AUTHORIZED:
        given = expected.get("authorized_application_id") or ""
        echoed = given if _ECHOED.fullmatch(given) else ""
        return f"The application is not authorized. application_id={echoed}"
    if accepted_until is not None:
        return (
            "The license key was replaced by a reset and is accepted until "
            f"{accepted_until:%Y-%m-%d %H:%M:%S} UTC."
        )
    return result.sentence


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
