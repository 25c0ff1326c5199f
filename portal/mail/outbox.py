"""Mail to be sent: stored in the transaction it is about, sent after its commit.

A worker sends what is due and tries again until it is sent. A mail is sent at least once: if a
worker dies between sending a mail and noting it, another sends it again later, under the same
Message-ID.
"""

import logging
import re
import smtplib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, override
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, mailers
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.text import Truncator

from portal.core.outages import is_outage
from portal.mail.models import Outbox

logger = logging.getLogger("portal.outbox")

LEASE = timedelta(minutes=5)
"""How long a mail is reserved for one worker: longer than sending takes."""

MIN_DELAY = timedelta(minutes=1)
MAX_DELAY = timedelta(hours=6)
"""Longest wait after a failure: MIN_DELAY doubles with each one, up to this."""

MAX_TRIED_FOR = timedelta(days=7)
"""After this a mail is given up: no link in it works for longer, and operators see the error."""

MAX_KEPT_FOR = timedelta(days=30)
"""How long the record of a mail that was sent or given up is kept, without its text."""

FOOTER = "\n\n-- \n"
"""What stands between a mail and its footer (RFC 3676 4.3)."""

STOP = "Stop these mails:"
CHOOSE = "Choose which mails are sent:"
"""The line of a footer above the link that stops the mails, or that leads to where one can."""

MAX_LABEL = 40
"""Most characters of a line that labels the button below it."""

MAX_BATCH = 100
"""Most mails over one connection: servers close connections that last too long."""

UNWRITTEN = "This mail could not be written. Look at its address first, then at the worker's log."
"""What operators read of an error that no mail server answered."""

OF_THIS_MAIL = (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError, ValueError)
"""Errors after which the next mail may well go out; any other means that the server is away.

ValueError: an address that no header can hold.
"""


def site_context() -> dict[str, str]:
    """Return the context of every mail: `portal_name` and `portal_url`."""
    return {"portal_name": settings.PORTAL_NAME, "portal_url": settings.PUBLIC_URL}


def queue(
    *,
    to: str,
    subject: str,
    template: str,
    context: dict[str, Any],
    footer: str = "",
    tenant_id: UUID | None = None,
    once: str | None = None,
) -> None:
    """Put one mail into the outbox, in the caller's transaction.

    `template` names `templates/mail/<template>.txt`, which gets `site_context` too; `footer` says
    below it why somebody gets the mail, otherwise it says where it comes from. `once` names what is
    sent only once: a second mail of that name is not made.
    """
    text = render_to_string(f"mail/{template}.txt", context | site_context())
    footer = footer or f"{settings.PORTAL_NAME}\n{settings.PUBLIC_URL}"
    mail = composed(to=to, subject=subject, text=f"{text.strip()}{FOOTER}{footer}")
    mail.tenant_id, mail.dedupe_key = tenant_id, once
    prepared = _prepared.get()
    if prepared is None:
        store([mail])
    else:
        prepared.append(mail)


_prepared: ContextVar[list[Outbox] | None] = ContextVar("prepared", default=None)


@contextmanager
def prepare() -> Iterator[list[Outbox]]:
    """Let `queue` put mails into the list that this yields, for `store`, and not into the outbox.

    So they are written before a transaction and stored in it: other writers wait no longer.
    """
    mails: list[Outbox] = []
    token = _prepared.set(mails)
    try:
        yield mails
    finally:
        _prepared.reset(token)


def store(mails: list[Outbox]) -> None:
    """Put prepared mails into the outbox, in the caller's transaction."""
    are_once = any(mail.dedupe_key is not None for mail in mails)
    Outbox.objects.bulk_create(mails, ignore_conflicts=are_once)


