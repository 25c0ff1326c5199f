"""Queue the mails about license keys that are about to expire."""

from typing import Any, override

from django.core.management.base import BaseCommand

from licenses import reminders


class Command(BaseCommand):
    """Remind owners and managers; the worker does the same by itself."""

    help = "Queue the mails about license keys that expire soon; each is sent once."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Tenants reminded: {reminders.send()}")
