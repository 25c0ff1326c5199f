"""The license file: what Download gives and what an upload holds (contract.md section 2)."""

import codecs
import io
import json
import re
import string
import unicodedata
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from licenses import keys, tokens
from licenses.models import LicenseKey, Slot
from portal.core import names
from portal.core.refusal import Refused

MAX_UPLOAD_BYTES = 65_536
"""The largest license file that may be uploaded, in bytes."""
MAX_NAME_CHARACTERS = 100
MAX_NAME_BYTES = 255
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Encodings by their byte order mark."""
_MARK_AND_BLANKS = "\ufeff" + string.whitespace
QUOTES = string.whitespace + "\"'`,;<>\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"
"""Characters around a copied value or line; no license key contains any of them."""
WRAPS = QUOTES + "\\=^+"
"""Characters at the end of a line that goes on: shells, quoted-printable, concatenation."""
MAX_LAYERS = 4
"""Prefixes that are removed at most: `Authorization: Bearer` has two."""
_BEFORE_A_KEY = re.compile(
    r"""
    ^bearer\s+
    | ^(export\s+ | set\s+ | \$env: | \$)? (?!eyJ) [A-Za-z_][\w.-]* ["'`]? \s* [=:] \s* (?=[^\s=])
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
"""A prefix of a copied value: an Authorization header, an assignment, a member of JSON.

A name that begins as every key does is the first line of a wrapped one.
"""
RESERVED = {"con", "prn", "aux", "nul"} | {f"{p}{n}" for p in ("com", "lpt") for n in range(10)}
"""Names that Windows reserves for devices, whatever their extension."""


@dataclass(frozen=True, kw_only=True)
class LicenseFile:
    """A license file ready to be sent."""

    name: str
    content: bytes

    @property
    def disposition(self) -> str:
        """The Content-Disposition header: the name in ASCII, then the full name (RFC 6266)."""
        plain = _ascii(self.name)
        header = f'attachment; filename="{plain}"'
        if plain != self.name:
            header += f"; filename*=UTF-8''{quote(self.name, safe='')}"
        return header


def license_file(key: LicenseKey, *, subscription_name: str) -> LicenseFile:
    """Return the license file of a key whose license, tenant and signing key are loaded."""
    license = key.license
    issued, expires = int(key.issued_at.timestamp()), int(key.expires_at.timestamp())
    members = {
        "key": key.token,
        "key_type": Slot(key.slot).key_type,
        "subject": str(license.subscription_id),
        "consumer_tenant_id": str(license.tenant_id),
        "consumer_tenant_name": license.tenant.name,
        "authorized_party": license.authorized_party,
        "broker_id": tokens.PROVIDER_URN,
        "provider_id": tokens.PROVIDER_URN,
        "expires_in": tokens.expires_in_days(issued, expires),
        "validation_key": keys.certificate_base64(key.signing_key),
        "audience": license.holder_name,
        "tenant_country": license.country,
        "authorized_application_ids": [str(license.authorized_application_id)],
        "usage": tokens.USAGE_URN_PREFIX + license.usage,
        "plan": license.plan_urn,
        "issued_at": key.issued_at.isoformat(),
        "expires_at": key.expires_at.isoformat(),
    }
    content = json.dumps(members, ensure_ascii=False, indent=2).encode() + b"\n"
    return LicenseFile(name=file_name(subscription_name, Slot(key.slot)), content=content)


def archive(files: Mapping[str, bytes], *, at: datetime) -> bytes:
    """Return a ZIP archive of the files, by name; `at` is the time that it gives all of them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, at.astimezone(UTC).timetuple()[:6])
            zipped.writestr(member, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def file_name(
    subscription_name: str, what: str, *, number: int = 1, extension: str = "json"
) -> str:
    """Return a file name that every file system accepts.

    `what` is the slot, or what else the file has of the subscription. `number` tells files of
    subscriptions of one name apart. The name has at most
    MAX_NAME_CHARACTERS, and in UTF-8 at most MAX_NAME_BYTES, which many file systems count.
    """
    ending = f"-{what}.{extension}" if number == 1 else f"-{number}-{what}.{extension}"
    kept = "".join(
        c if c.isalnum() or unicodedata.category(c).startswith("M") else "-"
        for c in unicodedata.normalize("NFC", subscription_name)
    )
    stem = "-".join(part for part in kept.split("-") if part)[: MAX_NAME_CHARACTERS - len(ending)]
    room = MAX_NAME_BYTES - len(ending)
    stem = stem.encode()[:room].decode(errors="ignore").rstrip("-")
    if not stem or stem.lower() in RESERVED:
        stem = f"license-{stem}".rstrip("-")
    return stem + ending


def text_of(content: bytes) -> str:
    """Return the text of a file, decoded as UTF-8 or as its byte order mark says.

    PowerShell's `>` writes UTF-16. Raises UnicodeDecodeError for other bytes.
    """
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            return content.removeprefix(mark).decode(encoding)
    return content.decode()


def read_presented(text: str) -> tuple[str, Mapping[str, Any] | None]:
    """Return the key and the members of what somebody pasted or uploaded.

    For a bare key the members are None, and what copying added is removed: `Bearer`, quotes,
    `NAME=`, wrapping, invisible characters. The members of a file are not cleaned: terminals
    read it strictly. `validation_key` is left out: anyone can put a certificate into a file, so
    that only our own signing keys are trusted. Raises Refused when the text is a JSON document
    without a key.
    """
    text = _bare(text)
    if not text.startswith("{"):
        return text, None
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(
            "This is not a license file: it is not valid JSON. Upload the file as it was "
            "downloaded."
        ) from error
    key = members.get("key")
    if not isinstance(key, str):
        raise Refused('This is not a license file: it has no text member "key".')
    return key, {k: v for k, v in members.items() if k not in {"key", "validation_key"}}


def _bare(text: str) -> str:
    """Return the text without quotes, prefixes, wrapping, whitespace and invisible characters.

    A JSON object is returned unchanged.
    """
    text = text.strip(_MARK_AND_BLANKS)
    if text.startswith("{"):
        return text
    text = "".join(
        c for c in text if unicodedata.category(c) != "Cf" and ord(c) not in names.INVISIBLE
    ).strip()
    for _ in range(MAX_LAYERS):
        text = _BEFORE_A_KEY.sub("", text.strip(QUOTES), count=1).strip(QUOTES)
    if text.startswith("{"):
        return text
    *lines, last = text.splitlines() or [""]
    wrapped = [line.lstrip(QUOTES).rstrip(WRAPS) for line in lines]
    return "".join("".join([*wrapped, last.lstrip(QUOTES)]).split())


def _ascii(name: str) -> str:
    """Return the name in ASCII; letters lose their accents, other characters become a hyphen."""
    stem, _, ending = name.rpartition("-")
    decomposed = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    parts = [p for p in "".join(c if c.isalnum() else "-" for c in decomposed).split("-") if p]
    # One letter may become three ("ﬃ").
    plain = "-".join(parts)[: MAX_NAME_CHARACTERS - len(f"-{ending}")] or "license"
    return f"{plain if plain.lower() not in RESERVED else 'license-' + plain}-{ending}"
