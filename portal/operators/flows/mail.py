"""Send mail again that failed, without waiting for the next attempt."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from portal.activity.actions import Action
from portal.activity.entries import record
from portal.activity.models import VENDOR
from portal.core.actors import Actor
from portal.core.locking import lock
from portal.core.refusal import Refused
from portal.mail.models import Outbox


@transaction.atomic
def send_mail_again(
    *, mail: Outbox, actor: Actor, reason: str, now: datetime | None = None
) -> Outbox:
    """Make a mail due now that waits for its next attempt, and return it.

    Raises Refused when it went out meanwhile, or was given up: its text is erased then.
    """
    now, locked = now or timezone.now(), lock(Outbox, mail.pk)
    if locked.sent_at is not None:
        raise Refused(f"This mail went out to {locked.to} meanwhile.")
    if locked.given_up_at is not None:
        raise Refused("This mail was given up and its text erased. Do again what it was about.")
    locked.send_after = now
    locked.save(update_fields=["send_after"])
    record(
        actor=actor,
        action=Action.MAIL_SENT_AGAIN,
        tenant_id=locked.tenant_id or VENDOR,
        reason=reason,
        details={"email": locked.to},
        now=now,
    )
    return locked
