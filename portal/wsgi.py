"""The WSGI entry of the portal."""

import ctypes
import multiprocessing
import os
import signal
import sys

import django
from django.utils.module_loading import import_string

from portal.config.checks import refuse_demonstration_accounts

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that this process gets when the one that started it has died."""


def end_by_parent_alone() -> None:
    """Leave the process group of the server, but not outlive it; end at once while loading.

    What a terminal or a service manager tells the whole group, granian's main process tells each
    worker too, and a worker that is told twice at once hangs. One that is told before granian
    listens for it would go on, with the ears of the main process that it was forked from.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if multiprocessing.parent_process() is not None:
    end_by_parent_alone()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)
application = import_string("portal.server.handler.Handler")()
# Whatever server loads this, not `manage.py serve` alone, refuses the demonstration's accounts.
refuse_demonstration_accounts()
