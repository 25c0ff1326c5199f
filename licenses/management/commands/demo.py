"""Prepare the demonstration and serve it."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, override

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from licenses import demonstration
from portal.server.serve import refuse_taken_port


class Command(BaseCommand):
    """Turn an empty folder into a portal that one can sign in to."""

    help = "Prepare the demonstration (database, signing key, sample data) and serve it."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reset", action="store_true", help="throw the data away first")
        parser.add_argument("--no-serve", action="store_true", help="prepare only")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, print address and sign-ins, and serve. Raises CommandError in production."""
        if not settings.DEMONSTRATION:
            raise CommandError("The demonstration needs DEMONSTRATION=true; try: make run")
        if not options["no_serve"]:
            refuse_taken_port("127.0.0.1", settings.PORT)
        if options["reset"]:
            self.throw_away()
        self.migrate()
        self.collect_static()
        accounts = demonstration.prepare()
        self.stdout.write(f"\nLicense portal: {settings.PUBLIC_URL}\n\nSign in with:")
        for account in accounts:
            where = f"{account.role} of {account.tenant}" if account.tenant else account.role
            self.stdout.write(f"  {account.email:28} {account.password:18} {where}")
            if account.totp_secret:
                self.stdout.write(f"  {'':28} {account.totp_secret} for an authenticator app")
        self.stdout.write(f"\n(also in {demonstration.accounts_file()}; stop with Ctrl-C)\n")
        connection.close()
        if not options["no_serve"]:
            call_command("serve", "--with-worker")

    def throw_away(self) -> None:
        """Remove the sign-ins and everything in the database."""
        demonstration.throw_away()
        if connection.vendor == "sqlite":
            connection.close()
            database = Path(settings.DATABASES["default"]["NAME"])
            for suffix in ("", "-wal", "-shm"):
                database.with_name(database.name + suffix).unlink(missing_ok=True)
        else:
            with connection.cursor() as cursor:
                cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        self.stdout.write("The demonstration starts over.")

    def migrate(self) -> None:
        """Bring the tables up to date; on SQLite all or nothing, even if it is killed.

        Django records some migrations after their transaction: a run that is killed in between
        makes the next one fail. SQLite's foreign keys can be switched off only outside of
        transactions.
        """
        with ExitStack() as stack:
            if connection.vendor == "sqlite":
                stack.enter_context(connection.constraint_checks_disabled())
                stack.enter_context(transaction.atomic())
            call_command("migrate", verbosity=0, interactive=False)

    def collect_static(self) -> None:
        """Collect the static files unless those of the last run are still the newest."""
        collected = Path(settings.STATIC_ROOT) / "staticfiles.json"
        sources = [Path(folder) for folder in settings.STATICFILES_DIRS]
        newest = max(
            file.stat().st_mtime
            for file in [
                *(found for source in sources for found in source.rglob("*")),
                settings.BASE_DIR / "requirements.txt",
            ]
        )
        if not collected.exists() or collected.stat().st_mtime < newest:
            call_command("collectstatic", verbosity=0, interactive=False)
