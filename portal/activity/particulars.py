"""The details of a log row in words, whichever release has written the row.

Rows never change, so every shape that was ever written is read here. A change is
`{"before": {field: value}, "after": {field: value}}`; in the oldest rows it is
`{field: {"before": value, "after": value}}`, or `{"before": value, "after": value}` where the
action says which field is meant. A person is `name` and `email`, one of them, or the address
under `of`, `user` or `account`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from portal.activity.actions import Action
from portal.core.browsers import session_in_words
from portal.core.countries import country_name
from portal.core.dates import moment

type Value = str | datetime
"""What a page shows: text, or a moment that it writes in the reader's way."""

NONE = "none"
LABELS = {
    "accepted_until": "Old key accepted until",
    "account": "Account",
    "activated_at": "Activated",
    "authorized_application_id": "Authorized application id",
    "beneficiary_email": "Beneficiary's email",
    "beneficiary_object_id": "Beneficiary's object id",
    "beneficiary_tenant_id": "Beneficiary's tenant id",
    "email": "Email address",
    "ended_by": "Ended by",
    "ends_at": "End date",
    "ends_in": "Token ends in",
    "event": "Event",
    "expires_at": "Expires",
    "first_checked_at": "First checked",
    "holder_name": "Holder's name",
    "how": "Signed in with",
    "id": "Identifier",
    "invited_owner": "Invited owner",
    "is_active": "May sign in",
    "is_emergency": "In an emergency",
    "jti": "Key id (jti)",
    "kid": "Signing key id (kid)",
    "left": "Recovery codes left",
    "of": "Person",
    "older_than_days": "Older than, in days",
    "overlap_ends_at": "Overlap ends",
    "provider": "Identity provider",
    "refused_license_keys": "License keys refused from now on",
    "replaces": "Replaces key (jti)",
    "requires_two_factor": "Second factor required",
    "revoked_at": "Revoked",
    "rows": "Rows removed",
    "sessions": "Sessions",
    "signs": "Signs",
    "starts_at": "Start",
    "up_to_row": "Up to row",
    "urn": "URN",
    "user": "Person",
    "way": "Tried with",
}
"""Names of details that do not read well by themselves."""

WORDS = {
    "usage": {
        "org": "Organizational",
        "per": "Personal",
        "edu": "Educational",
        "rnd": "Research and development",
    },
    "second factors": {
        "totp": "authenticator app",
        "webauthn": "passkey or security key",
        "recovery_codes": "recovery codes",
    },
}
"""Values that the portal chose, in words; those of other fields are words already."""

CAPITAL = {"role", "state", "outcome", "usage"}
FIELD_OF = {
    Action.MEMBER_ROLE_CHANGED: "role",
    Action.PERSON_RENAMED: "name",
    Action.SUBSCRIPTION_RENAMED: "name",
    Action.EMAIL_CHANGED: "email",
}
"""Which field a row is about that has bare values before and after."""

NEW_STATES = {
    "suspended": "Subscription suspended",
    "active": "Subscription resumed",
    "ended": "Subscription ended",
}
"""What a change of a subscription's state is called, by the new state."""

EMPTY: tuple[Any, ...] = (None, "", [], {})
"""Values that say nothing."""

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, kw_only=True)
class Particular:
    """One detail of a row: with `before` a change, with `is_subject` what the row is about."""

    label: str
    value: Value
    before: Value | None = None
    is_subject: bool = False


def what_changed(action: str, details: Mapping[str, Any]) -> str:
    """Return what a row with this action tells in particular, or "" if that says no more."""
    after = details.get("after")
    if action != Action.SUBSCRIPTION_CHANGED or not isinstance(after, dict):
        return ""
    return NEW_STATES.get(str(after.get("state")), "")


def particulars(action: str, details: Mapping[str, Any]) -> list[Particular]:
    """Return the details of a row for people, the person or record first."""
    plain, changes = _parted(action, details)
    who, plain = _subject(plain)
    return [
        *([who] if who else []),
        *(Particular(label=_label(name), value=_words(name, plain[name])) for name in plain),
        *(
            _change(name, before, after)
            for name, (before, after) in changes.items()
            if before not in EMPTY or after not in EMPTY
        ),
    ]


def _parted(
    action: str, details: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, tuple[Any, Any]]]:
    """Return the plain details, and (before, after) of each field that was changed."""
    plain, changes = dict(details), {}
    if plain.keys() >= {"before", "after"}:
        before, after = plain.pop("before"), plain.pop("after")
        if not isinstance(before, dict) or not isinstance(after, dict):
            field = FIELD_OF.get(Action(action), "") if action in Action else ""
            field = field or "value"
            before, after = {field: before}, {field: after}
        changes = {name: (before.get(name), after.get(name)) for name in {**before, **after}}
    for name, value in list(plain.items()):
        if isinstance(value, dict) and value.keys() == {"before", "after"}:
            del plain[name]
            changes[name] = (value["before"], value["after"])
    return plain, changes


def _subject(plain: dict[str, Any]) -> tuple[Particular | None, dict[str, Any]]:
    """Return whom or what the row is about, and the other details."""
    rest = dict(plain)
    if "record" in rest:
        label, value = _label(str(rest.pop("record"))), _words("name", rest.pop("name", ""))
        return Particular(label=label, value=value, is_subject=True), rest
    if name := rest.get("name"):
        email = rest.get("email")
        rest = {key: value for key, value in rest.items() if key not in {"name", "email"}}
        label, value = ("Person", f"{name} ({email})") if email else ("Name", str(name))
        return Particular(label=label, value=value, is_subject=True), rest
    for key in ("email", "of", "user", "account"):
        if address := rest.get(key):
            del rest[key]
            label = "Person" if "@" in str(address) else "Concerns"
            return Particular(label=label, value=str(address), is_subject=True), rest
    if host := rest.pop("host", ""):
        return Particular(label="Host", value=str(host), is_subject=True), rest
    return None, rest


def _change(name: str, before: Any, after: Any) -> Particular:
    value = _words(name, after)
    if before in EMPTY and after not in EMPTY:
        return Particular(label=_label(name), value=value)
    return Particular(label=_label(name), value=value, before=_words(name, before))


def _label(name: str) -> str:
    text = LABELS.get(name, name.replace("_", " "))
    return text[:1].upper() + text[1:]


def _words(name: str, value: Any) -> Value:
    if value in EMPTY:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text(name, item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_text(key, item)}" for key, item in value.items())
    text = WORDS.get(name, {}).get(str(value), str(value))
    if MOMENT.fullmatch(text):
        return datetime.fromisoformat(text).astimezone(UTC)
    if name == "country":
        return country_name(text)
    if name == "sessions":
        return session_in_words(text)
    return text.capitalize() if name in CAPITAL else text


def _text(name: str, value: Any) -> str:
    words = _words(name, value)
    return moment(words) if isinstance(words, datetime) else words
