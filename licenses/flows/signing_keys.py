"""Create and activate signing keys, with a row in the vendor's own log."""

from django.db import transaction

from licenses import keys
from licenses.models import SigningKey
from portal import activity
from portal.activity import Action
from portal.actors import Actor


@transaction.atomic
def create_signing_key(*, actor: Actor) -> SigningKey:
    """Return a new signing key: published, so that it verifies, and not signing yet."""
    signing_key = keys.create()
    activity.record(
        actor=actor, action=Action.SIGNING_KEY_CREATED, details={"kid": signing_key.kid}
    )
    return signing_key


@transaction.atomic
def activate_signing_key(*, signing_key: SigningKey, actor: Actor) -> SigningKey:
    """Let this key sign from now on; the one before keeps verifying. Raises Refused if disabled."""
    signing_key = keys.activate(signing_key)
    activity.record(
        actor=actor, action=Action.SIGNING_KEY_ACTIVATED, details={"kid": signing_key.kid}
    )
    return signing_key
