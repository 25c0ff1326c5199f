"""The worker: everything that is done outside of requests."""

import os
import signal
import socket
import threading
from contextlib import suppress
from functools import partial
from typing import Any, override

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error

from licenses import reminders
from licenses.api import idempotency
from licenses.checking import counts
from licenses.figures import snapshot
from licenses.flows import notice, withdrawals
from portal.accounts import expired_sessions
from portal.activity import anchors
from portal.config import database_secrets
from portal.config.checks import refuse_demonstration_accounts
from portal.mail import outbox
from portal.mail.heartbeat import Heart, why_not_working
from portal.mail.worker import PAUSE_SECONDS, Task, beside, work
from portal.metrics import installation
from portal.metrics.node import PROCESS
from portal.operators.flows import recovery
from portal.server.conditions import NO_ANSWER, why_not_ready
from portal.server.database import bound_queries
from portal.tenants.flows import closing
from portal.webhooks import delivering
from subscriptions.service_tokens import reminders as token_reminders
from subscriptions.service_tokens import tidying

HOUR = 3600

CHECK_SECONDS = 2
"""Seconds that a query of `--check` may take."""


class Command(BaseCommand):
    """Do what is done outside of requests; several workers share the work."""

    help = "Send mail and reminders, do what waited, keep the figures, until SIGTERM or Ctrl-C."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do what is due, and end")
        parser.add_argument(
            "--check",
            action="store_true",
            help="tell whether a worker of this machine works (exit status 0), or why not (1)",
        )
        parser.add_argument(
            "--parent", type=int, metavar="PID", help="end when this parent process has ended"
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Do the tasks as they become due; an orderly stop waits for the task under way.

        Raises CommandError where secrets do not fit the database, and in production if the accounts
        of the demonstration exist.
        """
        if options["check"]:
            self.check_worker()
            return
        try:
            refuse_demonstration_accounts()
            database_secrets.refuse_at_start()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        stopping, parent = threading.Event(), options["parent"]
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        if options["once"]:
            work([*tasks(stopping), webhooks(stopping)], stopping=stopping, once=True)
            with suppress(Error):  # the tasks have said it in the log
                installation.store()
            return
        PROCESS.start("worker")
        with Heart() as heart, beside([webhooks(stopping)], stopping=stopping):
            work(
                tasks(stopping),
                stopping=stopping,
                is_orphan=lambda: parent not in {None, os.getppid()},
                does=heart.does,
            )

    def check_worker(self) -> None:
        """Say that a worker of this machine works. Raises CommandError with why none does."""
        bound_queries(CHECK_SECONDS)
        try:
            reasons = [*why_not_ready()] or [*why_not_working(host=socket.gethostname())]
        except Error:
            reasons = [NO_ANSWER]
        if reasons:
            raise CommandError("\n".join(reasons))
        self.stdout.write("The worker works.")


def tasks(stopping: threading.Event) -> list[Task]:
    """Return everything that the worker does, the most urgent first."""
    send_mail = partial(outbox.send_due, stopped=stopping.is_set)
    clear_sessions = partial(expired_sessions.clear, stopped=stopping.is_set)
    close_tenants = partial(closing.run_due, stopped=stopping.is_set)
    prune_tokens = partial(tidying.prune, stopped=stopping.is_set)
    prune_counts = partial(counts.prune, stopped=stopping.is_set)
    prune_requests = partial(idempotency.prune, stopped=stopping.is_set)
    prune_webhooks = partial(delivering.prune, stopped=stopping.is_set)
    tell_withdrawals = partial(withdrawals.tell, stopped=stopping.is_set)
    return [
        Task(name="Mail", period=PAUSE_SECONDS, do=send_mail),
        Task(name="Withdrawn signing keys", period=10, do=tell_withdrawals),
        Task(name="Figures", period=30, do=snapshot.refresh),
        Task(name="Pending changes", period=60, do=recovery.run_due),
        Task(name="Closing of tenants", period=60, do=close_tenants),
        Task(name="Reminders", period=HOUR, do=reminders.send),
        Task(name="Reminders of tokens", period=HOUR, do=token_reminders.send),
        Task(name="Rotations", period=60, do=notice.notice_rotations),
        Task(name="Ends of overlaps", period=600, do=notice.notice_overlaps),
        Task(name="Ends of subscriptions", period=60, do=notice.notice_ends),
        Task(name="Log anchors", period=HOUR, do=anchors.append),
        Task(name="Tidying the outbox", period=24 * HOUR, do=outbox.prune),
        Task(name="Tidying the sessions", period=HOUR, do=clear_sessions),
        Task(name="Tidying repeatable requests", period=HOUR, do=prune_requests),
        Task(name="Tidying the counts of checks", period=24 * HOUR, do=prune_counts),
        Task(name="Tidying the webhooks", period=HOUR, do=prune_webhooks),
        Task(name="Tidying the service tokens", period=24 * HOUR, do=prune_tokens),
    ]


def webhooks(stopping: threading.Event) -> Task:
    """Return what is done in a thread of its own: a slow receiver holds up nothing else."""
    deliver = partial(delivering.deliver_due, stopped=stopping.is_set)
    return Task(name="Webhooks", period=0, do=deliver)
