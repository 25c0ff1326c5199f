"""Mail and the worker: the server, what waits, signs of life, anchors of the log."""

import smtplib
import socket
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, mailers
from django.core.mail.backends.smtp import EmailBackend
from django.utils import timezone
from django.utils.timesince import timesince

from portal.activity import anchors
from portal.core.refusal import Refused
from portal.diagnosis.findings import STEP_SECONDS, Finding, ok, reason, warning, wrong
from portal.mail.heartbeat import living, why_not_working
from portal.mail.models import Outbox

MAX_WAIT = timedelta(minutes=30)
"""A mail that waits for longer has failed five times."""

MAX_ANCHOR_AGE = timedelta(hours=2)
"""The worker writes an anchor each hour."""


def server(mail_to: str = "") -> Iterator[Finding]:
    """Sign in at the mail server and ask whether it takes our sender; send a mail to `mail_to`."""
    backend = mailers.default
    if not isinstance(backend, EmailBackend):
        prints = "Mail is printed, not sent"
        yield (
            ok(f"{prints}.")
            if settings.DEMONSTRATION
            else warning(f"{prints}: set MAIL_URL=smtps://user:password@host:465.")
        )
        return
    place = f"{backend.host}:{backend.port}"
    backend.timeout = STEP_SECONDS
    try:
        backend.open()
        _try_sender(backend)
        if mail_to:
            mail = EmailMessage(f"A test of {settings.PORTAL_NAME}", "Mail arrives.", to=[mail_to])
            backend.send_messages([mail])
    except smtplib.SMTPAuthenticationError:
        yield wrong(f"{place} refuses user name and password: correct MAIL_URL.")
    except smtplib.SMTPNotSupportedError as error:
        yield wrong(f"{place} does not do what MAIL_URL asks for: {reason(error)}.")
    except smtplib.SMTPSenderRefused as error:
        yield wrong(f"{place} refuses the sender of MAIL_FROM ({error.smtp_code}): correct it.")
    except smtplib.SMTPRecipientsRefused:
        yield wrong(f"{place} refuses the address of --mail-to.")
    except OSError as error:  # smtplib's and TLS's errors too
        yield wrong(f"{place} does not answer as a mail server: {reason(error)}. See MAIL_URL.")
    else:
        how = "by TLS" if backend.use_ssl or backend.use_tls else "in plain text"
        sent = f", and took a mail to {mail_to}" if mail_to else ""
        yield ok(f"{place} answers {how} and takes the sender{sent}.")
    finally:
        backend.close()


def _try_sender(backend: EmailBackend) -> None:
    """Begin a mail and drop it. Raises SMTPSenderRefused."""
    client: Any = backend.connection
    client.ehlo_or_helo_if_needed()
    sender = settings.MAIL_FROM.rpartition("<")[2].rstrip(">")
    code, answer = client.mail(sender)
    client.rset()
    if code != 250:
        raise smtplib.SMTPSenderRefused(code, answer, sender)


def waiting() -> Iterator[Finding]:
    """Tell since when the oldest mail waits, and how many were given up."""
    now = timezone.now()
    rows = Outbox.objects.waiting().order_by("created_at")
    oldest = rows.first()
    since = timesince(oldest.created_at, now) if oldest else ""
    if oldest and now - oldest.created_at > MAX_WAIT:
        why = f" The last error: {oldest.last_error}." if oldest.last_error else ""
        yield wrong(f"{rows.count()} mails wait, the oldest for {since}.{why}")
        return
    given_up = Outbox.objects.filter(given_up_at__gt=now - timedelta(days=7)).count()
    state = f"The oldest mail waits for {since}" if oldest else "No mail waits"
    yield ok(f"{state}; given up in 7 days: {given_up}.")


def worker() -> Iterator[Finding]:
    """Tell which workers live, or why none works."""
    reasons = list(why_not_working())
    yield from map(wrong, reasons)
    if not reasons:
        yield ok(f"{', '.join(f'The {each} lives' for each in living())}.")


def last_anchor() -> Iterator[Finding]:
    """Tell when the worker has last kept the heads of the log, where it runs on this machine."""
    path, hosts = settings.LOG_ANCHORS_FILE, {each.host for each in living()}
    if hosts and socket.gethostname() not in hosts:
        yield ok(f"The worker keeps them on {', '.join(sorted(hosts))}: look there.")
        return
    try:
        last_at = anchors.read(path).last_at
        with path.open("ab"):
            pass
    except FileNotFoundError:
        yield warning(f"{path} is not there: the worker makes it when it runs.")
    except OSError as error:
        yield wrong(f"{path} cannot be written: {reason(error)}. Give it to the portal's user.")
    except Refused as refusal:
        yield wrong(f"{path} is not whole: {refusal.sentence} Run `manage.py verify_log`.")
    else:
        yield _of_age(last_at)


def _of_age(last_at: str) -> Finding:
    if not last_at:
        return warning("The file holds no anchor yet: the worker writes one each hour.")
    moment, now = datetime.fromisoformat(last_at), timezone.now()
    sentence = f"The last anchor of the log is {timesince(moment, now)} old."
    if now - moment > MAX_ANCHOR_AGE:
        return wrong(f"{sentence} The worker writes one each hour: look at its log.")
    return ok(sentence)
