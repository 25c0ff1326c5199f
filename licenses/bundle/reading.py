"""Read an offline bundle, which anyone may have made or changed, without a database."""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.utils import timezone

from licenses import keys
from licenses.bundle import manifest
from licenses.checking import status_tokens
from licenses.checking.check import Verdict, check_offline, expected_from_file
from licenses.checking.status_tokens import OpenedList
from licenses.files import read_presented, text_of
from licenses.tokens import CLOCK_SKEW_SECONDS
from portal.core.refusal import Refused

MAX_BYTES = 1 << 20
"""The largest bundle."""
MAX_MEMBERS = 16
MAX_MEMBER_BYTES = 256 * 1024
"""The largest member, unpacked."""
AGAIN = "Download the bundle again."
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
ENCRYPTED = 0x1
"""Bit of a member's flags."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle that a trusted key has signed."""

    subscription: str
    made_at: datetime
    license_files: Mapping[str, bytes]
    published_keys: Mapping[str, RSAPublicKey]
    """The trusted keys that the portal still published when the bundle was made."""
    lists: Mapping[str, OpenedList]

    def judge(self, text: str, *, now: datetime | None = None) -> Verdict:
        """Return the verdict on a license file or key by what the bundle knows; raises Refused."""
        token, members = read_presented(text)
        return check_offline(
            token,
            published_keys=self.published_keys,
            expected={} if members is None else expected_from_file(members),
            lists=self.lists,
            now=now,
        )

    def verdicts(self, *, now: datetime | None = None) -> dict[str, Verdict]:
        """Return the verdict on each license file in it."""
        return {
            name: self.judge(text_of(content), now=now)
            for name, content in self.license_files.items()
        }


def read(
    content: bytes, *, trusted: Mapping[str, RSAPublicKey], now: datetime | None = None
) -> Bundle:
    """Return the bundle in a zip when one of the trusted keys (`kid` to key) has signed it.

    Raises Refused for everything else. The keys that are in it are never trusted by themselves.
    """
    files = _unpacked(content)
    token = files.pop(manifest.NAME, None)
    if token is None:
        raise Refused(f"This is not an offline bundle: it has no {manifest.NAME}.")
    signed = manifest.verify(token, files, trusted)
    if signed.made_at > (now or timezone.now()) + timedelta(seconds=CLOCK_SKEW_SECONDS):
        raise Refused("The bundle was made later than the clock of this machine says. Set it.")
    try:
        published = keys.public_keys_from_jwks(json.loads(files[manifest.JWKS]))
        known = {kid: key for kid, key in trusted.items() if kid in published}
        lists = [
            status_tokens.opened(token.decode("ascii"), known)
            for name, token in files.items()
            if manifest.STATUS_LIST.fullmatch(name)
        ]
    except (KeyError, ValueError, RecursionError) as error:
        raise Refused(
            f"The bundle is signed, but its key set or a list is not right. {AGAIN}"
        ) from (error)
    return Bundle(
        subscription=signed.subscription,
        made_at=signed.made_at,
        license_files={
            name: file for name, file in files.items() if manifest.LICENSE_FILE.fullmatch(name)
        },
        published_keys=known,
        lists={each.uri: each for each in lists},
    )


def _unpacked(content: bytes) -> dict[str, bytes]:
    """Return the members of a zip by name: few, small, named as ours are, each name once."""
    if len(content) > MAX_BYTES:
        raise Refused(f"This file has more than {MAX_BYTES >> 20} MiB: not an offline bundle.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _members(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError, OSError) as error:
        raise Refused(f"This is not a zip file, or it is damaged. {AGAIN}") from error


def _members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise Refused(f"This zip has more than {MAX_MEMBERS} members: not an offline bundle.")
    files: dict[str, bytes] = {}
    for info in infos:
        if not manifest.is_member(info.orig_filename):
            raise Refused("This zip has a member whose name no offline bundle has.")
        if info.filename in files:
            raise Refused(f"This zip has two members named {info.filename}: not an offline bundle.")
        if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
            raise Refused(f"{info.filename} is encrypted, or packed in a way that no bundle uses.")
        with archive.open(info) as member:
            # What is declared may be a lie, so that what is there is measured too.
            unpacked = member.read(MAX_MEMBER_BYTES + 1)
        if max(len(unpacked), info.file_size) > MAX_MEMBER_BYTES:
            raise Refused(
                f"{info.filename} has more than {MAX_MEMBER_BYTES >> 10} KiB unpacked: not an "
                "offline bundle."
            )
        files[info.filename] = unpacked
    if infos and min(info.header_offset for info in infos) != 0:
        raise zipfile.BadZipFile("something before the first member")
    return files
