"""Serve the portal over HTTP."""

import os
import sys
from typing import Any, override

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from portal.config import database_secrets
from portal.config.checks import refuse_demonstration_accounts
from portal.server.serve import node, processes, refuse_taken_port, worker
from portal.server.supervisor import supervise


class Command(BaseCommand):
    """Run granian on an address of this machine, until it is stopped."""

    help = "Serve the portal over HTTP with granian, on loopback unless told otherwise."
    # They are about the code: tests run them, and a start would take a third of a second longer.
    requires_system_checks: list[str] = []

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=int, default=settings.PORT, help="default: PORT")
        parser.add_argument(
            "--workers",
            type=int,
            help="processes (default: cores; without CACHE_URL in production 1)",
        )
        parser.add_argument(
            "--with-worker", action="store_true", help="send mail too, as manage.py run_worker does"
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Replace this process by the server, or supervise the server and its worker.

        Raises CommandError when the port is taken, or several processes would share no cache.
        Raises ImproperlyConfigured where secrets do not fit the database, and in production on a
        database of the demonstration.
        """
        refuse_demonstration_accounts()
        database_secrets.refuse_at_start()
        workers, host = processes(options["workers"]), options["host"].strip("[]")
        refuse_taken_port(host, options["port"])
        sys.stdout.flush()
        os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
        command = node(host, options["port"], workers)
        if options["with_worker"]:
            connection.close()
            sys.exit(supervise(server=command, worker=worker()))
        os.execv(sys.executable, command)  # noqa: S606 (fixed program, no shell)
