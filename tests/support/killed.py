"""A command that is killed at a moment: `python -m tests.support.killed MOMENT ARGUMENT…`.

Each moment is a function of the code (its module and name), and whether the process dies before
or after its nth call.
"""

import os
import signal
import sys
from functools import wraps
from importlib import import_module
from typing import Any

DEMO = "licenses.management.commands.demo:Command"
MOMENTS = {
    "nothing is there": (f"{DEMO}.migrate", "before", 1),
    "some tables are made": (
        "django.db.migrations.executor:MigrationExecutor.apply_migration",
        "after",
        10,
    ),
    "there are tables": (f"{DEMO}.migrate", "after", 1),
    "there are static files": (f"{DEMO}.collect_static", "after", 1),
    "the sign-ins are drafted": ("licenses.demonstration:_write", "after", 1),
    "there is a signing key": ("licenses.keys:ensure_active", "after", 1),
    "half of the samples are made": ("licenses.demonstration:_generate", "after", 1),
    "the data is stored": ("licenses.demonstration:_write", "before", 2),
    "the draft was not removed": ("licenses.demonstration:_write", "after", 2),
    "the sign-ins are thrown away": ("licenses.demonstration:throw_away", "after", 1),
    "everything is thrown away": (f"{DEMO}.throw_away", "after", 1),
}

CLOSING = {
    "it is closed": ("portal.tenants.flows.closing:_close", "after", 1),
    "one of its members has left": ("portal.tenants.flows.closing:_let_go", "before", 2),
    "its keys are deleted": ("licenses.flows.closing:delete_keys", "after", 1),
    "one of its names is replaced": ("licenses.flows.closing:_rename", "before", 2),
    "one of its events is told without names": (
        "portal.webhooks.closing:_without_names",
        "after",
        2,
    ),
    "a batch of its log is half replaced": ("portal.activity.erasure:_replace", "after", 3),
}
"""Moments of the closing of a tenant, in their order."""


def die_at(place: str, when: str, nth: int) -> None:
    module, _, path = place.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    function, calls = getattr(owner, name), 0

    @wraps(function)
    def lethal(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **options)
        if when == "after" and calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, lethal)


if __name__ == "__main__":
    import django
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    die_at(*(MOMENTS | CLOSING)[sys.argv[1]])
    execute_from_command_line(["manage.py", *sys.argv[2:]])
