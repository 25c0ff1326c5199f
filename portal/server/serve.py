"""The commands of the server and the worker, and the port they need."""

import errno
import os
import socket
import sys

from django.conf import settings
from django.core.management.base import CommandError


def node(host: str, port: int, processes: int) -> list[str]:
    """Return the command of the server (see `portal.server.node`)."""
    numbers = [str(port), str(processes)]
    return [sys.executable, "-m", "portal.server.node", host, *numbers, settings.LOG_FORMAT]


def worker() -> list[str]:
    """Return the command of the worker that ends with this process, however this one ends."""
    manage = settings.BASE_DIR / "manage.py"
    return [sys.executable, str(manage), "run_worker", "--parent", str(os.getpid())]


def refuse_taken_port(host: str, port: int) -> None:
    """Raise CommandError when the server cannot listen there, mostly because another one does.

    `host` is an address of IPv4 or IPv6, without brackets, or a name.
    """
    try:
        if not 0 < port < 65_536:  # getaddrinfo would take what remains of it
            raise OverflowError("there is no such port")
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise CommandError(
                f"Port {port} of {host} is taken ({why}). Stop what runs there, or choose another "
                f"port: make run PORT={port + 1}"
            ) from error
        raise CommandError(
            f"The portal cannot listen on port {port} of {host} ({why}). Choose an address of this "
            "machine (--host) and a port up to 65535 (--port)."
        ) from error


def processes(asked: int | None) -> int:
    """Return how many processes serve: those asked for, else one a core where they share a cache.

    Raises CommandError for several in production without CACHE_URL, since each would count limits
    and used codes for itself.
    """
    share = settings.DEMONSTRATION or bool(settings.CACHE_URL)
    if asked is None:
        return (os.process_cpu_count() or 1) if share else 1
    if asked < 1:
        raise CommandError("--workers must be at least 1.")
    if asked > 1 and not share:
        raise CommandError(
            f"--workers {asked} needs CACHE_URL (redis://host:6379/0), where several processes "
            "count limits together. Set it, or serve with --workers 1."
        )
    return asked
