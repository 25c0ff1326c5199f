"""The figures of the operators' start page and of /metrics."""

from typing import Any, override

from django.core.management.base import BaseCommand

from licenses.figures import snapshot


class Command(BaseCommand):
    """Count the figures, run by a timer, so that no page has to."""

    help = "Count the figures of the admin's start page and of /metrics again."

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Figures as of {snapshot.refresh().taken_at:%Y-%m-%d %H:%M:%S} UTC.")
