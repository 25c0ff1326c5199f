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
    """Leave the server's process group, but do not outlive the server; end at once while loading.

    A terminal or a service manager signals the whole group, and granian's main process signals
    each worker too: a worker that gets two signals at once hangs. A signal that arrives before
    granian handles it would be lost to the handler inherited from the main process by the fork.
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
# Any server that loads this refuses the demonstration's accounts, not only `manage.py serve`.
refuse_demonstration_accounts()
