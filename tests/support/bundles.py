"""Offline bundles, opened and packed again, and what somebody could make of one."""

import io
import json
import zipfile
from collections.abc import Callable

import pytest

from licenses import keys
from licenses.bundle import manifest
from licenses.bundle.reading import MAX_BYTES, MAX_MEMBERS
from licenses.models import LicenseKey, SigningKey, Slot
from subscriptions.models import Subscription
from tests.support.license_flows import NOW


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def zipped(members: list[tuple[str, bytes]]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


type Attack = Callable[[dict[str, bytes]], bytes]


def without(name: str) -> Attack:
    return lambda files: zipped([pair for pair in files.items() if pair[0] != name])


def changed(name: str, content: bytes) -> Attack:
    return lambda files: zipped([*({**files, name: content}).items()])


def added(*members: tuple[str, bytes]) -> Attack:
    return lambda files: zipped([*files.items(), *members])


def doubled(files: dict[str, bytes]) -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zipped([*files.items(), ("jwks.json", b"{}")])


def patched(old: bytes, new: bytes) -> Attack:
    """Return what changes each such field of the headers of the members."""
    return lambda files: zipped([*files.items()]).replace(old, new)


def lying(files: dict[str, bytes]) -> bytes:
    """A member that says it is small and unpacks to 2 MiB."""
    bomb = zlib_bomb()
    content = bytearray(zipped([*files.items(), ("status-2.jwt", bomb)]))
    size = len(bomb).to_bytes(4, "little")
    return bytes(content).replace(size, (10).to_bytes(4, "little"))


def zlib_bomb() -> bytes:
    return bytes(2 << 20)


def signed_by_another(files: dict[str, bytes]) -> bytes:
    """All as it should be, with a key of somebody else's in the key set too."""
    own = keys.create()
    keys.activate(own)
    rest = {name: file for name, file in files.items() if name != "manifest.jwt"}
    rest["jwks.json"] = json.dumps(keys.jwks()).encode()
    token = manifest.sign(
        rest,
        subscription_id=Subscription.objects.get().pk,
        signing_key=SigningKey.objects.get(pk=own.pk),
        now=NOW,
    )
    return zipped([*rest.items(), ("manifest.jwt", token.encode())])


def a_license_key_as_manifest(files: dict[str, bytes]) -> bytes:
    token = LicenseKey.objects.get(slot=Slot.PRIMARY).token
    assert token
    return zipped([*({**files, "manifest.jwt": token.encode()}).items()])


NOT_EXACTLY = "The bundle does not hold exactly the files that were signed. Download it again."
NO_NAME = "This zip has a member whose name no offline bundle has."
DAMAGED = "This is not a zip file, or it is damaged. Download the bundle again."
ATTACKS: dict[str, tuple[Attack, str]] = {
    "no zip": (lambda files: b"PK", DAMAGED),
    "cut": (lambda files: zipped([*files.items()])[:-30], DAMAGED),
    "large": (lambda files: bytes(MAX_BYTES + 1), "This file has more than 1 MiB"),
    "many": (
        added(*[(f"status-{n}.jwt", b"") for n in range(2, 3 + MAX_MEMBERS)]),
        "This zip has more than 16 members",
    ),
    "junk before": (lambda files: b"PK" + zipped([*files.items()]), DAMAGED),
    "no manifest": (
        without("manifest.jwt"),
        "This is not an offline bundle: it has no manifest.jwt.",
    ),
    "a file less": (without("SHA256SUMS"), NOT_EXACTLY),
    "a file more": (added(("status-2.jwt", b"")), NOT_EXACTLY),
    "another file": (changed("license-primary.json", b"{}"), NOT_EXACTLY),
    "a path": (added(("../jwks.json", b"{}")), NO_NAME),
    "an absolute path": (added(("/jwks.json", b"{}")), NO_NAME),
    "a folder": (added(("jwks.json/", b"")), NO_NAME),
    "a backslash": (added(("..\\jwks.json", b"{}")), NO_NAME),
    "a name with NUL": (patched(b"README.txt", b"jwks.json\0"), NO_NAME),
    "doubled": (doubled, "This zip has two members named jwks.json"),
    "a bomb": (
        added(("status-2.jwt", zlib_bomb())),
        "status-2.jwt has more than 256 KiB unpacked: not an offline bundle.",
    ),
    "a bomb that lies": (lying, DAMAGED),
    "encrypted": (
        patched(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x01\x00\x08\x00"),
        "README.txt is encrypted",
    ),
    "packed otherwise": (
        patched(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x0e\x00"),
        "README.txt is encrypted, or packed in a way that no bundle uses.",
    ),
    "no manifest at all": (
        changed("manifest.jwt", b"\xff"),
        "The bundle's manifest.jwt is not a manifest. Download the bundle again.",
    ),
    "a license key as manifest": (
        a_license_key_as_manifest,
        "The bundle's manifest.jwt is not a manifest. Download the bundle again.",
    ),
    "another signer": (
        signed_by_another,
        "The bundle is signed by a key that the trusted JWK Set does not have.",
    ),
}
