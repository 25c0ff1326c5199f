#!/usr/bin/env python
"""Django's command line for the license portal."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import connections


def close_pools() -> None:
    """Close the pools of connections: left alone, their threads hold the process up for seconds."""
    for connection in connections.all(initialized_only=True):
        if hasattr(connection, "close_pool"):
            connection.close_pool()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    try:
        execute_from_command_line(sys.argv)
        close_pools()
    except SystemExit:
        close_pools()
        raise
    except ImproperlyConfigured as error:
        sys.exit(str(error))
