"""Whether LOG_KEY is the one that wrote the newest row of the log, and what if it is not."""

from django.db import transaction

from portal.activity.actions import Action
from portal.activity.chain import HASHED, is_whole
from portal.activity.entries import record
from portal.activity.models import LogEntry
from portal.config import database_secrets
from portal.core.actors import Actor
from portal.core.refusal import Refused


@database_secrets.register
def why_log_key_does_not_fit() -> str | None:
    """Return a sentence when the newest row of the log has another HMAC than LOG_KEY gives it.

    A row of a later release (`hash_version`) cannot be judged, and counts as fitting.
    """
    newest = LogEntry.objects.order_by("-id").first()
    if newest is None or newest.hash_version not in HASHED:
        return None
    if is_whole(newest):
        return None
    return (
        f"LOG_KEY did not write the newest row of the log (row {newest.seq} of "
        f"{newest.tenant_id}). Set the LOG_KEY of the other nodes, or the one kept with the "
        "backup. If it is lost, or was changed on purpose, run `manage.py accept_log_key`."
    )


@transaction.atomic
def accept_log_key(*, actor: Actor, reason: str) -> LogEntry:
    """Record a row with the present LOG_KEY on a log that another one wrote, and return it.

    From then on this LOG_KEY fits; `verify_log` reports the rows of the other one as changed.
    Raises Refused when it fits already.
    """
    if why_log_key_does_not_fit() is None:
        raise Refused("LOG_KEY fits the log: there is nothing to accept.")
    with database_secrets.overruled():
        return record(actor=actor, action=Action.LOG_KEY_ACCEPTED, reason=reason)