def composed(*, to: str, subject: str, text: str) -> Outbox:
    """Return a mail, not stored yet, as text and as the same in HTML.

    A paragraph that is only a link becomes a button, labelled by the line before it ("Open the
    subscription:"). Only links to the portal become links in the HTML, so that a name that somebody
    chose cannot pose as one. A subject is cut to the length of its column: names in it may be long.
    """
    subject, text = Truncator(" ".join(subject.split())).chars(200), text.strip()
    body, _, footer = text.partition(FOOTER)
    context = {
        "name": settings.PORTAL_NAME,
        "subject": subject,
        "blocks": _blocks(body.removeprefix(f"{subject}.")),  # stands in the heading
        "footer": _lines(footer),
    }
    html = render_to_string("mail/base.html", context)
    return Outbox(to=to, subject=subject, text=text, html=html)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A paragraph of a mail in HTML: a button to `link`, or lines of which some are links.

    `label` is the button's, or that of the button that follows the lines.
    """

    link: str = ""
    label: str = ""
    lines: list[tuple[str, bool]] = field(default_factory=list)


def _blocks(text: str) -> list[Block]:
    blocks: list[Block] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = _lines(paragraph)
        if len(lines) == 1 and lines[0][1]:
            label = blocks.pop().label if blocks and blocks[-1].label else ""
            blocks.append(Block(link=lines[0][0], label=label))
        else:
            lead = lines[0][0] if len(lines) == 1 else ""
            label = lead[:-1] if lead.endswith(":") and len(lead) <= MAX_LABEL else ""
            blocks.append(Block(lines=lines, label=label))
    return blocks


def _lines(paragraph: str) -> list[tuple[str, bool]]:
    """Return the lines with whether each is a link to the portal."""
    site = f"{settings.PUBLIC_URL}/"
    lines = [line.strip() for line in paragraph.strip().splitlines()]
    return [(line, line.startswith(site) and not re.search(r"\s", line)) for line in lines]


class QueuedMail(EmailMultiAlternatives):
    """A mail of a library that sends by itself: sending puts it into the outbox."""

    @override
    def send(self, *_: Any, **__: Any) -> int:
        for to in self.to:
            composed(to=to, subject=str(self.subject), text=str(self.body)).save()
        return len(self.to)


def send_due(*, stopped: Callable[[], bool] = lambda: False) -> int:
    """Send the mails that are due, until `stopped()`; return how many were sent.

    Several workers may do so at once: a mail belongs to the one that has moved `send_after`. Ends
    when the mail server is away; the mails that were not tried stay due. Raises DatabaseError.
    """
    mailer = mailers.default
    sent = 0
    try:
        for mail in Outbox.objects.due(timezone.now())[:MAX_BATCH]:
            if stopped():
                break
            if not _claim(mail):
                continue
            try:
                _send(mail, mailer)
            except OF_THIS_MAIL as error:
                _put_off(mail, error)
            except OSError as error:  # smtplib's errors are OSErrors too
                _put_off(mail, error)
                break
            except Exception as error:
                if is_outage(error):
                    raise
                logger.exception("Mail %d could not be sent", mail.pk)
                _put_off(mail, error)
            else:
                sent += 1
    finally:
        mailer.close()
    return sent


def undelivered(tenant_id: UUID, addresses: Collection[str]) -> dict[str, Outbox]:
    """Return the newest of a tenant's mails to each of the addresses, where it did not arrive.

    It was given up, or is still tried again after an error; none is told of an address that a
    later mail reached.
    """
    failed = Outbox.objects.filter(tenant_id=tenant_id, to__in=addresses).exclude(last_error="")
    found: dict[str, Outbox] = {}
    for mails in (failed.given_up(), failed.waiting()):  # each by its index
        found |= {mail.to: mail for mail in mails.order_by("created_at")}
    reached = Outbox.objects.filter(tenant_id=tenant_id, to__in=found, sent_at__isnull=False)
    for to, created_at in reached.values_list("to", "created_at") if found else ():
        if to in found and created_at > found[to].created_at:
            del found[to]
    return found


def prune(*, now: datetime | None = None) -> None:
    """Give up mails after MAX_TRIED_FOR, and delete records after MAX_KEPT_FOR."""
    now = now or timezone.now()
    too_old = Outbox.objects.waiting().filter(created_at__lt=now - MAX_TRIED_FOR)
    if given_up := too_old.update(given_up_at=now, text="", html=""):
        logger.error("%d mails were given up after %s", given_up, MAX_TRIED_FOR)
    Outbox.objects.filter(sent_at__lt=now - MAX_KEPT_FOR).delete()
    Outbox.objects.filter(given_up_at__lt=now - MAX_KEPT_FOR).delete()


def _claim(mail: Outbox) -> bool:
    """Reserve the mail for this worker; return whether no other worker had it by now."""
    mine = Outbox.objects.waiting().filter(pk=mail.pk, send_after=mail.send_after)
    return bool(mine.update(send_after=timezone.now() + LEASE, attempts=F("attempts") + 1))


def _send(mail: Outbox, mailer: BaseEmailBackend) -> None:
    """Hand one mail to the server, then delete its text, which may hold a link."""
    message = EmailMultiAlternatives(
        subject=mail.subject,
        body=mail.text,
        to=[mail.to],
        headers={
            "Auto-Submitted": "auto-generated",  # RFC 3834: no out-of-office answers
            "Message-ID": _message_id(mail),
        }
        | _unsubscribing(mail.text),
    )
    message.attach_alternative(mail.html, "text/html")
    mailer.open()  # stays open for the next mail
    mailer.send_messages([message])
    Outbox.objects.filter(pk=mail.pk).update(
        sent_at=timezone.now(), last_error="", text="", html=""
    )


def _message_id(mail: Outbox) -> str:
    """Return what names the mail in each attempt: who gets it twice is shown it once (RFC 5322).

    The digest does not tell how many mails there are; the domain is the portal's.
    """
    mine = f"{mail.pk} {mail.created_at.isoformat()}"
    digest = salted_hmac("portal.outbox", mine, algorithm="sha256").hexdigest()
    return f"<{digest[:32]}@{urlsplit(settings.PUBLIC_URL).hostname}>"


def _unsubscribing(text: str) -> dict[str, str]:
    """Return the headers by which mail programs offer to stop mails such as this one.

    They lead where its footer does (RFC 2369 3.2); a POST to the link that stops the mails is
    enough (RFC 8058), and that to the page of choices needs a person.
    """
    _, label, link = ["", "", *text.splitlines()][-3:]
    if not label.endswith((STOP, CHOOSE)):
        return {}
    one_click = {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return {"List-Unsubscribe": f"<{link}>"} | (one_click if label.endswith(STOP) else {})


def _put_off(mail: Outbox, error: Exception) -> None:
    """Note what went wrong, and let the mail wait for its next attempt."""
    delay = min(MIN_DELAY * 2 ** min(mail.attempts, 16), MAX_DELAY)
    answered = isinstance(error, OSError)  # smtplib's errors are OSErrors too
    text = f"{type(error).__name__}: {error}"[:300] if answered else UNWRITTEN
    # A server's answer may hold anything, and PostgreSQL stores no NUL.
    last_error = "".join(c if c.isprintable() else " " for c in text)
    Outbox.objects.filter(pk=mail.pk).update(
        send_after=timezone.now() + delay, last_error=last_error
    )
    logger.warning("Mail %d waits %s after %s", mail.pk, delay, type(error).__name__)
