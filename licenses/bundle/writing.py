"""Write an offline bundle."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from licenses import keys
from licenses.bundle import manifest
from licenses.checking import status_tokens
from licenses.files import archive
from licenses.models import LicenseKey, SigningKey
from portal.core.dates import moment
from subscriptions.models import Subscription

README = """\
Offline bundle of {name}
Subscription {id}, as of {made_at}

{contents}
jwks.json               the portal's public keys
status-*.jwt            status lists: is a key still good?
SHA256SUMS              sha256sum --check SHA256SUMS
manifest.jwt            the portal's signature over all other files

Verify it without a network:

    manage.py check_license --bundle FILE --jwks TRUSTED

or drop it on the page /verify/ of the portal, opened or saved before. TRUSTED is the portal's JWK
Set, fetched from {jwks} apart from this bundle and kept: anyone can make a bundle with keys of
their own in it.

What has happened after {made_at} is not in here. Take a new bundle as often as a
revocation has to become known.
"""


def write(
    *,
    subscription: Subscription,
    license_keys: Mapping[LicenseKey, bytes],
    left_out: list[str],
    signing_key: SigningKey,
    public_url: str,
    now: datetime,
) -> bytes:
    """Return the bundle of these keys and their license files; raises Refused if it is not signed.

    `left_out` are sentences about what is not in it. The same contents at the same moment give the
    same bytes.
    """
    files = {f"license-{key.slot}.json": content for key, content in license_keys.items()}
    made_at = moment(now, UTC)
    contents = [f"{name:<24}license file of the {name[8:-5]} key" for name in files]
    readme = README.format(
        name=subscription.name,
        id=subscription.pk,
        made_at=made_at,
        contents="\n".join([*contents, *left_out]),
        jwks=f"{public_url}/.well-known/jwks.json",
    )
    lists = {key.status_list_id: key.status_list for key in license_keys}
    files = {
        manifest.README: readme.encode(),
        **files,
        manifest.JWKS: json.dumps(keys.jwks(), indent=2).encode(),
        **{
            f"status-{row.number}.jwt": status_tokens.signed_now(row, signing_key, now).encode()
            for row in sorted(lists.values(), key=lambda row: row.number)
        },
    }
    files[manifest.CHECKSUMS] = manifest.checksums(files)
    signed = manifest.sign(files, subscription_id=subscription.pk, signing_key=signing_key, now=now)
    return archive({**files, manifest.NAME: signed.encode()}, at=now)
