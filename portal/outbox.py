"""Mail that must go out: written in the transaction of what it tells, sent after it.

A worker sends what is due and tries again until it is out. A mail is sent at least once: a worker
that dies between sending and noting it leaves the mail to another, a while later.
"""

import logging
import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone

from portal.models import Outbox

logger = logging.getLogger("portal.outbox")

LEASE = timedelta(minutes=5)
"""For so long a mail is one worker's: longer than any sending takes."""

FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=6)
"""How long a mail waits after a failure: each time double the last, up to this."""

KEPT = timedelta(days=30)
"""How long a mail that is out stays on record, without what it said."""


def queue(
    *,
    to: str,
    subject: str,
    template: str,
    context: dict[str, Any],
    tenant_id: UUID | None = None,
    once: str | None = None,
) -> None:
    """Put one mail into the outbox, in the caller's transaction.

    `template` names `templates/mail/<template>.txt`, which knows the portal's name and address.
    `once` names what is sent only once: a second mail of that name is not made.
    """
    house = {"portal_name": settings.PORTAL_NAME, "portal_url": settings.PUBLIC_URL}
    text = render_to_string(f"mail/{template}.txt", context | house).strip()
    mail = Outbox(
        tenant_id=tenant_id,
        dedupe_key=once,
        to=to,
        subject=" ".join(subject.split()),
        text=text,
        html=as_html(text),
    )
    Outbox.objects.bulk_create([mail], ignore_conflicts=once is not None)


def as_html(text: str) -> str:
    """Return the same mail as HTML: its paragraphs, and links of the portal as links.

    Nothing else becomes a link, so that no name that somebody chose can pose as one.
    """
    blocks = [
        (block, block.startswith(f"{settings.PUBLIC_URL}/") and " " not in block)
        for block in re.split(r"\n\s*\n", text.strip())
    ]
    return render_to_string("mail/base.html", {"blocks": blocks, "name": settings.PORTAL_NAME})


class QueuedMail(EmailMultiAlternatives):
    """A mail of a library that sends by itself: sending puts it into the outbox."""

    def send(self, *_: Any, **__: Any) -> int:
        """Queue the mail, for each of its recipients."""
        text = str(self.body).strip()
        for to in self.to:
            Outbox.objects.create(to=to, subject=str(self.subject), text=text, html=as_html(text))
        return len(self.to)


def send_due(*, now: datetime | None = None) -> int:
    """Send every mail that is due, and return how many went out.

    Several workers may do so at once: each mail belongs to who has moved its time on. What a sent
    mail said is not kept, for it may hold a link.
    """
    moment = now or timezone.now()
    due = Outbox.objects.filter(sent_at=None, send_after__lte=moment).order_by("send_after", "pk")
    sent = 0
    for mail in due[:100]:
        mine = Outbox.objects.filter(pk=mail.pk, sent_at=None, send_after=mail.send_after)
        if mine.update(send_after=moment + LEASE, attempts=F("attempts") + 1):
            sent += _send(mail, moment)
    return sent


def prune(*, now: datetime | None = None) -> None:
    """Drop the records of mails that went out long ago."""
    Outbox.objects.filter(sent_at__lt=(now or timezone.now()) - KEPT).delete()


def _send(mail: Outbox, now: datetime) -> bool:
    message = EmailMultiAlternatives(subject=mail.subject, body=mail.text, to=[mail.to])
    if mail.html:
        message.attach_alternative(mail.html, "text/html")
    row = Outbox.objects.filter(pk=mail.pk)
    try:
        message.send()
    except OSError as error:  # smtplib's errors are OSErrors too
        delay = min(FIRST_DELAY * 2 ** min(mail.attempts, 16), LONGEST_DELAY)
        told = f"{type(error).__name__}: {error}"[:300]
        row.update(send_after=now + delay, last_error=told)
        logger.warning("Mail %d waits %s after %s", mail.pk, delay, type(error).__name__)
        return False
    row.update(sent_at=timezone.now(), last_error="", text="", html="")
    return True
